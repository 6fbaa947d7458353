/**
 * Devices of Linux that put packets into tunnels, as a datapath in the kernel uses them: one for all tunnels of a kind, where each
 * packet brings along where it goes ("external", collect_md). Upstream: lib/dpif-netlink-rtnl, part of lib/netdev-vport.
 */
import { errnoName, osError } from "../lib/errors.ts";
import type { RouteSocket } from "../sys/netlink.ts";
import {
  type Attribute,
  be16,
  bytesOf,
  cString,
  decodeErrno,
  decodeMessages,
  eachAttribute,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  textOf,
  words,
} from "./netlink-message.ts";
import {
  encodeLinkRequest,
  IFF_UP,
  IFINFOMSG,
  IFLA_IFNAME,
  IFLA_INFO_KIND,
  IFLA_LINKINFO,
  IFLA_MTU,
  type LinkRequest,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
} from "./rtnetlink.ts";

const IFLA_INFO_DATA = 2;

const IFLA_VXLAN_LEARNING = 7;
const IFLA_VXLAN_PORT = 15;
const IFLA_VXLAN_UDP_ZERO_CSUM6_RX = 20;
const IFLA_VXLAN_GBP = 23;
const IFLA_VXLAN_COLLECT_METADATA = 25;
const IFLA_VXLAN_GPE = 27;
const IFLA_GENEVE_PORT = 5;
const IFLA_GENEVE_COLLECT_METADATA = 6;
const IFLA_GENEVE_UDP_ZERO_CSUM6_RX = 10;
const IFLA_GRE_COLLECT_METADATA = 18;
const IFLA_BAREUDP_PORT = 1;
const IFLA_BAREUDP_ETHERTYPE = 2;
const IFLA_BAREUDP_SRCPORT_MIN = 3;
const IFLA_BAREUDP_MULTIPROTO_MODE = 4;

/** The largest that every kind takes, as what is sent is segmented or bounded by what is below. */
const MTU = 65_000;
const MTU_OF_OLD_KERNELS = 1450;
const BAREUDP_SRCPORT_MIN = 49_153;
const ETH_TYPE_IPV4 = 0x0800;
const ETH_TYPE_MPLS = 0x8847;
const EEXIST = 17;
const EIO = 5;

/** What of a tunnel port's options makes a difference to its device. */
export interface TunnelConfig {
  /** Of Interface.type */
  readonly type: string;
  /** UDP port, 0 for what has none. */
  readonly dstPort: number;
  /** `exts` */
  readonly extensions: readonly string[];
  /** Ethertype of what a bareudp tunnel carries. */
  readonly payloadType: number;
  /** It carries the payload type's relatives, too. */
  readonly multiproto: boolean;
  /** Packets have no Ethernet header (`packet_type=legacy_l3`). */
  readonly l3: boolean;
}

interface TunnelKind {
  /** Of the device's name. */
  readonly prefix: string;
  /** Of Linux; undefined for what it does not have. */
  kind(config: TunnelConfig): string | undefined;
  /** UDP port unless another is configured; undefined for what has none. */
  readonly port: number | undefined;
  data(config: TunnelConfig): Attribute[];
}

const u8 = (value: number): Uint8Array => Uint8Array.of(value);
const FLAG = new Uint8Array(0);
const withMetadata = (): Attribute[] => [[IFLA_GRE_COLLECT_METADATA, FLAG]];

