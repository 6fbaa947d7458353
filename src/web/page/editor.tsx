/** Changing a row: its columns in the notation of ovs-vsctl, a preview made by the server, and only then the change. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { EditPreview, RowEdit, TableInfo } from "../protocol.ts";
import { connection } from "./connection.ts";

interface EditorProps {
  readonly system: number;
  readonly database: string;
  readonly table: TableInfo;
  readonly uuid: string;
}

export function Editor(props: EditorProps): JSX.Element {
  const { system, database, table, uuid } = props;
  const [was, setWas] = useState<{ readonly [column: string]: string }>();
  const [values, setValues] = useState<{ readonly [column: string]: string }>({});
  const [preview, setPreview] = useState<{
    readonly edits: readonly RowEdit[];
    readonly found: EditPreview;
  }>();
  const [said, setSaid] = useState<{ readonly tone: "bad" | "good"; readonly text: string }>();
  const fail = (error: Error): void => setSaid({ tone: "bad", text: error.message });

  const begin = (): void => {
    setSaid(undefined);
    connection.call("rowText", { system, database, table: table.name, uuid }).then((text) => {
      setWas(text);
      setValues(text);
    }, fail);
  };
  const end = (): void => {
    setWas(undefined);
    setPreview(undefined);
  };
  const look = (edits: readonly RowEdit[]): void => {
    setSaid(undefined);
    connection
      .call("preview", { system, database, edits })
      .then((found) => setPreview({ edits, found }), fail);
  };
  const commit = (): void => {
    connection.call("commit", { system, database, edits: preview!.edits }).then((done) => {
      if (done.error !== undefined) setSaid({ tone: "bad", text: done.error });
      else {
        setSaid({ tone: "good", text: "Changed." });
        end();
      }
    }, fail);
  };

  const message =
    said === undefined ? null : (
      <p class={`said ${said.tone}`} role="status">
        {said.text}
      </p>
    );
  // The preview is short, where the form was long.
  const top = useRef<HTMLElement>(null);
  useEffect(() => {
    if (preview !== undefined) top.current?.scrollIntoView({ block: "end" });
  }, [preview]);
  if (was === undefined) {
    return (
      <div class="editor">
        {message}
        <div class="buttons">
          <button type="button" onClick={begin}>
            Edit row
          </button>
        </div>
      </div>
    );
  }
  if (preview !== undefined) {
    return (
      <section class="editor" aria-label="Preview" ref={top}>
        <h3>One transaction would change</h3>
        <table class="changes">
          <tbody>
            {preview.found.changes.map(({ column, from, to }) => (
              <tr key={column}>
                <th scope="row">{column === "" ? "the row" : column}</th>
                <td class="mono from">{from}</td>
                <td class="mono to">{to}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {preview.found.error === undefined ? null : (
          <p class="said bad" role="status">
            {preview.found.error}
          </p>
        )}
        {message}
        <div class="buttons">
          <button type="button" class="primary" onClick={commit} disabled={preview.found.error !== undefined}>
            Commit
          </button>
          <button type="button" onClick={() => setPreview(undefined)}>
            Back
          </button>
        </div>
      </section>
    );
  }
  const columns = table.columns.filter(({ mutable }) => mutable);
  const changed = columns.filter(({ name }) => values[name] !== was[name]);
  const edits: readonly RowEdit[] = [
    {
      table: table.name,
      uuid,
      columns: Object.fromEntries(
        changed.map(({ name }) => [name, { was: was[name]!, value: values[name]! }]),
      ),
    },
  ];
  return (
    <form
      class="editor"
      aria-label="Edit row"
      onSubmit={(event) => {
        event.preventDefault();
        if (changed.length > 0) look(edits);
      }}
    >
      <h3>Edit row</h3>
      <p class="note">Values as for ovs-vsctl: [a, b], {"{key=value}"}, [] for none.</p>
      {columns.map(({ name, type }) => (
        <label key={name} class={values[name] === was[name] ? "field" : "field dirty"}>
          <span title={type}>{name}</span>
          <input
            class="mono"
            name={name}
            autocomplete="off"
            spellcheck={false}
            value={values[name]}
            onInput={(event) => setValues({ ...values, [name]: event.currentTarget.value })}
          />
        </label>
      ))}
      {message}
      <div class="buttons sticky">
        <button type="submit" class="primary" disabled={changed.length === 0}>
          Preview
        </button>
        <button type="button" onClick={end}>
          Cancel
        </button>
        {table.isRoot ? (
          <button
            type="button"
            class="danger"
            onClick={() => look([{ table: table.name, uuid, delete: true, columns: {} }])}
          >
            Delete row…
          </button>
        ) : null}
      </div>
    </form>
  );
}
