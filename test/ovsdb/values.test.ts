/** Atoms, types, datums, schemas, conditions and mutations: JSON form, text form, and what is said about bad ones. */
import fc from "fast-check";
import t from "tap";
import type { Json } from "../../src/lib/json.ts";
import { parseJson } from "../../src/lib/json.ts";
import type { Atom } from "../../src/ovsdb/atom.ts";
import { atomFromJson, compareAtoms, compareStrings } from "../../src/ovsdb/atom.ts";
import {
  applyDiff,
  datumFromJson,
  datumJsonText,
  datumToJson,
  diffDatums,
  equalDatums,
  makeDatum,
  subtractDatums,
  unionDatums,
} from "../../src/ovsdb/datum.ts";
import { formatDatum, parseDatum } from "../../src/ovsdb/datum-text.ts";
import { sortedText } from "../../src/ovsdb/json-text.ts";
import { RowMap } from "../../src/ovsdb/row-map.ts";
import { schemaFromJson, schemaToJson } from "../../src/ovsdb/schema.ts";
import { checkAtom, columnTypeFromJson, columnTypeToJson } from "../../src/ovsdb/type.ts";

function outcome(run: () => string): string {
  try {
    return run();
  } catch (error) {
    return `! ${(error as Error).message}`;
  }
}

t.test("column types: canonical form and complaints", async (t) => {
  const cases: [string, string][] = [
    ['"integer"', '"integer"'],
    ['{"key":{"type":"integer","enum":["set",[2,1]]}}', '{"key":{"enum":["set",[1,2]],"type":"integer"}}'],
    ['{"key":{"type":"integer","enum":5}}', '{"key":{"enum":5,"type":"integer"}}'],
    [
      '{"key":"string","min":0,"max":"unlimited","value":{"type":"uuid","refTable":"a","refType":"weak"}}',
      '{"key":"string","max":"unlimited","min":0,"value":{"refTable":"a","refType":"weak","type":"uuid"}}',
    ],
    [
      '{"key":{"type":"integer","minInteger":-9223372036854775808,"maxInteger":4}}',
      '{"key":{"maxInteger":4,"type":"integer"}}',
    ],
    [
      '{"key":"string","min":5}',
      '! syntax "{"key":"string","min":5}": syntax error: ovsdb type fails constraint checks',
    ],
    [
      '{"key":{"type":"integer","minInteger":5,"maxInteger":3}}',
      '! syntax "{"maxInteger":3,"minInteger":5,"type":"integer"}": syntax error: minInteger exceeds maxInteger',
    ],
    [
      '{"key":{"type":"string","refTable":"x"}}',
      `! syntax "{"refTable":"x","type":"string"}": syntax error: Parsing ovsdb type failed: Member 'refTable' is present but not allowed here.`,
    ],
    [
      '{"key":{"type":"real","enum":["set",[]]}}',
      '! syntax "["set",[]]": syntax error: set must have 1 to 4294967295 members but 0 are present',
    ],
    ['{"key":"foo"}', '! syntax ""foo"": syntax error: "foo" is not an atomic-type'],
    ["{}", `! syntax "{}": syntax error: Parsing ovsdb type failed: Required 'key' member is missing.`],
  ];
  for (const [input, want] of cases) {
    t.equal(
      outcome(() => sortedText(columnTypeToJson(columnTypeFromJson(parseJson(input))))),
      want,
      input,
    );
  }
});