const KINDS: ReadonlyMap<string, TunnelKind> = new Map<string, TunnelKind>([
  [
    "vxlan",
    {
      prefix: "vxlan_sys",
      kind: () => "vxlan",
      port: 4789,
      data: ({ dstPort, extensions }) => [
        [IFLA_VXLAN_LEARNING, u8(0)],
        [IFLA_VXLAN_COLLECT_METADATA, u8(1)],
        [IFLA_VXLAN_UDP_ZERO_CSUM6_RX, u8(1)],
        ...(extensions.includes("gbp") ? [[IFLA_VXLAN_GBP, FLAG] as const] : []),
        ...(extensions.includes("gpe") ? [[IFLA_VXLAN_GPE, FLAG] as const] : []),
        [IFLA_VXLAN_PORT, be16(dstPort)],
      ],
    },
  ],
  [
    "geneve",
    {
      prefix: "genev_sys",
      kind: () => "geneve",
      port: 6081,
      data: ({ dstPort }) => [
        [IFLA_GENEVE_COLLECT_METADATA, FLAG],
        [IFLA_GENEVE_UDP_ZERO_CSUM6_RX, u8(1)],
        [IFLA_GENEVE_PORT, be16(dstPort)],
      ],
    },
  ],
  [
    "gre",
    { prefix: "gre_sys", kind: ({ l3 }) => (l3 ? "gre" : "gretap"), port: undefined, data: withMetadata },
  ],
  [
    "ip6gre",
    {
      prefix: "ip6gre_sys",
      kind: ({ l3 }) => (l3 ? undefined : "ip6gretap"),
      port: undefined,
      data: withMetadata,
    },
  ],
  ["erspan", { prefix: "erspan_sys", kind: () => "erspan", port: undefined, data: withMetadata }],
  ["ip6erspan", { prefix: "ip6erspan_sys", kind: () => "ip6erspan", port: undefined, data: withMetadata }],
  [
    "bareudp",
    {
      prefix: "udp_sys",
      kind: () => "bareudp",
      port: 0,
      data: ({ dstPort, payloadType, multiproto }) => [
        [IFLA_BAREUDP_ETHERTYPE, be16(payloadType)],
        [IFLA_BAREUDP_SRCPORT_MIN, new Uint8Array(Uint16Array.of(BAREUDP_SRCPORT_MIN).buffer)],
        [IFLA_BAREUDP_PORT, be16(dstPort)],
        ...(multiproto ? [[IFLA_BAREUDP_MULTIPROTO_MODE, FLAG] as const] : []),
      ],
    },
  ],
]);

/** From a port's type and options; undefined for a type that is no tunnel of the kernel's. */
export function tunnelConfig(type: string, options: ReadonlyMap<string, string>): TunnelConfig | undefined {
  const kind = KINDS.get(type);
  if (kind === undefined) return undefined;
  const payload = options.get("payload_type") ?? "";
  const named = payload === "mpls" ? ETH_TYPE_MPLS : payload === "ip" ? ETH_TYPE_IPV4 : undefined;
  return {
    type,
    dstPort: kind.port === undefined ? 0 : Number(options.get("dst_port") ?? kind.port),
    extensions: (options.get("exts") ?? "").split(","),
    payloadType: named ?? Number(payload),
    multiproto: named !== undefined,
    l3: options.get("packet_type") === "legacy_l3",
  };
}

/** "vxlan_sys_4789" */
export function tunnelDeviceName({ type, dstPort }: TunnelConfig): string {
  const { prefix, port } = KINDS.get(type)!;
  return port === undefined ? prefix : `${prefix}_${dstPort}`;
}

/** Which type of tunnel a device of that name is for, and what else the name tells of it. */
export function tunnelOfDevice(name: string): TunnelConfig | undefined {
  for (const [type, { prefix, port }] of KINDS) {
    const found = new RegExp(`^${prefix}${port === undefined ? "" : "_(\\d+)"}$`).exec(name);
    if (found !== null) return tunnelConfig(type, new Map([["dst_port", found[1] ?? ""]]));
  }
  return undefined;
}

/** What the device alone shows of its configuration, as `dpctl/show` prints it. */
export function describeTunnel({ type, dstPort }: TunnelConfig): string {
  const port = KINDS.get(type)!.port;
  return `${type}: ${port === undefined || port === dstPort ? "" : `dst_port=${dstPort}, `}packet_type=ptap`;
}

export class TunnelDevices {
  readonly #socket: RouteSocket;
  #sequence = 1;

