/** What commands print of the messages they get: text, or with --format=json one line of JSON. */
import { makeMatch } from "../../src/flow/match.ts";
import { TextWriter } from "../../src/lib/text-writer.ts";
import { OfpError } from "../../src/openflow/errors.ts";
import type { Decoded } from "../../src/openflow/messages.ts";
import type { PrintOptions } from "../../src/openflow/text/common.ts";
import {
  decodedJson,
  type JsonObject,
  jsonText,
  mergeJson,
  messageJson,
} from "../../src/openflow/text/json.ts";
import { printMessage, writeMessage } from "../../src/openflow/text/print.ts";
import type { Ofctl } from "./settings.ts";

/** One message by itself, with its newline. */
export function messageOutput(o: Ofctl, bytes: Uint8Array, options: PrintOptions): string {
  return o.settings.json ? `${jsonText(messageJson(bytes, options))}\n` : messageText(o, bytes, options);
}

/** The same as text whatever --format says. */
export function messageText(o: Ofctl, bytes: Uint8Array, options: PrintOptions): string {
  return printMessage(bytes, { ...options, paint: o.settings.paint });
}

/** A write for each message would cost more than the message. */
const OUTPUT_CHUNK = 65_536;

/** Many messages of a file, each as by {@link messageOutput}, written by the chunk; `end` writes the rest. */
export class MessagesOutput {
  readonly #ofctl: Ofctl;
  readonly #options: PrintOptions;
  readonly #out = new TextWriter(OUTPUT_CHUNK * 2);

  constructor(ofctl: Ofctl, options: PrintOptions) {
    this.#ofctl = ofctl;
    this.#options = { ...options, paint: ofctl.settings.paint, scratch: makeMatch() };
  }

  add(bytes: Uint8Array): void {
    if (this.#ofctl.settings.json) this.#out.text(`${jsonText(messageJson(bytes, this.#options))}\n`);
    else writeMessage(this.#out, bytes, this.#options);
    if (this.#out.pos >= OUTPUT_CHUNK) this.end();
  }

  end(): void {
    const { bytes, pos } = this.#out;
    if (pos > 0) this.#ofctl.platform.stdout(bytes.subarray(0, pos));
    this.#out.pos = 0;
  }
}

/** The replies of one command: text goes out at once; JSON is merged into one object, printed by `end`. */
export class Replies {
  readonly #ofctl: Ofctl;
  readonly #options: PrintOptions;
  #merged: JsonObject | undefined;

  constructor(ofctl: Ofctl, options: PrintOptions) {
    this.#ofctl = ofctl;
    this.#options = { verbosity: ofctl.settings.verbosity + 1, ...options };
  }

  add(bytes: Uint8Array, decoded?: Decoded | OfpError): void {
    const { platform, settings } = this.#ofctl;
    if (!settings.json) {
      platform.stdout(messageText(this.#ofctl, bytes, this.#options));
      return;
    }
    const part =
      decoded === undefined || decoded instanceof OfpError
        ? messageJson(bytes, this.#options)
        : decodedJson(decoded, this.#options);
    if (this.#merged === undefined) this.#merged = part;
    else mergeJson(this.#merged, part);
  }

  end(): void {
    if (this.#merged !== undefined) this.#ofctl.platform.stdout(`${jsonText(this.#merged)}\n`);
  }
}
