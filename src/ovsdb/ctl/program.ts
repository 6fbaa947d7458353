/**
 * The life of a ctl program once its command line is cut: name the columns needed, replicate them, run the commands in
 * one transaction, commit, run them again when the database has moved, print.
 */
import { describeError, Fatal } from "../../lib/errors.ts";
import type { Platform } from "../../lib/platform.ts";
import { TablePrinter, type TableStyle } from "../../lib/table.ts";
import { vlog } from "../../lib/vlog.ts";
import { Idl } from "../idl.ts";
import type { TxnResult } from "../idl-api.ts";
import type { IdlTransaction } from "../idl-transaction.ts";
import type { DatabaseSchema } from "../idl-types.ts";
import type { JsonObject } from "../json-text.ts";
import type { CtlCall } from "./command.ts";
import { CtlContext, NotYet } from "./context.ts";
import { CtlSchema, UnknownName } from "./names.ts";
import { Needs } from "./needs.ts";
import type { RecordIds } from "./records.ts";

export interface CtlProgram {
  readonly platform: Platform;
  readonly schema: DatabaseSchema;
  readonly ids: RecordIds;
  /** Module of the log: "vsctl". */
  readonly module: string;
  readonly remote: string;
  readonly retry: boolean;
  readonly leaderOnly: boolean;
  readonly dryRun: boolean;
  readonly oneline: boolean;
  readonly style: TableStyle;
  /** Recorded with the transaction. */
  readonly comment: string;
  /** Columns needed whatever the commands are. */
  prepare(needs: Needs): void;
  /** Before and after the commands of each attempt. */
  begin(context: CtlContext): void;
  finish(context: CtlContext): void;
  /** When the transaction is in the database and all is printed; may wait. Returns the exit status. */
  committed(idl: Idl, result: TxnResult, context: CtlContext): Promise<number>;
}

export async function runCtl(program: CtlProgram, calls: readonly CtlCall[]): Promise<number> {
  const ours = new CtlSchema(program.schema.tables as unknown as JsonObject);
  let schema = ours;
  const need = (): Needs => {
    const needs = new Needs(schema, program.ids);
    program.prepare(needs);
    for (const call of calls) call.command.prepare?.(call, needs);
    return needs;
  };
  let watch: Needs["watch"] = {};
  let unknown: UnknownName | undefined;
  try {
    watch = need().watch;
  } catch (error) {
    if (!(error instanceof UnknownName)) throw error;
    unknown = error;
  }
  const { platform } = program;
  const idl = new Idl<DatabaseSchema>({
    clock: platform.clock,
    streams: platform.streams,
    remote: program.remote,
    schema: program.schema,
    uuid: () => platform.random.uuid(),
    watch,
    retry: program.retry,
    leaderOnly: program.leaderOnly,
    trustSchema: true,
  });
  if (unknown !== undefined) idl.hold();
  idl.open();
  try {
    let seqno = 0;
    for (;;) {
      if (unknown !== undefined && idl.serverTables !== undefined) {
        // Our schema does not know a name: perhaps the server's does.
        schema = ours.extended(idl.serverTables);
        unknown = undefined;
        idl.watch(need().watch);
      }
      if (idl.state === "dead") {
        if (unknown !== undefined) throw unknown;
        const why = idl.lastError === undefined ? "" : ` (${describeError(idl.lastError)})`;
        throw new Fatal(`${idl.remote}: database connection failed${why}`);
      }
      if (idl.state === "live" && idl.seqno !== seqno) {
        seqno = idl.seqno;
        let status: number | undefined;
        try {
          status = await attempt(program, calls, schema, idl);
        } catch (error) {
          if (!(error instanceof UnknownName) || schema !== ours || idl.serverTables === undefined)
            throw error;
          schema = ours.extended(idl.serverTables);
          seqno = 0;
          continue;
        }
        if (status !== undefined) return status;
        if (idl.seqno !== seqno) continue;
      }
      await idl.next();
    }
  } finally {
    idl.close();
  }
}

/** Undefined: to be tried again when the database has changed. */
async function attempt(
  program: CtlProgram,
  calls: readonly CtlCall[],
  schema: CtlSchema,
  idl: Idl,
): Promise<number | undefined> {
  const txn: IdlTransaction = idl.dynamicTransaction();
  txn.dryRun = program.dryRun;
  const { module, ids } = program;
  const context = new CtlContext({ txn, schema, ids, uuid: () => idl.uuid(), program: module });
  // Making the comment reads a file: what only looks does without.
  if (calls.some(({ command }) => command.writes || command.name === "comment")) txn.comment(program.comment);
  try {
    program.begin(context);
    for (const call of calls) {
      call.output = "";
      call.table = undefined;
      call.command.run(call, context);
      if (call.command.anyTable) context.invalidate();
      if (context.exitStatus !== 0) return context.exitStatus;
    }
    context.checkNames();
    program.finish(context);
  } catch (error) {
    if (error instanceof NotYet) return undefined;
    throw error;
  }
  const result = await txn.commit();
  switch (result.status) {
    case "success":
    case "unchanged":
      break;
    case "tryAgain":
      return undefined;
    case "error":
      throw new Fatal(`transaction error: ${result.error}`);
    default:
      vlog(module).err(`transaction ${result.status}`);
      throw new Fatal(result.status === "notLocked" ? "database not locked" : `transaction ${result.status}`);
  }
  if (result.status === "success") for (const call of calls) call.command.after?.(call, result);
  print(program, calls);
  return program.committed(idl, result, context);
}

function print(program: CtlProgram, calls: readonly CtlCall[]): void {
  const tables = new TablePrinter(program.style);
  let text = "";
  for (const { table, output } of calls) {
    if (table !== undefined) text += tables.format(table);
    else if (program.oneline) {
      text += `${output.replace(/\n$/, "").replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}\n`;
    } else text += output;
  }
  if (text !== "") program.platform.stdout(text);
}