  constructor(socket: RouteSocket) {
    this.#socket = socket;
  }

  /**
   * Has the device there, up, and made as `config` says; one of the name that is otherwise is made anew. Returns whether it had to
   * be made. Throws an errno error: EOPNOTSUPP for what this kernel does not have.
   */
  make(config: TunnelConfig): boolean {
    const kind = KINDS.get(config.type)!.kind(config);
    if (kind === undefined) throw osError("EOPNOTSUPP", "rtnetlink");
    const name = tunnelDeviceName(config);
    let errno = this.#create(config, kind, name);
    if (errno === EEXIST) {
      if (this.#isMade(config, kind, name)) return false;
      this.remove(name);
      errno = this.#create(config, kind, name);
    }
    if (errno !== 0) throw osError(errnoName(errno), "rtnetlink");
    // Not every kernel's GRE looks at it when the device is made.
    if (/^(ip6)?gre(tap)?$/.test(kind) && this.#setMtu(name, MTU) !== 0)
      this.#setMtu(name, MTU_OF_OLD_KERNELS);
    if (!this.#isMade(config, kind, name)) {
      this.remove(name);
      throw osError("EINVAL", "rtnetlink");
    }
    return true;
  }

  remove(name: string): void {
    this.#request({
      type: RTM_DELLINK,
      messageFlags: NLM_F_REQUEST | NLM_F_ACK,
      attributes: [[IFLA_IFNAME, cString(name)]],
    });
  }

  close(): void {
    this.#socket.close();
  }

  /** Errno, 0 when all is well. */
  #create(config: TunnelConfig, kind: string, name: string): number {
    return this.#request({
      type: RTM_NEWLINK,
      messageFlags: NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
      flags: IFF_UP,
      changeMask: IFF_UP,
      attributes: [
        [IFLA_IFNAME, cString(name)],
        [IFLA_MTU, words(MTU)],
        [
          IFLA_LINKINFO,
          [
            [IFLA_INFO_KIND, cString(kind)],
            [IFLA_INFO_DATA, KINDS.get(config.type)!.data(config)],
          ],
        ],
      ],
    });
  }

  #setMtu(name: string, mtu: number): number {
    return this.#request({
      type: RTM_NEWLINK,
      messageFlags: NLM_F_REQUEST | NLM_F_ACK,
      attributes: [
        [IFLA_IFNAME, cString(name)],
        [IFLA_MTU, words(mtu)],
      ],
    });
  }

  /** The kernel tells of the device all that it would be made with. */
  #isMade(config: TunnelConfig, kind: string, name: string): boolean {
    const request = {
      type: RTM_GETLINK,
      messageFlags: NLM_F_REQUEST,
      attributes: [[IFLA_IFNAME, cString(name)]] as const,
    };
    const told = new Map<number, Uint8Array>();
    let toldKind = "";
    for (const { type, body } of decodeMessages(
      this.#socket.transact(encodeLinkRequest(request, this.#sequence++)),
    )) {
      if (type !== RTM_NEWLINK) continue;
      eachAttribute(body, IFINFOMSG, (attribute, value) => {
        if (attribute !== IFLA_LINKINFO) return;
        eachAttribute(value, 0, (part, info) => {
          if (part === IFLA_INFO_KIND) toldKind = textOf(info);
          else if (part === IFLA_INFO_DATA)
            eachAttribute(info, 0, (option, of) => told.set(option, bytesOf(of)));
        });
      });
    }
    return (
      toldKind === kind &&
      KINDS.get(config.type)!
        .data(config)
        .every(([option, value]) => {
          const is = told.get(option);
          return is !== undefined && (value as Uint8Array).every((byte, i) => is[i] === byte);
        })
    );
  }

  #request(request: LinkRequest): number {
    return decodeErrno(this.#socket.transact(encodeLinkRequest(request, this.#sequence++))) ?? EIO;
  }
}