t.test("values from JSON and back", async (t) => {
  const set = '{"key":"integer","max":3,"min":0}';
  const map = '{"key":"string","value":"integer","max":"unlimited","min":0}';
  const cases: [string, string, string][] = [
    [set, '["set",[2,1]]', '["set",[1,2]]'],
    [set, '["set",[5]]', "5"],
    [set, "9223372036854775807", "9223372036854775807"],
    [set, "-9223372036854775808", "-9223372036854775808"],
    [set, "9007199254740993", "9007199254740993"],
    [set, '["set",[1,2,1]]', "! ovsdb error: set contains duplicate"],
    [
      set,
      '["set",[1,2,3,4]]',
      '! syntax "["set",[1,2,3,4]]": syntax error: set must have 0 to 3 members but 4 are present',
    ],
    [set, '["map",[]]', '! syntax "["map",[]]": syntax error: expected integer'],
    [set, "1.5", '! syntax "1.5": syntax error: expected integer'],
    [
      '"string"',
      '["set",["a","b"]]',
      '! syntax "["set",["a","b"]]": syntax error: set must have exactly one member but 2 are present',
    ],
    [map, '["map",[["b",1],["a",2]]]', '["map",[["a",2],["b",1]]]'],
    [map, '["map",[["a",1],["a",2]]]', "! ovsdb error: map contains duplicate key"],
    [map, '["map",["x"]]', '! syntax ""x"": syntax error: expected 2-element array'],
    [map, '["set",[]]', '! syntax "["set",[]]": syntax error: expected ["map", <array>]'],
    ['"real"', "1e21", "1e+21"],
    ['"real"', "0.00001", "1e-05"],
    ['"real"', "1e15", "1e+15"],
    ['"real"', "1.5e-7", "1.5e-07"],
    ['"real"', "0.30000000000000004", "0.30000000000000004"],
    ['"real"', "-0", "0"],
    [
      '"uuid"',
      '["uuid","550E8400-e29b-41d4-a716-446655440000"]',
      '["uuid","550e8400-e29b-41d4-a716-446655440000"]',
    ],
    ['"uuid"', '["uuid","5"]', '! syntax "["uuid","5"]": syntax error: "5" is not a valid UUID'],
    [
      '"uuid"',
      '["named-uuid","x"]',
      '! syntax "["named-uuid","x"]": syntax error: expected ["uuid", <string>]',
    ],
    [
      '{"key":{"type":"string","minLength":3}}',
      '"ab"',
      '! constraint violation: "ab" length 2 is less than minimum allowed length 3',
    ],
    ['{"key":{"type":"string","maxLength":2}}', '"\u{1d11e}\u{1d11e}"', '"\u{1d11e}\u{1d11e}"'],
    [
      '{"key":{"type":"integer","minInteger":3,"maxInteger":9}}',
      "10",
      "! constraint violation: 10 is not in the valid range 3 to 9 (inclusive)",
    ],
    [
      '{"key":{"type":"real","minReal":3.5}}',
      "1",
      "! constraint violation: 1 is less than minimum allowed value 3.5",
    ],
    [
      '{"key":{"type":"string","enum":["set",["x","y","a b"]]}}',
      '"z"',
      '! constraint violation: z is not one of the allowed values (["a b", x, y])',
    ],
  ];
  for (const [type, input, want] of cases) {
    const parsed = columnTypeFromJson(parseJson(type));
    t.equal(
      outcome(() => datumJsonText(parsed, datumFromJson(parsed, parseJson(input)))),
      want,
      `${type} ${input}`,
    );
  }
});

t.test("values as text", async (t) => {
  const strings = '{"key":"string","max":"unlimited","min":0}';
  const map = '{"key":"string","value":"integer","max":"unlimited","min":0}';
  const integers = '{"key":{"type":"integer","minInteger":1},"max":10,"min":0}';
  const cases: [string, string, string][] = [
    [strings, "a b", "[a, b]"],
    [strings, '[a,"b]"]', '[a, "b]"]'],
    [strings, '"a\\"b", c', '["a\\"b", c]'],
    [strings, "true", '["true"]'],
    [strings, "[]", "[]"],
    [strings, "", '! use "[]" to specify the empty set'],
    [strings, "a,,b", '! a,,b: unexpected "," parsing set of strings'],
    [strings, "[a", '! [a: missing "]" at end of data'],
    [strings, "[a]b", '! [a]b: trailing garbage after "]"'],
    [strings, '"abc', '! "abc: quoted string extends past end of argument'],
    [strings, '"a\\q"', '! "a\\q": bad escape \\q'],
    [map, "a=1 b = 2", "{a=1, b=2}"],
    [map, '{"a b"=1}', '{"a b"=1}'],
    [map, "a:1", '! a:1: syntax error at ":" expecting "="'],
    [map, "a=b", '! "b" is not a valid integer or range'],
    [map, "a=1,a=2", "! a=1,a=2: map contains duplicate key"],
    [map, "", '! use "{}" to specify the empty map'],
    [integers, "1-5,7", "[1, 2, 3, 4, 5, 7]"],
    [integers, "0", "! constraint violation: 0 is less than minimum allowed value 1"],
    [integers, "5-1", '! "5-1" is not a valid range. Range end cannot be before start.'],
    ['"string"', "a b", "! a b: 2 value(s) specified but the maximum number is 1"],
    ['"string"', '"a b"', '"a b"'],
    ['"string"', "a-b.c", "a-b.c"],
    ['"string"', "5", '"5"'],
    ['"boolean"', "yes", "true"],
    ['"boolean"', "x", '! "x" is not a valid boolean (use "true" or "false")'],
    ['"real"', "0x10", "16"],
  ];
  for (const [type, input, want] of cases) {
    const parsed = columnTypeFromJson(parseJson(type));
    t.equal(
      outcome(() => formatDatum(parsed, parseDatum(parsed, input))),
      want,
      `${type} <${input}>`,
    );
  }
});

