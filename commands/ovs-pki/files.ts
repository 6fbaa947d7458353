/** Files of keys and certificates: read with one clear complaint, written whole or not at all. */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { fatalErrno } from "../../src/lib/applet.ts";
import { Fatal } from "../../src/lib/errors.ts";

export function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw fatalErrno(error, `cannot read ${file}`);
  }
}

/** Through a new file of that mode, so that a private key is never open to others, not even for a moment. */
export function replaceFile(file: string, text: string, mode = 0o666): void {
  const fresh = `${file}.new.${process.pid}`;
  try {
    rmSync(fresh, { force: true });
    writeFileSync(fresh, text, { mode, flag: "wx" });
    renameSync(fresh, file);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw fatalErrno(error, `cannot write ${file}`);
  }
}

export function mustExist(file: string): void {
  if (!existsSync(file)) throw new Fatal(`${file} does not exist`);
}

export function mustNotExist(file: string, force: boolean): void {
  if (!force && existsSync(file)) throw new Fatal(`${file} already exists and --force not supplied`);
}
