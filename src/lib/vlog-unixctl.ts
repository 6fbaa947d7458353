/** The vlog/... commands of every daemon's control socket. */
import type { UnixctlCommands } from "./unixctl.ts";
import {
  findModule,
  LEVEL_NAMES,
  SYSLOG_PREFIX,
  VLF_CONSOLE,
  VLF_FILE,
  VLF_SYSLOG,
  VLL_DBG,
  vlogCloseFile,
  vlogModules,
  vlogPattern,
  vlogReopenFile,
  vlogSetLevel,
  vlogSetRateLimit,
  vlogSetSpec,
} from "./vlog.ts";

export function vlogCommands(commands: UnixctlCommands): void {
  commands.register("vlog/set", "{spec | PATTERN:destination:pattern}", 0, -1, (args, reply) => {
    if (args.length === 0) vlogSetLevel(undefined, undefined, VLL_DBG);
    for (const spec of args) {
      const error = vlogSetSpec(spec);
      if (error !== undefined) return reply.error(error);
    }
    reply.ok();
  });
  commands.register("vlog/list", "", 0, 0, (_args, reply) => reply.ok(listLevels()));
  commands.register("vlog/list-pattern", "", 0, 0, (_args, reply) => reply.ok(listPatterns()));
  commands.register("vlog/enable-rate-limit", "[module]...", 0, -1, (args, reply) => {
    const error = setRateLimits(args, true);
    if (error === undefined) reply.ok();
    else reply.error(error);
  });
  commands.register("vlog/disable-rate-limit", "[module]...", 0, -1, (args, reply) => {
    const error = setRateLimits(args, false);
    if (error === undefined) reply.ok();
    else reply.error(error);
  });
  commands.register("vlog/reopen", "", 0, 0, (_args, reply) => {
    const error = vlogReopenFile();
    if (error === undefined) reply.ok();
    else reply.error(error);
  });
  commands.register("vlog/close", "", 0, 0, (_args, reply) => {
    vlogCloseFile();
    reply.ok();
  });
}

export function listLevels(): string {
  let text = `${" ".repeat(17)}console    syslog    file\n${" ".repeat(17)}-------    ------    ------\n`;
  for (const { name, levels } of vlogModules()) {
    const columns = levels.map((level) => LEVEL_NAMES[level]!.padStart(4));
    text += `${name.padEnd(16)}  ${columns.join("       ")}\n`;
  }
  return text;
}

function listPatterns(): string {
  const row = (name: string, prefix: string, format: string): string =>
    `${name.padEnd(7)}  ${prefix.padEnd(32)}  ${format}\n`;
  return (
    row("", "prefix", "format") +
    row("", "------", "------") +
    row("SYSLOG", SYSLOG_PREFIX, vlogPattern(VLF_SYSLOG)) +
    row("CONSOLE", "none", vlogPattern(VLF_CONSOLE)) +
    row("FILE", "none", vlogPattern(VLF_FILE))
  );
}

function setRateLimits(names: readonly string[], limited: boolean): string | undefined {
  if (names.length === 0) vlogSetRateLimit(undefined, limited);
  for (const name of names) {
    if (/^any$/i.test(name)) vlogSetRateLimit(undefined, limited);
    else {
      const module = findModule(name);
      if (module === undefined) return "unknown module";
      vlogSetRateLimit(module, limited);
    }
  }
  return undefined;
}
