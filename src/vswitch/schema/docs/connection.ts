/** Documentation of tables Controller, Manager and SSL. */
import type { controller, manager, ssl } from "../connection.ts";
import { type DocOf, EXTERNAL_IDS } from "./doc.ts";

const CONNECTION_STATUS = {
  last_error: "The last error, as errno text.",
  state: "VOID, BACKOFF, CONNECTING, ACTIVE or IDLE.",
  sec_since_connect: "Seconds since the last connection.",
  sec_since_disconnect: "Seconds since the last disconnection.",
} as const;

export const controllerDoc: DocOf<typeof controller> = {
  about: "An OpenFlow controller of a bridge.",
  columns: {
    type: "primary (default; counts for fail_mode) or service (occasional visitors). None: by the target's form.",
    target: "tcp:, ssl: or unix: to connect out, ptcp:, pssl: or punix: to listen; default port 6653.",
    max_backoff: "Milliseconds at most between attempts, 1000 and up; default 8000.",
    inactivity_probe: "Milliseconds of silence before an echo request; default 5000, 0: none.",
    connection_mode: "in-band (default: through the bridge, with rules for it) or out-of-band.",
    local_ip: "In-band: address to give the local port.",
    local_netmask: "In-band: its netmask.",
    local_gateway: "In-band: gateway to the controller.",
    enable_async_messages: "false: do not send packet-in and status messages unless asked.",
    controller_queue_size: "Packets that may wait for the controller, 1 to 512.",
    controller_rate_limit: "Packets a second to send to the controller, 100 and up; none: no limit.",
    controller_burst_limit: "Packets in one burst, 25 and up; default a quarter of the rate.",
    other_config: {
      text: "Further settings.",
      keys: { dscp: "DiffServ code point of the connection; default 48." },
    },
    external_ids: EXTERNAL_IDS,
    is_connected: "Whether the controller is connected.",
    role: "other, master or slave, as the controller has asked.",
    status: {
      text: "State of the connection.",
      keys: {
        ...CONNECTION_STATUS,
        "packet-in-*":
          "Packets for the controller: bypassed, queued, dropped and waiting, for misses and for actions.",
      },
    },
  },
};

export const managerDoc: DocOf<typeof manager> = {
  about: "A connection of the database server to a remote client.",
  columns: {
    target: "Connection method: ssl:, tcp:, pssl:, ptcp: and so on; default port 6640. Unique.",
    max_backoff: "Milliseconds at most between attempts, 1000 and up; default 8000.",
    inactivity_probe: "Milliseconds of silence before an echo request; default 5000, 0: none.",
    connection_mode: "in-band or out-of-band, as for controllers.",
    other_config: {
      text: "Further settings.",
      keys: { dscp: "DiffServ code point of the connection; default 48." },
    },
    external_ids: EXTERNAL_IDS,
    is_connected: "Whether a client is connected.",
    status: {
      text: "State of the connection.",
      keys: {
        ...CONNECTION_STATUS,
        "locks_held, locks_waiting, locks_lost": "Names of database locks.",
        n_connections: "Number of connections, if more than one.",
        bound_port: "TCP port that is listened on.",
      },
    },
  },
};

export const sslDoc: DocOf<typeof ssl> = {
  about: "Files for SSL/TLS. At most one row.",
  columns: {
    private_key: "PEM file with the private key.",
    certificate: "PEM file with the certificate for it.",
    ca_cert: "PEM file with the CA certificate that peers must be signed by.",
    bootstrap_ca_cert:
      "Fetch ca_cert from the first peer if the file does not exist; open to a man in the middle that once.",
    external_ids: EXTERNAL_IDS,
  },
};
