#!/usr/bin/env node
// Reads TAP on standard input; prints each test file's verdict, what failed with its diagnostics, and at the end one line of totals.
import { createInterface } from "node:readline";

const count = { total: 0, pass: 0, fail: 0, skip: 0, todo: 0 };
let diagnosing = false;
for await (const line of createInterface({ input: process.stdin })) {
  const totals = /^# \{ (total: .*) \}$/.exec(line);
  if (totals) {
    for (const part of totals[1].split(", ")) {
      const [key, value] = part.split(": ");
      count[key] = Number(value);
    }
  }
  if (/^\s*not ok /.test(line) && !/# (TODO|SKIP)/.test(line)) {
    console.log(line);
    diagnosing = true;
  } else if (/^\s*(not )?ok /.test(line)) {
    diagnosing = false;
    if (/^ok /.test(line)) console.log(line.replace(/ \{$/, ""));
    else if (/# SKIP/.test(line)) console.log(line.trim().replace(/^ok \d+ - /, "  skipped: "));
  } else if (diagnosing && /^\s+(---|\.\.\.|[\w"'@+ -].*)$/.test(line)) {
    console.log(line);
    if (/^\s+\.\.\.$/.test(line)) diagnosing = false;
  }
}
console.log(`${count.pass} passed, ${count.fail} failed, ${count.skip + count.todo} skipped`);
