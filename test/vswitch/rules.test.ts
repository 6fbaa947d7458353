/** src/vswitch, its pure parts: addresses and datapath IDs, VLAN modes, columns that differ. */
import t from "tap";
import { addressFromUuid, bridgeAddress, datapathId, parseDatapathId } from "../../src/vswitch/addresses.ts";
import { boolOption, intOption, vlanMode } from "../../src/vswitch/config.ts";
import { changedColumns, differs } from "../../src/vswitch/status.ts";

const UUID = "fca12b33-517e-4a45-b99e-94747e1ef3b3";

t.test("bridge addresses", async (t) => {
  // Recorded from the original: the row's UUID and the address that its bridge got.
  t.equal(addressFromUuid(UUID), "32:2b:a1:fc:45:4a");
  for (const [what, hwaddr, ports, address, error] of [
    ["nothing to go by", undefined, [], "32:2b:a1:fc:45:4a", undefined],
    ["configured", "00:11:22:33:44:77", ["00:00:00:00:00:01"], "00:11:22:33:44:77", undefined],
    ["configured, locally administered", "02:11:22:33:44:77", [], "02:11:22:33:44:77", undefined],
    ["configured multicast", "01:00:00:00:00:00", ["00:11:22:33:44:66"], "00:11:22:33:44:66", "multicast"],
    ["configured nonsense", "xxx", ["00:11:22:33:44:66"], "00:11:22:33:44:66", undefined],
    ["configured zero", "00:00:00:00:00:00", [], "32:2b:a1:fc:45:4a", undefined],
    ["the lowest", undefined, ["00:11:22:33:44:66", "00:02:03:04:05:06"], "00:02:03:04:05:06", undefined],
    ["dummies and taps do not count", undefined, ["aa:55:aa:55:00:01"], "32:2b:a1:fc:45:4a", undefined],
    [
      "nor zero and multicast",
      undefined,
      ["00:00:00:00:00:00", "01:02:03:04:05:06"],
      "32:2b:a1:fc:45:4a",
      undefined,
    ],
  ] as const)
    t.strictSame(bridgeAddress(UUID, hwaddr, ports), { address, error }, what);
});

t.test("datapath IDs", async (t) => {
  for (const [text, want] of [
    ["00000000000004d2", "00000000000004d2"],
    ["ABCDEF0123456789", "abcdef0123456789"],
    ["0x5", "0000000000000005"],
    ["1234", undefined],
    ["xyz", undefined],
    ["0x0", undefined],
    ["0000000000000000", undefined],
    ["0x12345678123456789", undefined],
  ] as const)
    t.equal(parseDatapathId(text), want, text);
  t.equal(datapathId(undefined, "32:2b:a1:fc:45:4a"), "0000322ba1fc454a");
  t.equal(datapathId("1234", "32:2b:a1:fc:45:4a"), "0000322ba1fc454a", "what is malformed does not count");
});

t.test("VLAN modes", async (t) => {
  for (const [mode, tag, want] of [
    [undefined, undefined, ["trunk", undefined]],
    [undefined, 0, ["access", 0]],
    [undefined, 10, ["access", 10]],
    ["access", undefined, ["access", 0]],
    ["trunk", 10, ["trunk", undefined]],
    ["native-tagged", 10, ["native-tagged", 10]],
    ["native-untagged", 10, ["native-untagged", 10]],
    ["native-untagged", undefined, ["trunk", undefined]],
    ["dot1q-tunnel", 5, ["dot1q-tunnel", 5]],
  ] as const) {
    const got = vlanMode(mode, tag);
    t.strictSame([got.vlanMode, got.tag], want, `${mode} ${tag}`);
  }
});

t.test("options", async (t) => {
  const options = new Map([
    ["n", "12abc"],
    ["neg", "-5"],
    ["word", "abc"],
    ["yes", "TRUE"],
    ["no", "false"],
  ]);
  t.strictSame(
    ["n", "neg", "word", "none"].map((key) => intOption(options, key, 7)),
    [12, -5, 7, 7],
  );
  t.strictSame(
    ["yes", "no", "word", "none"].map((key) => [
      boolOption(options, key, true),
      boolOption(options, key, false),
    ]),
    [
      [true, true],
      [false, false],
      [true, false],
      [true, false],
    ],
  );
});

t.test("columns that differ", async (t) => {
  const row = { a: 1, s: new Set([1, 2]), m: new Map([["k", 1]]), u: undefined };
  t.equal(changedColumns(row, { a: 1, s: new Set([2, 1]), m: new Map([["k", 1]]), u: undefined }), undefined);
  t.strictSame(changedColumns(row, { a: 2, s: new Set([1]), u: undefined }), { a: 2, s: new Set([1]) });
  t.strictSame(changedColumns(row, { m: new Map([["k", 2]]), u: 1 }), { m: new Map([["k", 2]]), u: 1 });
  t.ok(differs(new Map(), new Map([["k", 1]])));
  t.notOk(differs(new Map(), new Map()));
});
