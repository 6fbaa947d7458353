/** The field registry: complete, consistent, and every field readable and writable in its place. */
import fc from "fast-check";
import t from "tap";
import {
  clearField,
  FIELDS,
  fieldByHeader,
  fieldByName,
  fieldByOxmName,
  fillField,
  getField,
  getFieldBig,
  headerFor,
  isFieldExact,
  isFieldZero,
  mustField,
  readFieldBytes,
  setField,
  setFieldBig,
  writeFieldBytes,
} from "../../src/flow/fields/index.ts";
import { FLOW_WORDS } from "../../src/flow/layout.ts";

t.test("rows agree with each other", async (t) => {
  t.equal(FIELDS.length, 93 - 2 + 64 + 32 + 16 + 8, "plain fields, tunnel options, registers");
  const headers = new Set<string>();
  for (const field of FIELDS) {
    t.equal(FIELDS[field.id], field, `${field.name} is at its id`);
    t.equal(fieldByName(field.name), field);
    if (field.alias !== undefined) t.equal(fieldByName(field.alias), field);
    t.ok(field.bits <= field.bytes * 8 && field.bits > 0, `${field.name}: bits fit the bytes`);
    const width = field.places.reduce((sum, [, , bits]) => sum + bits, 0);
    if (!field.isTunMetadata)
      t.ok(
        width >= Math.min(field.bits, 32) || ["arp_op", "ct_state"].includes(field.name),
        `${field.name}: places hold it`,
      );
    for (const [word, shift, bits] of field.places) t.ok(word < FLOW_WORDS && shift + bits <= 32);
    for (const header of field.headers) {
      const key = `${header.oxmClass}.${header.number}.${header.experimenter}`;
      t.notOk(headers.has(key), `${header.name} has a number of its own`);
      headers.add(key);
      t.ok(header.number < 128);
      t.equal(fieldByOxmName(header.name)?.field, field);
      t.equal(fieldByHeader(header.oxmClass, header.number, header.experimenter)?.header, header);
    }
  }
});

t.test("headers by version", async (t) => {
  const names = (name: string) => [0, 1, 4, 6].map((version) => headerFor(mustField(name), version)?.name);
  t.same(names("eth_src"), ["NXM_OF_ETH_SRC", "NXM_OF_ETH_SRC", "OXM_OF_ETH_SRC", "OXM_OF_ETH_SRC"]);
  t.same(names("tcp_flags"), [
    "NXM_NX_TCP_FLAGS",
    "NXM_NX_TCP_FLAGS",
    "ONFOXM_ET_TCP_FLAGS",
    "OXM_OF_TCP_FLAGS",
  ]);
  t.same(names("reg20"), new Array(4).fill("NXOXM_ET_REG20"));
  t.same(names("tun_tos"), new Array(4).fill(undefined));
  t.match(fieldByOxmName("NXOXM_ET_REG20")?.header, { oxmClass: 0xffff, number: 21, experimenter: 0x2320 });
  t.match(fieldByOxmName("ERICOXM_OF_ICMPV6_ND_RESERVED")?.header, { oxmClass: 0x1000, number: 1 });
  t.match(fieldByOxmName("NXOXM_NSH_FLAGS")?.header, { number: 1, experimenter: 0x005ad650 });
  t.match(fieldByOxmName("OXM_OF_PKT_REG3")?.header, { oxmClass: 0x8001, number: 3 });
});

t.test("what is set is read, and nothing else changes", async () => {
  const placed = FIELDS.filter(({ places }) => places.length > 0);
  fc.assert(
    fc.property(
      fc.constantFrom(...placed),
      fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }),
      fc.boolean(),
      (field, n, on) => {
        const bits = field.places.reduce((sum, [, , width]) => sum + width, 0);
        const value = BigInt.asUintN(Math.min(field.bits, bits), n);
        const flow = new Int32Array(FLOW_WORDS).fill(on ? -1 : 0);
        const before = flow.slice();
        setFieldBig(field, flow, value);
        const bytes = new Uint8Array(field.bytes + 2);
        readFieldBytes(field, flow, bytes, 1);
        const copy = before.slice();
        writeFieldBytes(field, copy, bytes, 1);
        const mask = new Int32Array(FLOW_WORDS);
        fillField(field, mask);
        const untouched = flow.every((word, i) => ((word ^ before[i]!) & ~mask[i]!) === 0);
        const exact = isFieldExact(field, mask);
        clearField(field, mask);
        let small = true;
        if (bits <= 32) {
          const other = before.slice();
          setField(field, other, Number(value));
          small = getField(field, other) === Number(value) && other.every((word, i) => word === flow[i]);
        }
        return (
          getFieldBig(field, flow) === value &&
          untouched &&
          exact &&
          isFieldZero(field, mask) &&
          small &&
          copy.every((word, i) => word === flow[i])
        );
      },
    ),
    { numRuns: 2000 },
  );
});
