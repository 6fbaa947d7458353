/**
 * Flows in color, as `ovs-ofctl --color` prints them: the plain text of a match or of actions is painted by its words, so
 * that no formatter knows of colors. Which word has which color, and where a comma or a parenthesis has it too, is the
 * original's. Upstream: colors, and all of ofp-actions.
 */

/** actions=, drop, learn(, names of fields and arguments, keywords with parentheses, special words, lone words. */
export type Role = "ac" | "dr" | "le" | "pm" | "pr" | "sp" | "vl";

/** Puts a text in a role's color. */
export type Paint = (role: Role, text: string) => string;

/** No colors. */
export const plain: Paint = (_role, text) => text;

const DEFAULTS: Readonly<Record<Role, string>> = {
  ac: "1;31",
  dr: "34",
  le: "31",
  pm: "36",
  pr: "35",
  sp: "33",
  vl: "32",
};

/** Colors by OVS_COLORS, "dr=34:le=31": what it leaves out, or spoils, keeps its default. */
export function paintWith(setting: string | undefined): Paint {
  const codes = { ...DEFAULTS };
  for (const [role, code] of capabilities(setting ?? "")) {
    if (role in codes) codes[role as Role] = code;
  }
  return (role, text) => `\x1b[${codes[role]}m\x1b[K${text}\x1b[m\x1b[K`;
}

function* capabilities(setting: string): Generator<[name: string, code: string]> {
  for (const item of setting.split(":")) {
    const found = /^([^=]*)=([0-9;]*)$/.exec(item);
    if (found !== null) yield [found[1]!, found[2]!];
  }
}

const PLAIN_NAMES = /^(packet_type|tun_metadata|tun_erspan|gtpu_)/;

/** A match as formatMatch makes it, in color. */
export function paintMatch(text: string, paint: Paint): string {
  return text.replace(/"(?:[^"\\]|\\.)*"|(?<=^|,)([a-z]\w*)(=?)/g, (item, name?: string, equals?: string) => {
    if (name === undefined || PLAIN_NAMES.test(name)) return item;
    if (name === "conj_id") return `${paint("pm", name)}${equals}`;
    if (name === "priority") return paint("sp", item);
    return paint(equals === "" ? "vl" : "pm", item);
  });
}

/** What stands between parentheses: actions, arguments ("zone=5,commit"), what learn, nat and bundle have. */
type Inside = "actions" | "arguments" | "learn" | "nat" | "members";

/** Keywords with such parentheses; those of others have nothing to paint in them. */
const INSIDE: Readonly<Record<string, Inside>> = {
  clone: "actions",
  write_actions: "actions",
  exec: "actions",
  controller: "arguments",
  sample: "arguments",
  fin_timeout: "arguments",
  ct: "arguments",
  learn: "learn",
  nat: "nat",
  bundle: "members",
  bundle_load: "members",
};

/** Keywords whose opening parenthesis is painted by itself. */
const APART = new Set(["nat", "dec_ttl"]);
const SPECIAL = new Set([
  ...["output", "group", "set_field", "load", "move", "resubmit", "table", "priority", "exit", "dec_nsh_ttl"],
]);
const WITH_ARROW = new Set(["set_field", "load", "move"]);
const LONE = new Set(["pop_queue", "strip_vlan", "pop_vlan", "clear_actions", "dec_mpls_ttl", "ct_clear"]);
/** In learn, the comma before these has their color. */
const WITH_COMMA = new Set(["fin_hard_timeout", "priority"]);

/** Actions as formatActions makes them, in color. */
export function paintActions(text: string, paint: Paint): string {
  return new ActionsPainter(text, paint).list("actions");
}

class ActionsPainter {
  readonly #text: string;
  readonly #paint: Paint;
  #at = 0;

  constructor(text: string, paint: Paint) {
    this.#text = text;
    this.#paint = paint;
  }

  /** Items up to the parenthesis that closes them, which is left, or the end. */
  list(inside: Inside): string {
    let out = "";
    while (this.#at < this.#text.length && this.#text[this.#at] !== ")") {
      if (this.#text[this.#at] === ",") {
        this.#at++;
        const next = inside === "learn" ? this.#match(/\w+(?==)/y) : undefined;
        this.#at -= next?.length ?? 0;
        if (next !== undefined && WITH_COMMA.has(next)) {
          out += this.#paint(SPECIAL.has(next) ? "sp" : "pm", `,${this.#match(/\w+=/y)}`) + this.#rest();
          continue;
        }
        out += ",";
      }
      out += this.#item(inside);
    }
    return out;
  }

