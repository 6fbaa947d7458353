/** A fingerprint to read out over the telephone: SHA-1 of a certificate's DER, of any other file's bytes. */
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { fatalErrno } from "../../src/lib/applet.ts";
import { readPem } from "./der.ts";

export function fingerprint(file: string): string {
  try {
    const bytes = readFileSync(file);
    const [certificate] = readPem(/^CERTIFICATE$/, bytes.toString("latin1"));
    const sha1 = createHash("sha1")
      .update(certificate ?? bytes)
      .digest("hex");
    const hash = certificate === undefined ? sha1 : sha1.toUpperCase();
    return `${file}\t${dateText(statSync(file).mtime)}\n\tfingerprint ${hash}\n`;
  } catch (error) {
    throw fatalErrno(error, `cannot read ${file}`);
  }
}

/** As date(1) in the C locale: "Sun Nov 29 08:36:07 UTC 2026". */
function dateText(date: Date): string {
  const [weekday, month, , year, time] = date.toString().split(" ");
  const zone = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" })
    .formatToParts(date)
    .find(({ type }) => type === "timeZoneName");
  return `${weekday} ${month} ${String(date.getDate()).padStart(2)} ${time} ${zone?.value ?? "UTC"} ${year}`;
}
