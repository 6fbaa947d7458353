/**
 * Every OpenFlow error of 3.7 with its numbers in each version: `OFPET_*` type and code, or a Nicira or ONF vendor
 * error (before 1.2: NXET_VENDOR 0xb0c2 with a vendor header; from 1.2: OFPET_EXPERIMENTER 0xffff). Specifications:
 * OpenFlow 1.0 to 1.5, "Error Message"; numbers as 3.7 reports them. Upstream: ofp-errors.
 */
import type { Version } from "./messages.ts";

/** "VERSIONS:VENDOR.TYPE.CODE ..." with wire versions (1 = OpenFlow 1.0) and vendors of, nx, onf. */
const ROWS: Readonly<Record<string, string>> = {
  OFPHFC_INCOMPATIBLE: "1-6:of.0.0",
  OFPHFC_EPERM: "1-6:of.0.1",
  OFPBMC_BAD_FIELD: "1:nx.0.263 2-6:of.4.6",
  OFPBRC_BAD_VERSION: "1-6:of.1.0",
  OFPBRC_BAD_TYPE: "1-6:of.1.1",
  OFPBRC_BAD_STAT: "1-6:of.1.2",
  OFPBRC_BAD_VENDOR: "1-6:of.1.3",
  OFPBRC_BAD_SUBTYPE: "1-6:of.1.4",
  OFPBRC_EPERM: "1-6:of.1.5",
  OFPBRC_IS_SECONDARY: "1-2:of.1.5 3-6:of.1.10",
  OFPBRC_BAD_LEN: "1-6:of.1.6",
  OFPBRC_BUFFER_EMPTY: "1-6:of.1.7",
  OFPBRC_BUFFER_UNKNOWN: "1-6:of.1.8",
  OFPBRC_BAD_PACKET: "3-6:of.1.12",
  OFPBRC_MULTIPART_BUFFER_OVERFLOW: "4-6:of.1.13",
  OFPBRC_MULTIPART_BAD_SCHED: "6:of.1.16",
  OFPBRC_PIPELINE_FIELDS_ONLY: "6:of.1.17",
  OFPBRC_UNKNOWN: "6:of.1.18",
  OFPBMC_BAD_VALUE: "1:nx.1.258 2-6:of.4.7",
  OFPBMC_BAD_MASK: "1-2:nx.1.259 3-6:of.4.8",
  OFPBMC_BAD_PREREQ: "1-2:nx.1.260 3-6:of.4.9",
  OFPBMC_DUP_FIELD: "1-2:nx.1.261 3-6:of.4.10",
  OFPBMC_BAD_WILDCARDS: "1:nx.1.262 2-6:of.4.5",
  OFPBRC_BAD_TABLE_ID: "1:nx.1.512 2-6:of.1.9",
  OFPRRFC_BAD_ROLE: "1-2:nx.1.513 3-6:of.11.2",
  OFPBRC_BAD_PORT: "1-2:nx.1.514 3-6:of.1.11",
  OFPMOFC_MONITOR_EXISTS: "1-2:nx.1.517 3-4:nx.6.0 5-6:of.16.1",
  OFPMOFC_BAD_FLAGS: "1-2:nx.1.518 3-4:nx.7.0 5-6:of.16.5",
  OFPMOFC_UNKNOWN_MONITOR: "1-2:nx.1.519 3-4:nx.8.0 5-6:of.16.3",
  OFPBAC_MATCH_INCONSISTENT: "1:nx.1.522 2-6:of.2.10",
  OFPBAC_BAD_SET_TYPE: "1-2:nx.1.523 3-6:of.2.13",
  OFPBAC_BAD_SET_LEN: "1-2:nx.1.524 3-6:of.2.14",
  OFPBAC_BAD_SET_ARGUMENT: "1-2:nx.1.525 3-6:of.2.15",
  OFPBAC_BAD_TYPE: "1-6:of.2.0",
  OFPBAC_BAD_LEN: "1-6:of.2.1",
  OFPBAC_BAD_VENDOR: "1-6:of.2.2",
  OFPBAC_BAD_VENDOR_TYPE: "1-6:of.2.3",
  OFPBAC_BAD_OUT_PORT: "1-6:of.2.4",
  OFPBAC_BAD_ARGUMENT: "1-6:of.2.5",
  OFPBAC_EPERM: "1-6:of.2.6",
  OFPBAC_TOO_MANY: "1-6:of.2.7",
  OFPBAC_BAD_QUEUE: "1-6:of.2.8",
  OFPBAC_BAD_OUT_GROUP: "1:nx.2.9 2-6:of.2.9",
  OFPBAC_UNSUPPORTED_ORDER: "2-6:of.2.11",
  OFPBAC_BAD_TAG: "2-6:of.2.12",
  OFPBAC_BAD_METER: "6:of.2.17",
  OFPBIC_UNSUP_INST: "1:nx.2.257 2-6:of.3.1",
  OFPBIC_UNKNOWN_INST: "2-6:of.3.0",
  OFPFMFC_TABLE_FULL: "1:of.3.0 2-6:of.5.1",
  OFPFMFC_OVERLAP: "1:of.3.1 2-6:of.5.3",
  OFPBIC_BAD_TABLE_ID: "2-6:of.3.2",
  OFPFMFC_EPERM: "1:of.3.2 2-6:of.5.4",
  OFPBIC_UNSUP_METADATA: "2-6:of.3.3",
  OFPFMFC_BAD_EMERG_TIMEOUT: "1:of.3.3",
  OFPBIC_UNSUP_METADATA_MASK: "2-6:of.3.4",
  OFPFMFC_BAD_COMMAND: "1:of.3.4 2-6:of.5.6",
  OFPBIC_BAD_EXPERIMENTER: "2-6:of.3.5",
  OFPBIC_BAD_EXP_TYPE: "2:of.3.5 3-6:of.3.6",
  OFPFMFC_UNSUPPORTED: "1:of.3.5",
  OFPBIC_BAD_LEN: "3-6:of.3.7",
  OFPBIC_EPERM: "3-6:of.3.8",
  OFPBIC_DUP_INST: "2:nx.3.256 3-4:onf.2600.0 5-6:of.3.9",
  OFPFMFC_BAD_FLAGS: "1:nx.3.258 2:nx.5.258 3-6:of.5.7",
  OFPBMC_BAD_TYPE: "2-6:of.4.0",
  OFPPMFC_BAD_PORT: "1:of.4.0 2-6:of.7.0",
  OFPBMC_BAD_LEN: "2-6:of.4.1",
  OFPPMFC_BAD_HW_ADDR: "1:of.4.1 2-6:of.7.1",
  OFPBMC_BAD_TAG: "2-6:of.4.2",
  OFPBMC_BAD_DL_ADDR_MASK: "2-6:of.4.3",
  OFPBMC_BAD_NW_ADDR_MASK: "2-6:of.4.4",
  OFPBMC_EPERM: "3-6:of.4.11",
  OFPFMFC_UNKNOWN: "2-6:of.5.0",
  OFPQOFC_BAD_PORT: "1:of.5.0 2-6:of.9.0",
  OFPQOFC_BAD_QUEUE: "1:of.5.1 2-6:of.9.1",
  OFPFMFC_BAD_TABLE_ID: "2-6:of.5.2",
  OFPQOFC_EPERM: "1:of.5.2 2-6:of.9.2",
  OFPFMFC_BAD_TIMEOUT: "2-6:of.5.5",
  OFPFMFC_CANT_SYNC: "5-6:of.5.8",
  OFPFMFC_IS_SYNC: "5-6:of.5.10",
  OFPGMFC_GROUP_EXISTS: "1:nx.6.0 2-6:of.6.0",
  OFPGMFC_INVALID_GROUP: "1:nx.6.1 2-6:of.6.1",
  OFPGMFC_WEIGHT_UNSUPPORTED: "1:nx.6.2 2-6:of.6.2",
  OFPGMFC_OUT_OF_GROUPS: "1:nx.6.3 2-6:of.6.3",
  OFPGMFC_OUT_OF_BUCKETS: "1:nx.6.4 2-6:of.6.4",
  OFPGMFC_CHAINING_UNSUPPORTED: "1:nx.6.5 2-6:of.6.5",
  OFPGMFC_WATCH_UNSUPPORTED: "1:nx.6.6 2-6:of.6.6",
  OFPGMFC_LOOP: "1:nx.6.7 2-6:of.6.7",
  OFPGMFC_UNKNOWN_GROUP: "1:nx.6.8 2-6:of.6.8",
  OFPGMFC_CHAINED_GROUP: "1:nx.6.9 3-6:of.6.9",
  OFPGMFC_BAD_TYPE: "1:nx.6.10 3-6:of.6.10",
  OFPGMFC_BAD_COMMAND: "1:nx.6.11 3-6:of.6.11",
  OFPGMFC_BAD_BUCKET: "1:nx.6.12 3-6:of.6.12",
  OFPGMFC_BAD_WATCH: "1:nx.6.13 3-6:of.6.13",
  OFPGMFC_EPERM: "1:nx.6.14 3-6:of.6.14",
  OFPGMFC_UNKNOWN_BUCKET: "1:nx.6.15 6:of.6.15",
  OFPGMFC_BUCKET_EXISTS: "1:nx.6.16 6:of.6.16",
  OFPPMFC_BAD_CONFIG: "2-6:of.7.2",
  OFPPMFC_BAD_ADVERTISE: "2-6:of.7.3",
  OFPPMFC_EPERM: "3-6:of.7.4",
  OFPTMFC_BAD_TABLE: "2-6:of.8.0",
  OFPTMFC_BAD_CONFIG: "2-6:of.8.1",
  OFPTMFC_EPERM: "3-6:of.8.2",
  OFPSCFC_BAD_FLAGS: "2-6:of.10.0",
  OFPSCFC_BAD_LEN: "2-6:of.10.1",
  OFPSCFC_EPERM: "3-6:of.10.2",
  OFPRRFC_STALE: "3-6:of.11.0",
  OFPRRFC_UNSUP: "3-6:of.11.1",
  OFPRRFC_ID_UNSUP: "6:of.11.3",
  OFPRRFC_ID_IN_USE: "6:of.11.4",
  OFPMMFC_UNKNOWN: "4-6:of.12.0",
  OFPMMFC_METER_EXISTS: "4-6:of.12.1",
  OFPMMFC_INVALID_METER: "4-6:of.12.2",
  OFPMMFC_UNKNOWN_METER: "4-6:of.12.3",
  OFPMMFC_BAD_COMMAND: "4-6:of.12.4",
  OFPMMFC_BAD_FLAGS: "4-6:of.12.5",
  OFPMMFC_BAD_RATE: "4-6:of.12.6",
  OFPMMFC_BAD_BURST: "4-6:of.12.7",
  OFPMMFC_BAD_BAND: "4-6:of.12.8",
  OFPMMFC_BAD_BAND_VALUE: "4-6:of.12.9",
  OFPMMFC_OUT_OF_METERS: "4-6:of.12.10",
  OFPMMFC_OUT_OF_BANDS: "4-6:of.12.11",
  OFPTFFC_BAD_TABLE: "4-6:of.13.0",
  OFPTFFC_BAD_METADATA: "4-6:of.13.1",
  OFPBPC_BAD_TYPE: "1-2:nx.13.2 3:nx.25.0 4:of.13.2 5-6:of.14.0",
  OFPBPC_BAD_LEN: "1-2:nx.13.3 3:nx.26.0 4:of.13.3 5-6:of.14.1",
  OFPBPC_BAD_VALUE: "1-2:nx.13.4 3:nx.27.0 4:of.13.4 5-6:of.14.2",
  OFPTFFC_EPERM: "4-6:of.13.5",
  OFPTFFC_BAD_CAPA: "6:of.13.6",
  OFPTFFC_BAD_MAX_ENT: "6:of.13.7",
  OFPTFFC_BAD_FEATURES: "6:of.13.8",
  OFPTFFC_BAD_COMMAND: "6:of.13.9",
  OFPTFFC_TOO_MANY: "6:of.13.10",
  OFPBPC_TOO_MANY: "1-2:nx.14.3 3:nx.28.0 4:onf.4443.0 5-6:of.14.3",
  OFPBPC_DUP_TYPE: "1-2:nx.14.4 3:nx.29.0 4:onf.4444.0 5-6:of.14.4",
  OFPBPC_BAD_EXPERIMENTER: "1-2:nx.14.5 3:nx.30.0 4:onf.4445.0 5-6:of.14.5",
  OFPBPC_BAD_EXP_TYPE: "1-2:nx.14.6 3:nx.31.0 4:onf.4446.0 5-6:of.14.6",
  OFPBPC_BAD_EXP_VALUE: "1-2:nx.14.7 3:nx.32.0 4:onf.4447.0 5-6:of.14.7",
  OFPBPC_EPERM: "1-2:nx.14.8 3:nx.33.0 4:onf.4448.0 5-6:of.14.8",
  OFPMOFC_UNKNOWN: "5-6:of.16.0",
  OFPMOFC_INVALID_MONITOR: "5-6:of.16.2",
  OFPMOFC_BAD_COMMAND: "5-6:of.16.4",
  OFPMOFC_BAD_TABLE_ID: "5-6:of.16.6",
  OFPMOFC_BAD_OUT: "5-6:of.16.7",
  OFPBFC_SCHED_NOT_SUPPORTED: "6:of.17.16",
  OFPBFC_SCHED_FUTURE: "6:of.17.17",
  OFPBFC_SCHED_PAST: "6:of.17.18",
  OFPBFC_BAD_VERSION: "5-6:nx.22.0",
  OFPBFC_UNKNOWN: "4:onf.2300.0 5-6:of.17.0",
  OFPBFC_EPERM: "4:onf.2301.0 5-6:of.17.1",
  OFPBFC_BAD_ID: "4:onf.2302.0 5-6:of.17.2",
  OFPBFC_BUNDLE_EXIST: "4:onf.2303.0 5-6:of.17.3",
  OFPBFC_BUNDLE_CLOSED: "4:onf.2304.0 5-6:of.17.4",
  OFPBFC_OUT_OF_BUNDLES: "4:onf.2305.0 5-6:of.17.5",
  OFPBFC_BAD_TYPE: "4:onf.2306.0 5-6:of.17.6",
  OFPBFC_BAD_FLAGS: "4:onf.2307.0 5-6:of.17.7",
  OFPBFC_MSG_BAD_LEN: "4:onf.2308.0 5-6:of.17.8",
  OFPBFC_MSG_BAD_XID: "4:onf.2309.0 5-6:of.17.9",
  OFPBFC_MSG_UNSUP: "4:onf.2310.0 5-6:of.17.10",
  OFPBFC_MSG_CONFLICT: "4:onf.2311.0 5-6:of.17.11",
  OFPBFC_MSG_TOO_MANY: "4:onf.2312.0 5-6:of.17.12",
  OFPBFC_MSG_FAILED: "4:onf.2313.0 5-6:of.17.13",
  OFPBFC_TIMEOUT: "4:onf.2314.0 5-6:of.17.14",
  OFPBFC_BUNDLE_IN_PROGRESS: "4:onf.2315.0 5-6:of.17.15",
  OFPFMFC_BAD_PRIORITY: "4:onf.2360.0 5-6:of.5.9",
  OFPACFC_INVALID: "4:onf.2370.0 5-6:of.15.0",
  OFPACFC_UNSUPPORTED: "4:onf.2371.0 5-6:of.15.1",
  OFPACFC_EPERM: "4:onf.2372.0 5-6:of.15.2",
  OFPBRC_MULTIPART_REQUEST_TIMEOUT: "4:onf.2640.0 5-6:of.1.14",
  OFPBRC_MULTIPART_REPLY_TIMEOUT: "4:onf.2641.0 5-6:of.1.15",
  OFPBAC_BAD_SET_MASK: "4-5:onf.4250.0 6:of.2.16",
  NXBRC_NXM_INVALID: "1-2:nx.1.256 3-6:nx.2.0",
  NXBRC_NXM_BAD_TYPE: "1-2:nx.1.257 3-6:nx.3.0",
  NXBMC_CT_DATAPATH_SUPPORT: "1-2:nx.1.264 3-6:nx.43.0",
  NXBAC_CT_DATAPATH_SUPPORT: "1-2:nx.1.265 3-6:nx.42.0",
  NXBRC_MUST_BE_ZERO: "1-2:nx.1.515 3-6:nx.4.0",
  NXBRC_BAD_REASON: "1-2:nx.1.516 3-6:nx.5.0",
  NXBRC_FM_BAD_EVENT: "1-2:nx.1.520 3-6:nx.9.0",
  NXBRC_UNENCODABLE_ERROR: "1-2:nx.1.521 3-6:nx.10.0",
  NXTTMFC_BAD_COMMAND: "1-2:nx.1.527 3-6:nx.16.0",
  NXTTMFC_BAD_OPT_LEN: "1-2:nx.1.528 3-6:nx.17.0",
  NXTTMFC_BAD_FIELD_IDX: "1-2:nx.1.529 3-6:nx.18.0",
  NXTTMFC_TABLE_FULL: "1-2:nx.1.530 3-6:nx.19.0",
  NXTTMFC_ALREADY_MAPPED: "1-2:nx.1.531 3-6:nx.20.0",
  NXTTMFC_DUP_ENTRY: "1-2:nx.1.532 3-6:nx.21.0",
  NXR_NOT_SUPPORTED: "1-2:nx.1.533 3-6:nx.34.0",
  NXR_STALE: "1-2:nx.1.534 3-6:nx.35.0",
  NXST_NOT_CONFIGURED: "1-2:nx.1.535 3-6:nx.36.0",
  NXFMFC_INVALID_TLV_FIELD: "1-2:nx.1.536 3-6:nx.37.0",
  NXTTMFC_INVALID_TLV_DEL: "1-2:nx.1.537 3-6:nx.38.0",
  NXBAC_MUST_BE_ZERO: "1-2:nx.2.256 3-6:nx.11.0",
  NXBAC_BAD_CONJUNCTION: "1-2:nx.2.526 3-6:nx.15.0",
  NXFMFC_HARDWARE: "1-2:nx.5.256 3-6:nx.12.0",
  NXFMFC_BAD_TABLE_ID: "1-2:nx.5.257 3-6:nx.13.0",
  NXQOFC_QUEUE_ERROR: "5-6:nx.23.0",
  NXBAC_BAD_HEADER_TYPE: "4-6:nx.39.0",
  NXBAC_UNKNOWN_ED_PROP: "4-6:nx.40.0",
  NXBAC_BAD_ED_PROP: "4-6:nx.41.0",
  NXTFFC_DUP_TABLE: "4-6:nx.44.0",
};

