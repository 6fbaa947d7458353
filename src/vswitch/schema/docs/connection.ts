/** Documentation of tables Controller, Manager and SSL. */
import type { controller, manager, ssl } from "../connection.ts";
import { type DocOf, EXTERNAL_IDS } from "./doc.ts";

export const controllerDoc: DocOf<typeof controller> = {
  about:
    "One OpenFlow controller of a bridge: one that the switch connects to, or a port where it listens for some.",
  columns: {
    type: {
      text: "Kind of controller. Default: primary for targets that the switch connects to, service for those it listens on.",
      values: {
        primary:
          "Is in charge of the bridge's flows, so Bridge.fail_mode watches over it. The switch connects to all primary controllers at a time; several of them must know of each other.",
        service: "Comes and goes for maintenance, as ovs-ofctl does. Bridge.fail_mode ignores it.",
      },
    },
    target: {
      text: "How to connect; unique within the bridge. A host is an IP address (IPv6 in square brackets) or a DNS name; the port is 6653 unless given. The SSL forms need Open_vSwitch.ssl.",
      values: {
        "ssl:HOST[:PORT]": "Connects by TLS.",
        "tcp:HOST[:PORT]": "Connects by TCP.",
        "unix:FILE": "Connects to a local socket in the run directory.",
        "pssl:[PORT][:HOST]":
          "Listens for TLS, on that local address if one is named, else on all IPv4 addresses.",
        "ptcp:[PORT][:HOST]":
          "Listens for TCP, on that local address if one is named, else on all IPv4 addresses.",
        "punix:FILE": "Listens on a local socket in the run directory.",
      },
    },
    max_backoff: "Longest pause between attempts to connect, in milliseconds, at least 1000. Default 8000.",
    inactivity_probe:
      "Silence in milliseconds after which the controller is asked for a sign of life; after as much again the connection is given up. Default 5000; 0 never asks.",
    connection_mode: {
      text: "Way that the connection takes. Default in-band.",
      values: {
        "in-band": "Through the bridge itself, which lets this traffic pass whatever the flows say.",
        "out-of-band": "By a network of its own, outside the bridge and configured apart from it.",
      },
    },
    local_ip:
      "Address for the bridge's local port, in-band only. Without it local_netmask and local_gateway have no effect. Controllers of one bridge must not contradict each other here.",
    local_netmask:
      "Netmask for the bridge's local port, in-band only. Default: by the old class A, B or C of local_ip.",
    local_gateway: "Gateway for the bridge's local port, in-band only. Empty where the network has none.",
    enable_async_messages:
      "Whether a new connection gets messages it did not ask for: packets, removed flows, port changes. When false, the controller must turn on those it wants. Default true.",
    controller_queue_size:
      "Most packets waiting to be sent to this controller, up to 512. Default: Bridge.other_config:controller-queue-size, else 100. More may wait longer.",
    controller_rate_limit:
      "Packets a second sent to this controller, counted apart for packets without a flow and packets sent by an action. Empty means no limit.",
    controller_burst_limit:
      "Most packets held back by controller_rate_limit, shared fairly by the ports. Default: a quarter of the rate, which is 250 ms of delay.",
    other_config: {
      text: "Options of the connection to the controller.",
      keys: { dscp: "DSCP of the packets that carry the connection to the controller, 0 to 63. Default 48." },
    },
    external_ids: EXTERNAL_IDS,
    is_connected: { text: "Whether the connection to this controller stands." },
    role: {
      text: "Rights that the controller has asked for.",
      values: {
        other: "All rights, beside other controllers.",
        master: "All rights; the controller that was master before becomes slave.",
        slave:
          "May read only: changes of flows are refused, and neither packets nor removed flows are sent, only changes of ports.",
      },
    },
    status: {
      text: "How the connection to the controller fares. The counts replace TYPE by miss (no flow matched) or action (a flow sent the packet), exist while the rate is limited, and begin anew with each connection.",
      keys: {
        "packet-in-TYPE-bypassed": "Packets sent at once, the rate being low enough.",
        "packet-in-TYPE-queued": "Packets that had to wait.",
        "packet-in-TYPE-dropped": "Packets that waited and were dropped, the queue being full.",
        "packet-in-TYPE-backlog": "Packets that are waiting now.",
        last_error: "The latest error of the connection, in words. Absent until there is one.",
        state:
          "VOID (off), BACKOFF (pausing before the next attempt), CONNECTING, ACTIVE (the controller answers) or IDLE (asked for a sign of life). For people, not programs.",
        sec_since_connect:
          "Seconds since the switch last connected to the controller. Absent if it never did.",
        sec_since_disconnect: "Seconds since the connection was last lost. Absent if it never was.",
      },
    },
  },
};

