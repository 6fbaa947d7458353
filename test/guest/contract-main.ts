/** Run in a guest by the executable as plain Bun: the contract of Dpif over openvswitch.ko. */
import { kernelDatapathAvailable } from "../../src/datapath/kernel/system.ts";
import { contract } from "../datapath/contract.ts";
import { kernelBench } from "./kernel-bench.ts";
import { makeRunner } from "./runner.ts";

const t = makeRunner((line) => console.log(line));
t.equal(kernelDatapathAvailable(), undefined, "the module is there");
contract(t, kernelBench, { realTime: true, quiet: true });
await t.done();
process.exit(0);