  #item(inside: Inside): string {
    const word = this.#match(/[a-z][a-z0-9_]*/y) ?? "";
    if (inside === "members" && word !== "members") return word + this.#rest();
    if (inside === "learn" && word === "") return this.#learned();
    const next = this.#text[this.#at];
    if (next === "(") return this.#keyword(word);
    if (inside === "nat") return this.#natItem(word);
    if (word !== "" && (next === ":" || next === "=")) {
      this.#at++;
      return (
        this.#paint(SPECIAL.has(word) ? "sp" : "pm", word + next) +
        (WITH_ARROW.has(word) ? this.#arrow() : this.#rest())
      );
    }
    return this.#lone(word, inside);
  }

  #lone(word: string, inside: Inside): string {
    if (word === "drop") return this.#paint("dr", word);
    if (word === "nat" || word === "dec_ttl") return this.#paint("pr", word);
    if (SPECIAL.has(word)) return this.#paint("sp", word);
    if (inside === "arguments" || inside === "learn") {
      return this.#paint(/gress$/.test(word) ? "pm" : "vl", word) + this.#rest();
    }
    return (LONE.has(word) ? this.#paint("vl", word) : word) + this.#rest();
  }

  /** A word before a parenthesis, and all up to the end of the item. */
  #keyword(word: string): string {
    const paint = this.#paint;
    this.#at++;
    if (word === "output") return `${paint("sp", word)}(${this.#enclosed()})`;
    if (word === "check_pkt_larger") return `${paint("pm", `${word}(`)}${this.#enclosed()})${this.#rest()}`;
    const role = word === "learn" ? "le" : "pr";
    const head = APART.has(word) ? paint(role, word) + paint(role, "(") : paint(role, `${word}(`);
    if (word === "encap") return head + this.#encap() + paint(role, ")");
    const inside = INSIDE[word];
    if (inside === undefined) return head + this.#enclosed() + paint(role, ")");
    const body = this.list(inside);
    this.#at++;
    // The original does not take this comma back when it is painted.
    if (word === "exec") {
      if (this.#text[this.#at] === ",") this.#at++;
      const following = this.#text[this.#at] === ")" ? "" : this.#item("arguments");
      return head + body + paint(role, "),") + following;
    }
    return head + body + paint(role, ")");
  }

  /** nsh(md_type=1) or a plain word, and the parenthesis after it. */
  #encap(): string {
    const kind = this.#match(/\w+/y) ?? "";
    let out = kind;
    if (this.#text[this.#at] === "(") {
      this.#at++;
      out += this.#paint("pr", "(") + this.#enclosed() + this.#paint("pr", ")");
    }
    this.#at++;
    return out;
  }

  #natItem(word: string): string {
    if (word !== "src" && word !== "dst") return this.#paint("vl", word) + this.#rest();
    const equals = this.#match(/=/y);
    return this.#paint("pm", word) + (equals === undefined ? "" : this.#paint("pm", equals)) + this.#rest();
  }

  /** A field of learn: alone, with the field it is learned from, or with a value. */
  #learned(): string {
    const field = this.#match(/[^=,)]*/y) ?? "";
    if (this.#match(/=/y) === undefined) return this.#paint("pm", field);
    const value = this.#rest();
    return value.endsWith("]")
      ? `${this.#paint("pm", field)}${this.#paint("pm", "=")}${value}`
      : `${this.#paint("pm", `${field}=`)}${value}`;
  }

  /** A value, "->" and what it goes to. */
  #arrow(): string {
    const rest = this.#rest();
    const at = rest.indexOf("->");
    return at < 0 ? rest : rest.slice(0, at) + this.#paint("sp", "->") + rest.slice(at + 2);
  }

  /** As it is, up to the parenthesis that closes it, which is taken but not given. */
  #enclosed(): string {
    let out = this.#rest();
    while (this.#text[this.#at] === ",") {
      this.#at++;
      out += `,${this.#rest()}`;
    }
    this.#at++;
    return out;
  }

  /** As it is, up to the comma or closing parenthesis that ends the item; quoted names and what is enclosed stay whole. */
  #rest(): string {
    const start = this.#at;
    for (let depth = 0; this.#at < this.#text.length; this.#at++) {
      const c = this.#text[this.#at];
      if (c === '"') this.#match(/"(?:[^"\\]|\\.)*/y);
      else if (c === "(") depth++;
      else if (depth === 0 && (c === "," || c === ")")) break;
      else if (c === ")") depth--;
    }
    return this.#text.slice(start, this.#at);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
}