t.test("schemas", async (t) => {
  const wrap = (table: string): string => `{"name":"a","tables":{"x":${table}}}`;
  const cases: [string, string][] = [
    [
      '{"name":"a","version":"1.2.3","cksum":"1 2","tables":{"x":{"maxRows":5,"isRoot":true,"indexes":[["b","a"]],"columns":{"b":{"type":"string"},"a":{"type":{"key":{"type":"uuid","refTable":"y"}}}}},"y":{"columns":{"a":{"type":"string","ephemeral":true,"mutable":false}}}}}',
      '{"cksum":"1 2","name":"a","tables":{"x":{"columns":{"a":{"type":{"key":{"refTable":"y","type":"uuid"}}},"b":{"type":"string"}},"indexes":[["b","a"]],"isRoot":true,"maxRows":5},"y":{"columns":{"a":{"ephemeral":true,"mutable":false,"type":"string"}}}},"version":"1.2.3"}',
    ],
    ["[]", "! syntax error: Parsing database schema failed: Object expected."],
    [
      '{"name":"a","version":"1","tables":{}}',
      '! syntax "{"name":"a","tables":{},"version":"1"}": syntax error: schema version "1" not in format x.y.z',
    ],
    [wrap('{"columns":{}}'), '! syntax "{"columns":{}}": syntax error: table must have at least one column'],
    [
      wrap('{"columns":{"_a":{"type":"integer"}}}'),
      '! syntax "{"columns":{"_a":{"type":"integer"}}}": syntax error: names beginning with "_" are reserved',
    ],
    [
      wrap('{"columns":{"a":{"type":{"key":{"type":"uuid","refTable":"z"}}}}}'),
      "! syntax error: column a key refers to undefined table z",
    ],
    [
      wrap('{"columns":{"a":{"type":"integer"}},"indexes":[["b"]]}'),
      '! syntax "["b"]": syntax error: b is not a valid column name',
    ],
    [
      wrap('{"columns":{"a":{"type":"integer"}},"maxRows":0}'),
      '! syntax "{"columns":{"a":{"type":"integer"}},"maxRows":0}": syntax error: maxRows must be at least 1',
    ],
  ];
  for (const [input, want] of cases) {
    t.equal(
      outcome(() => sortedText(schemaToJson(schemaFromJson(parseJson(input))))),
      want,
      input,
    );
  }
});

t.test("strings compare by code point", async (t) => {
  t.ok(compareStrings("\uffff", "\u{10000}") < 0, "U+FFFF before U+10000");
  const bytes = fc.string({ unit: "binary" });
  fc.assert(
    fc.property(bytes, bytes, (a, b) => {
      const want = Buffer.compare(Buffer.from(a), Buffer.from(b));
      return Math.sign(compareStrings(a, b)) === want;
    }),
  );
});