export const managerDoc: DocOf<typeof manager> = {
  about:
    "One OVSDB client that ovsdb-server connects to, or a port where it listens for some. The switch reads the table only to let in-band connections of managers pass.",
  columns: {
    target: {
      text: "How ovsdb-server reaches the manager; unique. Hosts are IP addresses (IPv6 in square brackets) or DNS names; the port is 6640 unless given. The SSL forms need Open_vSwitch.ssl.",
      values: {
        "ssl:HOST[:PORT]": "Connects by TLS.",
        "tcp:HOST[:PORT]": "Connects by TCP.",
        "unix:FILE": "Connects to a local socket.",
        "pssl:[PORT][:HOST]":
          "Listens for TLS, on that local address if one is named, else on all IPv4 addresses. Port 0 lets the system choose one.",
        "ptcp:[PORT][:HOST]":
          "Listens for TCP, on that local address if one is named, else on all IPv4 addresses. Port 0 lets the system choose one.",
        "punix:FILE": "Listens on a local socket.",
      },
    },
    max_backoff:
      "Longest pause of ovsdb-server between attempts to connect, in milliseconds, at least 1000. Default 8000.",
    inactivity_probe:
      "Silence in milliseconds after which ovsdb-server asks the manager for a sign of life; after as much again it gives the connection up. Default 5000; 0 never asks.",
    connection_mode: {
      text: "Way that the manager's connection takes. Default in-band.",
      values: {
        "in-band": "Through one of the bridges, which lets this traffic pass whatever the flows say.",
        "out-of-band": "By a network of its own, outside all bridges.",
      },
    },
    other_config: {
      text: "Options of the manager's connection.",
      keys: { dscp: "DSCP of the packets that carry the manager's connection, 0 to 63. Default 48." },
    },
    external_ids: EXTERNAL_IDS,
    is_connected: { by: "ovsdb-server", text: "Whether a connection with this manager stands." },
    status: {
      by: "ovsdb-server",
      text: "How the manager's connection fares. Where ovsdb-server listens, only n_connections and bound_port are kept.",
      keys: {
        last_error: "The latest error of the manager's connection, in words. Absent until there is one.",
        state:
          "VOID (off), BACKOFF (pausing before the next attempt), CONNECTING, ACTIVE (the manager answers) or IDLE (asked for a sign of life). For people, not programs.",
        sec_since_connect: "Seconds since the manager was last reached. Absent if it never was.",
        sec_since_disconnect: "Seconds since the manager was last lost. Absent if it never was.",
        locks_held: "Names of the OVSDB locks that the manager holds, separated by spaces. Absent if none.",
        locks_waiting: "Names of the locks that the manager waits for. Absent if none.",
        locks_lost: "Names of the locks that other clients have stolen from the manager. Absent if none.",
        n_connections: "Connections that stand at a listening target. Absent unless there are two or more.",
        bound_port: "TCP port that a listening target has got, of use where port 0 was asked for.",
      },
    },
  },
};

export const sslDoc: DocOf<typeof ssl> = {
  about:
    "Files for TLS connections of the switch to controllers and of ovsdb-server to managers. There is at most one row.",
  columns: {
    private_key: "PEM file with the private key of the switch.",
    certificate:
      "PEM file with the certificate for that key, signed by an authority that controllers and managers trust.",
    ca_cert: "PEM file with the authority's certificate, by which the other side is checked.",
    bootstrap_ca_cert:
      "Takes the authority's certificate from the first connection, stores it in the file of ca_cert, connects anew and trusts nothing else from then on. Whoever sits between at that first time is believed.",
    external_ids: EXTERNAL_IDS,
  },
};
