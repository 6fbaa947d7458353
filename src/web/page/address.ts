/** The part of the address behind "#": #/PAGE/WORD...?name=value. */

export interface Route {
  readonly page: string;
  readonly words: readonly string[];
  readonly query: URLSearchParams;
}

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [page = "", ...words] = path.split("/").map(decode);
  return { page, words: words.filter((word) => word !== ""), query: new URLSearchParams(query) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function href(
  page: string,
  words: readonly (string | number)[] = [],
  query: Readonly<Record<string, string>> = {},
): string {
  const path = [page, ...words].map((word) => encodeURIComponent(word)).join("/");
  const parameters = new URLSearchParams(query).toString();
  return `#/${path}${parameters === "" ? "" : `?${parameters}`}`;
}