const SET = columnTypeFromJson({ key: "integer", min: 0, max: "unlimited" });
const MAP = columnTypeFromJson({ key: "string", value: "integer", min: 0, max: "unlimited" });
const small = fc.integer({ min: 0, max: 12 });
const sets = fc.array(small).map((atoms) => makeDatum(atoms, undefined, "drop"));
const maps = fc.array(fc.tuple(fc.string({ maxLength: 1 }), small)).map((pairs) =>
  makeDatum(
    pairs.map((pair) => pair[0]),
    pairs.map((pair) => pair[1]),
    "drop",
  ),
);

t.test("differences can be applied", async () => {
  fc.assert(fc.property(sets, sets, (a, b) => equalDatums(applyDiff(SET, a, diffDatums(SET, a, b)), b)));
  fc.assert(fc.property(maps, maps, (a, b) => equalDatums(applyDiff(MAP, a, diffDatums(MAP, a, b)), b)));
});

t.test("sets behave as sets", async () => {
  const elements = (atoms: readonly Atom[]): string => JSON.stringify(atoms);
  fc.assert(
    fc.property(sets, sets, (a, b) => {
      const union = [...new Set([...a.keys, ...b.keys])].sort(compareAtoms);
      const rest = a.keys.filter((key) => !b.keys.includes(key));
      return (
        elements(unionDatums(a, b).keys) === elements(union) &&
        elements(subtractDatums(a, b).keys) === elements(rest)
      );
    }),
  );
});

t.test("JSON and text forms can be read back", async () => {
  const strings = columnTypeFromJson({ key: "string", min: 0, max: "unlimited" });
  const values = fc.array(fc.string({ minLength: 1 })).map((atoms) => makeDatum(atoms, undefined, "drop"));
  fc.assert(
    fc.property(values, (datum) => {
      const json = datumFromJson(strings, JSON.parse(datumJsonText(strings, datum)) as Json);
      return equalDatums(json, datum) && equalDatums(parseDatum(strings, formatDatum(strings, datum)), datum);
    }),
  );
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      const atom = atomFromJson("integer", parseJson(String(value)));
      checkAtom(SET.key, atom);
      return (
        String(atom) === String(value) &&
        sortedText(datumToJson(SET, makeDatum([atom], undefined, "drop"))) === String(value)
      );
    }),
  );
});

t.test("rows are kept as a Map keeps them, whatever comes and goes", async (t) => {
  // Some differ in their last digits only, some in their first.
  const names = Array.from({ length: 4000 }, (_, i) => {
    const digits = i.toString(16).padStart(8, "0");
    return i % 2 === 0 ? `${digits}-0000-4000-8000-000000000000` : `00000000-0000-4000-8000-0000${digits}`;
  });
  const rows = new RowMap<{ readonly uuid: string; readonly number: number }>();
  const model = new Map<string, number>();
  let state = 1;
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  // How often of ten a row is added rather than deleted: it fills, empties, and fills again.
  for (const [round, adds] of [9, 5, 1, 2, 9, 0].entries()) {
    for (let i = 0; i < 6000; i++) {
      const uuid = names[random(names.length)]!;
      if (random(10) < adds) {
        if (!model.has(uuid)) rows.add({ uuid, number: i });
        if (!model.has(uuid)) model.set(uuid, i);
      } else if (rows.delete(uuid) !== model.delete(uuid)) t.fail(`delete ${uuid}`);
      if (rows.size !== model.size) t.fail(`size ${rows.size}, not ${model.size}`);
    }
    for (const uuid of names) {
      if (rows.get(uuid)?.number !== model.get(uuid) || rows.has(uuid) !== model.has(uuid))
        t.fail(`get ${uuid} in round ${round}`);
    }
    const pairs = [...model].join();
    const show = (row: { uuid: string; number: number }): string => `${row.uuid},${row.number}`;
    t.equal([...rows.values()].map(show).join(), pairs, `round ${round}: ${model.size} rows`);
    t.equal(rows.list().map(show).join(), pairs);
  }
  rows.clear();
  t.equal(rows.size, 0);
  t.equal(rows.get(names[0]!), undefined);
  t.same([...rows.values()], []);
});
