/** The page of ovsdbmonitor: its frame, and which part stands in it. */
import "uplot/dist/uPlot.min.css";
import "./style.css";
import type { JSX } from "preact";
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { href } from "./address.ts";
import { connection } from "./connection.ts";
import { DatapathPage } from "./datapath-page.tsx";
import { FlowsPage } from "./flows-page.tsx";
import { MacsPage } from "./macs-page.tsx";
import { OverviewPage } from "./overview-page.tsx";
import { Choice, Empty, type PageProps } from "./parts.tsx";
import { PortsPage } from "./ports-page.tsx";
import { router } from "./route.ts";
import { StateSource } from "./sources.ts";
import { useOwnStore, useStore } from "./store.ts";
import { TablesPage } from "./tables-page.tsx";
import { TalkersPage } from "./talkers-page.tsx";
import { TracePage } from "./trace-page.tsx";

const PAGES: readonly {
  readonly name: string;
  readonly title: string;
  readonly page: (props: PageProps) => JSX.Element;
}[] = [
  { name: "overview", title: "Overview", page: OverviewPage },
  { name: "ports", title: "Ports", page: PortsPage },
  { name: "flows", title: "Flows", page: FlowsPage },
  { name: "datapath", title: "Datapath", page: DatapathPage },
  { name: "macs", title: "Addresses", page: MacsPage },
  { name: "trace", title: "Trace", page: TracePage },
  { name: "talkers", title: "Talkers", page: TalkersPage },
  { name: "tables", title: "Database", page: TablesPage },
];

function App(): JSX.Element {
  useStore(connection);
  if (connection.link === "locked") return <SignIn />;
  return <Frame />;
}

function Frame(): JSX.Element {
  const source = useOwnStore(() => new StateSource(), "");
  const { route } = useStore(router);
  const [chosen, setChosen] = useState(0);
  const { systems } = source.state;
  const system = systems[chosen] ?? systems[0];
  const current = PAGES.find(({ name }) => name === route.page) ?? PAGES[0]!;
  useEffect(() => {
    document.title = `${current.title} · ${system?.name ?? "Open vSwitch"}`;
  }, [current, system?.name]);
  const choose = (id: string): void => {
    setChosen(Number(id));
    router.go(href(current.name));
  };
  const Page = current.page;
  return (
    <div class="frame">
      <button type="button" class="skip" onClick={() => document.getElementById("main")?.focus()}>
        Skip to the content
      </button>
      <div class="side">
        <div class="brand">
          <span>Open vSwitch</span>
          <Link />
        </div>
        {systems.length > 1 ? (
          <Choice
            label="System"
            value={String(system?.id ?? 0)}
            options={systems.map(({ id, name }) => [String(id), name] as const)}
            set={choose}
          />
        ) : null}
        <nav aria-label="Pages">
          {PAGES.map(({ name, title }) => (
            <a key={name} href={href(name)} aria-current={name === current.name ? "page" : undefined}>
              {title}
            </a>
          ))}
        </nav>
        <p class="foot">
          <a href="/metrics">metrics</a>
          <span>{source.state.version}</span>
        </p>
      </div>
      <main id="main" tabIndex={-1}>
        {system === undefined ? (
          <Empty title={source.ready ? "Nothing to look at" : "Connecting…"} />
        ) : (
          <Page state={source.state} system={system} route={route} />
        )}
      </main>
    </div>
  );
}

function Link(): JSX.Element {
  const { link } = useStore(connection);
  const text = link === "open" ? "live" : link === "lost" ? "no connection" : "connecting";
  return (
    <span class={`link ${link}`} role="status">
      {text}
    </span>
  );
}

function SignIn(): JSX.Element {
  const [token, setToken] = useState("");
  const [wrong, setWrong] = useState<string>();
  const [busy, setBusy] = useState(false);
  const submit = (event: Event): void => {
    event.preventDefault();
    setBusy(true);
    connection
      .signIn(token)
      .catch((error: Error) => error.message)
      .then((problem) => {
        setBusy(false);
        setWrong(problem);
      });
  };
  return (
    <main class="sign-in">
      <form onSubmit={submit}>
        <h1>Open vSwitch</h1>
        <label>
          <span>Token</span>
          <input
            type="password"
            name="token"
            autocomplete="current-password"
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="primary" disabled={busy || token === ""}>
          Sign in
        </button>
        {wrong === undefined ? (
          <p class="note">“ovs-appctl -t ovsdbmonitor web/link” tells it.</p>
        ) : (
          <p class="trouble" role="alert">
            {wrong}
          </p>
        )}
      </form>
    </main>
  );
}

/** A link may bring the token, in the part of the address that no server sees. */
async function start(): Promise<void> {
  const token = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (token !== undefined) {
    router.go("#/", true);
    // Opens the connection when the token is right.
    if ((await connection.signIn(decodeURIComponent(token)).catch(String)) === undefined) return;
  }
  await connection.open();
}

render(<App />, document.getElementById("app")!);
void start();