export const NX_VENDOR = 0x00002320;
export const ONF_VENDOR = 0x4f4e4600;
const VENDORS: Readonly<Record<string, number>> = { of: 0, nx: NX_VENDOR, onf: ONF_VENDOR };

export interface ErrorNumbers {
  /** 0: a standard error. */
  vendor: number;
  type: number;
  code: number;
}

const byName = new Map<string, (ErrorNumbers | undefined)[]>();
const byNumbers = new Map<string, string>();
for (const [name, text] of Object.entries(ROWS)) {
  const versions: (ErrorNumbers | undefined)[] = new Array(7).fill(undefined);
  for (const item of text.split(" ")) {
    if (item === "") continue;
    const [range, numbers] = item.split(":") as [string, string];
    const [first, last = first] = range.split("-").map(Number) as [number, number?];
    const [vendor, type, code] = numbers.split(".") as [string, string, string];
    const entry = { vendor: VENDORS[vendor] ?? Number(vendor), type: Number(type), code: Number(code) };
    for (let v = first; v <= last; v++) {
      versions[v] = entry;
      const key = errorKey(v, entry.vendor, entry.type, entry.code);
      if (!byNumbers.has(key)) byNumbers.set(key, name);
    }
  }
  byName.set(name, versions);
}

function errorKey(version: number, vendor: number, type: number, code: number): string {
  return `${version}.${vendor}.${type}.${code}`;
}

/** All names, in the order of the table. */
export function errorNames(): string[] {
  return [...byName.keys()];
}

/** An error's numbers in a version; undefined when the version cannot say it. */
export function errorNumbers(name: string, version: Version): ErrorNumbers | undefined {
  return byName.get(name)?.[version];
}

export function errorByNumbers(
  version: number,
  vendor: number,
  type: number,
  code: number,
): string | undefined {
  return byNumbers.get(errorKey(version, vendor, type, code));
}

/**
 * What decoders throw, and `decode` returns: the error to answer with, by name, and the line that 3.7 logs about it
 * with its module ("" for none).
 */
export class OfpError extends Error {
  readonly ofp: string;
  readonly module: string;
  /** Further log lines: what was being decoded when it happened, with its bytes. */
  readonly context: { module: string; line: string; bytes: Uint8Array | undefined }[] = [];
  constructor(ofp: string, log = "", module = "") {
    super(log);
    this.ofp = ofp;
    this.module = module;
  }
}
