/**
 * filters-switch.ts [OPTION...]: ovs-vswitchd that attaches its programs by filters of tc, as on kernels before TCX links.
 * Runs under Bun.
 */
import { useFilters } from "../../commands/ebpf-filters.ts";
import { main } from "../../commands/ovs-vswitchd.ts";

useFilters();
process.exit(await main(process.argv.slice(2), "ovs-vswitchd"));
