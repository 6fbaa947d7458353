/** Where Open vSwitch keeps its files; each folder can be moved by the environment variable of the same name. */
export interface Dirs {
  /** OVS_RUNDIR: sockets and pid files. */
  readonly run: string;
  /** OVS_LOGDIR */
  readonly log: string;
  /** OVS_DBDIR: conf.db */
  readonly db: string;
  /** OVS_SYSCONFDIR */
  readonly sysconf: string;
  /** OVS_PKGDATADIR: schemas, scripts. */
  readonly pkgdata: string;
}

type Env = Readonly<Record<string, string | undefined>>;

export function dirs(env: Env): Dirs {
  const pick = (name: string, fallback: string): string => env[name] || fallback;
  const sysconf = pick("OVS_SYSCONFDIR", "/etc");
  return {
    run: pick("OVS_RUNDIR", "/var/run/openvswitch"),
    log: pick("OVS_LOGDIR", "/var/log/openvswitch"),
    db: env.OVS_DBDIR || `${sysconf}/openvswitch`,
    sysconf,
    pkgdata: pick("OVS_PKGDATADIR", "/usr/share/openvswitch"),
  };
}

/** `name` itself when absolute, else inside `folder`. */
export function absolute(folder: string, name: string): string {
  return name.startsWith("/") ? name : folder.endsWith("/") ? folder + name : `${folder}/${name}`;
}
