/** What would happen to a packet: a form, and each step that the switch takes. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { TracePass, TraceStep } from "../protocol.ts";
import { href } from "./address.ts";
import { connection } from "./connection.ts";
import { BridgeChoice, bridgeOf, Empty, Head, NoBridge, type PageProps } from "./parts.tsx";
import { router } from "./route.ts";
import { PortsSource } from "./sources.ts";
import { useOwnStore } from "./store.ts";
import { FIELDS, PROTOCOLS, readFlow, writeFlow } from "./trace-flow.ts";

export function TracePage(props: PageProps): JSX.Element {
  const bridge = bridgeOf(props);
  if (bridge === undefined) return <NoBridge system={props.system} />;
  if (!props.system.hasControl) {
    return (
      <Empty title="Traces are out of reach">
        They are made by the switch's control socket, which must be on this host.
      </Empty>
    );
  }
  return <Trace {...props} bridge={bridge} />;
}

type Outcome = { readonly document?: TracePass; readonly text?: string } | { readonly error: string };

function Trace({ system, route, bridge }: PageProps & { bridge: string }): JSX.Element {
  const asked = route.query.get("flow") ?? "";
  const [flow, setFlow] = useState(asked);
  const [outcome, setOutcome] = useState<Outcome>();
  const ports = useOwnStore(
    () => new PortsSource({ kind: "ports", system: system.id, bridge }),
    `${system.id} ${bridge}`,
  );
  const run = (text: string): void => {
    connection
      .call("trace", { system: system.id, bridge, flow: text })
      .then(setOutcome, (error: Error) => setOutcome({ error: error.message }));
  };
  // Depends: an address that names a flow asks for it once
  useEffect(() => {
    setFlow(asked);
    setOutcome(undefined);
    if (asked !== "") run(asked);
  }, [asked, bridge, system.id]);
  const parts = readFlow(flow);
  const set = (name: string, value: string): void =>
    setFlow(writeFlow({ ...parts, fields: { ...parts.fields, [name]: value } }));
  return (
    <section class="page">
      <Head title="Trace">
        <BridgeChoice system={system} bridge={bridge} to={(name) => href("trace", [name], { flow })} />
      </Head>
      <form
        class="trace-form"
        aria-label="Packet to trace"
        onSubmit={(event) => {
          event.preventDefault();
          const to = href("trace", [bridge], { flow });
          if (flow === asked) run(flow);
          else router.go(to);
        }}
      >
        <label class="field">
          <span>in port</span>
          <select
            value={parts.fields.in_port ?? ""}
            onChange={(event) => set("in_port", event.currentTarget.value)}
          >
            <option value="">any</option>
            {parts.fields.in_port === undefined ||
            ports.list.some(({ name }) => name === parts.fields.in_port) ? null : (
              <option value={parts.fields.in_port}>{parts.fields.in_port}</option>
            )}
            {ports.list.map(({ port, name }) => (
              <option key={port} value={port === 0xfffe ? "LOCAL" : name}>
                {port === 0xfffe ? `LOCAL (${name})` : `${port} (${name})`}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>protocol</span>
          <select
            value={parts.protocol}
            onChange={(event) => setFlow(writeFlow({ ...parts, protocol: event.currentTarget.value }))}
          >
            <option value="">any</option>
            {PROTOCOLS.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
        {FIELDS.map(({ name, label, hint }) => (
          <label key={name} class="field">
            <span title={name}>{label}</span>
            <input
              class="mono"
              autocomplete="off"
              spellcheck={false}
              placeholder={hint}
              value={parts.fields[name] ?? ""}
              onInput={(event) => set(name, event.currentTarget.value)}
            />
          </label>
        ))}
        <label class="field wide">
          <span>flow</span>
          <input
            class="mono"
            name="flow"
            autocomplete="off"
            spellcheck={false}
            placeholder="in_port=1,tcp,nw_dst=10.0.0.2"
            value={flow}
            onInput={(event) => setFlow(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="primary" disabled={flow.trim() === ""}>
          Trace
        </button>
      </form>
      <div class="trace" aria-live="polite">
        {outcome === undefined ? (
          <Empty title="Where would a packet go?">
            Fill in what is known of it; what is left out is zero.
          </Empty>
        ) : "error" in outcome ? (
          <p class="trouble" role="alert">
            {outcome.error}
          </p>
        ) : outcome.document === undefined ? (
          <pre class="mono">{outcome.text}</pre>
        ) : (
          [outcome.document, ...(outcome.document.recirculated ?? [])].map((pass, i) => (
            <Pass key={`${i} ${pass.flow}`} pass={pass} again={i > 0} />
          ))
        )}
      </div>
    </section>
  );
}

function Pass({ pass, again }: { pass: TracePass; again: boolean }): JSX.Element {
  const drops = pass.datapath_actions === "drop";
  return (
    <article class="pass">
      {again ? <h2>Again, after connection tracking</h2> : null}
      <dl class="verdict">
        <div class={drops || pass.error !== undefined ? "bad" : "good"}>
          <dt>{pass.error === undefined ? "The datapath does" : "Translation failed"}</dt>
          <dd class="mono">{pass.error ?? pass.datapath_actions}</dd>
        </div>
      </dl>
      <Steps steps={pass.steps} />
      <dl class="details">
        <dt>packet</dt>
        <dd class="mono">{pass.flow}</dd>
        <dt>at the end</dt>
        <dd class="mono">{pass.final_flow}</dd>
        <dt>megaflow</dt>
        <dd class="mono">{pass.megaflow}</dd>
      </dl>
    </article>
  );
}

function Steps({ steps }: { steps: readonly TraceStep[] }): JSX.Element {
  return (
    <ol class="steps">
      {steps.map((step, i) => (
        <li key={`${i} ${step.text}`} class={step.type}>
          <span class="step">{step.text.trim()}</span>
          {step.steps === undefined ? null : <Steps steps={step.steps} />}
        </li>
      ))}
    </ol>
  );
}
