/** Capture files of dummy devices: made anew, then appended to. */
import fs from "node:fs";

export const captureFiles = {
  create(path: string, header: Uint8Array): void {
    fs.writeFileSync(path, header);
  },
  append(path: string, bytes: Uint8Array): void {
    fs.appendFileSync(path, bytes);
  },
};
