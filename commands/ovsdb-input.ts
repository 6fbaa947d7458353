/** What ovsdb-client and ovsdb-tool read from people: JSON on the command line, schema files. Throws Fatal. */
import fs from "node:fs";
import { describeError, Fatal } from "../src/lib/errors.ts";
import { type Json, JsonError, parseJson } from "../src/lib/json.ts";
import { OvsdbError } from "../src/ovsdb/error.ts";
import { type DatabaseSchema, schemaFromJson } from "../src/ovsdb/schema.ts";

/** An object or array. */
export function parseArgument(text: string): Json {
  try {
    const json = parseJson(text);
    if (typeof json === "object" && json !== null) return json;
    // Where the original's lexer stands: a string is known by its closing quote, other words by what follows them.
    const end = text.trimEnd().length - (typeof json === "string" ? 1 : 0);
    throw new JsonError(`line 0, column ${end}, byte ${end}: syntax error at beginning of input`);
  } catch (error) {
    if (error instanceof JsonError) throw new Fatal(`"${text}": ${error.message}`);
    throw error;
  }
}

export function readSchemaFile(path: string): DatabaseSchema {
  const json = readJsonFile(path);
  try {
    return schemaFromJson(json);
  } catch (error) {
    if (!(error instanceof OvsdbError)) throw error;
    const { tag, details, syntax } = error;
    throw new Fatal(
      new OvsdbError(tag, `failed to parse "${path}" as ovsdb schema: ${details}`, syntax).message,
    );
  }
}

function readJsonFile(path: string): Json {
  const fail = (why: string): never => {
    throw new Fatal(`failed to read schema: "${path}" could not be read as JSON (${why})`);
  };
  let text = "";
  try {
    text = fs.readFileSync(path, "utf8");
  } catch (error) {
    fail(`error opening "${path}": ${describeError(error)}`);
  }
  try {
    return parseJson(text);
  } catch (error) {
    if (error instanceof JsonError) return fail(error.message);
    throw error;
  }
}
