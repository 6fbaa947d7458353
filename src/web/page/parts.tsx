/** Small things that all pages are made of. */
import type { ComponentChildren, JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { State, SystemState } from "../protocol.ts";
import type { Route } from "./address.ts";
import { count } from "./format.ts";
import { router } from "./route.ts";

/** What every page gets. */
export interface PageProps {
  readonly state: State;
  readonly system: SystemState;
  readonly route: Route;
}

export function Head({
  title,
  note,
  children,
}: {
  title: string;
  note?: ComponentChildren;
  children?: ComponentChildren;
}): JSX.Element {
  return (
    <header class="head">
      <h1>{title}</h1>
      {note === undefined ? null : <p class="note">{note}</p>}
      <div class="tools">{children}</div>
    </header>
  );
}

/** "/" jumps into it. */
export function Filter(props: {
  value: string;
  set: (value: string) => void;
  shown?: number | undefined;
  of?: number;
}): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  // A key counts from the moment that what it works on is seen: an effect after the paint would miss it.
  useLayoutEffect(() => {
    const jump = (event: KeyboardEvent): void => {
      const { target } = event;
      const typing =
        target instanceof HTMLInputElement ||
        target instanceof HTMLTextAreaElement ||
        target instanceof HTMLSelectElement;
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      input.current?.focus();
    };
    addEventListener("keydown", jump);
    return () => removeEventListener("keydown", jump);
  }, []);
  const some = props.value !== "" && props.shown !== undefined && props.of !== undefined;
  return (
    <label class="filter">
      <span class="hidden">Filter</span>
      <input
        ref={input}
        type="search"
        placeholder="Filter  /"
        title={'Words that a row has; -word: has not; column=text; column>number; "several words"'}
        value={props.value}
        onInput={(event) => props.set(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Escape") return;
          props.set("");
          event.currentTarget.blur();
        }}
      />
      {some ? <span class="note">{`${count(props.shown!)} of ${count(props.of!)}`}</span> : null}
    </label>
  );
}

export function Choice(props: {
  label: string;
  value: string;
  options: readonly (readonly [value: string, text: string])[];
  set: (value: string) => void;
}): JSX.Element {
  return (
    <label class="choice">
      <span>{props.label}</span>
      <select value={props.value} onChange={(event) => props.set(event.currentTarget.value)}>
        {props.options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

export function Figure({
  name,
  value,
  tone,
}: {
  name: string;
  value: ComponentChildren;
  tone?: "bad" | "good" | undefined;
}): JSX.Element {
  return (
    <div class={tone === undefined ? "figure" : `figure ${tone}`}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <strong>{title}</strong>
      {children === undefined ? null : <p>{children}</p>}
    </div>
  );
}

/** What went wrong with a source; the rest of the page stays. */
export function Trouble({ error }: { error: string | undefined }): JSX.Element | null {
  return error === undefined ? null : (
    <p class="trouble" role="alert">
      {error}
    </p>
  );
}

/** More about one thing, at the side; Escape closes it. */
export function Drawer({
  title,
  close,
  children,
}: {
  title: string;
  close: () => void;
  children: ComponentChildren;
}): JSX.Element {
  // As above
  useLayoutEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === "Escape") close();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [close]);
  return (
    <aside class="drawer" aria-label={title}>
      <header>
        <h2>{title}</h2>
        <button type="button" class="plain" onClick={close} aria-label="Close">
          ✕
        </button>
      </header>
      <div class="drawer-body">{children}</div>
    </aside>
  );
}

/** The bridge that the address names, or the first one. */
export function bridgeOf({ system, route }: PageProps): string | undefined {
  const [wanted] = route.words;
  return wanted !== undefined && system.bridges.includes(wanted) ? wanted : system.bridges[0];
}

export function BridgeChoice({
  system,
  bridge,
  to,
}: {
  system: SystemState;
  bridge: string;
  to: (bridge: string) => string;
}): JSX.Element {
  return (
    <Choice
      label="Bridge"
      value={bridge}
      options={system.bridges.map((name) => [name, name] as const)}
      set={(name) => router.go(to(name))}
    />
  );
}

export function NoBridge({ system }: { system: SystemState }): JSX.Element {
  if (system.databaseState === "connecting") return <Empty title="Connecting to the database…" />;
  return (
    <Empty title="No bridge to look at">
      {system.hasControl || system.databaseState === "none"
        ? "This switch has no bridges yet. Add one with “ovs-vsctl add-br br0”."
        : "Flows and ports are read from a switch on this host; of this system only the database is reached."}
    </Empty>
  );
}
