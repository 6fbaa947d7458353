/** The `%` escapes of log patterns, as ovs-appctl(8) lists them, compiled once to a function of a record. Pure. */
export interface LogRecord {
  program: string;
  subprogram: string;
  module: string;
  /** 1 (EMER) to 5 (DBG). */
  level: number;
  serial: number;
  text: string;
  wallMs: number;
  elapsedMs: number;
  pid: number;
  host(): string;
  facility: number;
}

export type Pattern = (record: LogRecord) => string;

const LEVELS = ["OFF", "EMER", "ERR", "WARN", "INFO", "DBG"];
/** syslog(3): alert, err, warning, notice, debug. */
const SEVERITIES = [7, 1, 3, 4, 5, 7];

/** RFC 5424 section 6.2.1. */
export const FACILITIES: Readonly<Record<string, number>> = {
  kern: 0,
  user: 1,
  mail: 2,
  daemon: 3,
  auth: 4,
  syslog: 5,
  lpr: 6,
  news: 7,
  uucp: 8,
  clock: 9,
  ftp: 11,
  ntp: 12,
  audit: 13,
  alert: 14,
  clock2: 15,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23,
};

const ESCAPES: Readonly<Record<string, Pattern>> = {
  A: (r) => r.program,
  B: (r) => String(r.facility * 8 + SEVERITIES[r.level]!),
  c: (r) => r.module,
  E: (r) => r.host(),
  m: (r) => r.text,
  N: (r) => String(r.serial),
  n: () => "\n",
  p: (r) => LEVELS[r.level]!,
  P: (r) => String(r.pid),
  r: (r) => String(Math.floor(r.elapsedMs)),
  t: (r) => r.subprogram || "main",
  T: (r) => (r.subprogram === "" ? "" : `(${r.subprogram})`),
};

export function compilePattern(text: string): Pattern {
  const parts: Pattern[] = [];
  const rule = /%(-?)(0?)(\d*)(?:([dD])(?:\{([^}]*)\})?|([\s\S]))|[^%]+|%$/g;
  for (const [whole, left, zero, width, date, format, letter] of text.matchAll(rule)) {
    if (date === undefined && letter === undefined) {
      if (whole !== "%") parts.push(() => whole);
      continue;
    }
    const expand: Pattern =
      date === undefined
        ? (ESCAPES[letter!] ?? (() => letter!))
        : (r) => strftime(format ?? "%Y-%m-%d %H:%M:%S.###", r.wallMs, date === "D");
    const columns = Number(width || 0);
    if (columns === 0) parts.push(expand);
    else if (left) parts.push((r) => expand(r).padEnd(columns));
    else parts.push((r) => expand(r).padStart(columns, zero ? "0" : " "));
  }
  return (record) => {
    let line = "";
    for (const part of parts) line += part(record);
    return line;
  };
}

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = "January February March April May June July August September October November December".split(
  " ",
);

/** strftime(3) in the C locale; a run of `#` is replaced by that many digits of the second's fraction. */
export function strftime(format: string, wallMs: number, utc: boolean): string {
  const date = new Date(Math.floor(wallMs));
  const shift = utc ? 0 : -date.getTimezoneOffset();
  const t = new Date(date.getTime() + shift * 60_000);
  const two = (value: number): string => String(value).padStart(2, "0");
  const fields: Readonly<Record<string, () => string>> = {
    a: () => DAYS[t.getUTCDay()]!.slice(0, 3),
    A: () => DAYS[t.getUTCDay()]!,
    b: () => MONTHS[t.getUTCMonth()]!.slice(0, 3),
    B: () => MONTHS[t.getUTCMonth()]!,
    c: () => expand("%a %b %e %H:%M:%S %Y"),
    C: () => two(Math.floor(t.getUTCFullYear() / 100)),
    d: () => two(t.getUTCDate()),
    D: () => expand("%m/%d/%y"),
    e: () => String(t.getUTCDate()).padStart(2),
    F: () => expand("%Y-%m-%d"),
    h: () => fields.b!(),
    H: () => two(t.getUTCHours()),
    I: () => two(t.getUTCHours() % 12 || 12),
    j: () =>
      String(Math.floor((t.getTime() - Date.UTC(t.getUTCFullYear(), 0, 1)) / 86_400_000) + 1).padStart(
        3,
        "0",
      ),
    k: () => String(t.getUTCHours()).padStart(2),
    l: () => String(t.getUTCHours() % 12 || 12).padStart(2),
    m: () => two(t.getUTCMonth() + 1),
    M: () => two(t.getUTCMinutes()),
    n: () => "\n",
    p: () => (t.getUTCHours() < 12 ? "AM" : "PM"),
    r: () => expand("%I:%M:%S %p"),
    R: () => expand("%H:%M"),
    s: () => String(Math.floor(date.getTime() / 1000)),
    S: () => two(t.getUTCSeconds()),
    t: () => "\t",
    T: () => expand("%H:%M:%S"),
    u: () => String(t.getUTCDay() || 7),
    w: () => String(t.getUTCDay()),
    x: () => expand("%m/%d/%y"),
    X: () => expand("%H:%M:%S"),
    y: () => two(t.getUTCFullYear() % 100),
    Y: () => String(t.getUTCFullYear()),
    z: () => `${shift < 0 ? "-" : "+"}${two(Math.floor(Math.abs(shift) / 60))}${two(Math.abs(shift) % 60)}`,
    Z: () => (utc ? "GMT" : (process.env.TZ ?? "UTC")),
    "%": () => "%",
  };
  const expand = (text: string): string =>
    text.replace(/%([\s\S])/g, (all, letter: string) => fields[letter]?.() ?? all);
  const fraction = String(date.getTime() % 1000).padStart(3, "0");
  return expand(format).replace(/#+/g, (run) => fraction.slice(0, run.length).padEnd(run.length, "0"));
}
