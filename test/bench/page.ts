/**
 * The page of ovsdbmonitor with 2000 ports in the database, beside the same page with 10: time from the request to the first
 * paint and to the table that is whole, in a new browser context each time, in turns. There is no peer: the original's
 * ovsdbmonitor was a program for a desktop and is gone.
 */
import type { Browser } from "playwright-core";
import { openBrowser, WebWorld } from "../system/web-world.ts";
import { sleep } from "../system/world.ts";
import { median } from "./side.ts";

const ROUNDS = 9;
const PORTS = [10, 2000];

interface Load {
  readonly paintMs: number;
  readonly wholeMs: number;
  readonly busyMs: number;
}

function start(ports: number): { world: WebWorld; link: string } {
  const world = new WebWorld();
  world.startDatabase();
  world.vsctl("--no-wait", "add-br", "br0");
  world.addPorts(
    "br0",
    Array.from({ length: ports }, (_, i) => `port${i}`),
    "",
  );
  return { world, link: world.startMonitor() };
}

async function load(browser: Browser, link: string, rows: number): Promise<Load> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 760 } });
  try {
    const page = await context.newPage();
    // Notes when the table is whole, and for how long tasks have kept the page from answering.
    await page.addInitScript(`
      globalThis.busy = 0;
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) globalThis.busy += duration;
      }).observe({ entryTypes: ["longtask"] });
      new MutationObserver((_, observer) => {
        if (document.querySelector('[aria-rowcount="${rows + 1}"] .grid-body') === null) return;
        observer.disconnect();
        requestAnimationFrame(() => setTimeout(() => (globalThis.whole = performance.now()), 0));
      }).observe(document, { childList: true, subtree: true, attributes: true });
    `);
    await page.goto(`${link}#/tables/Open_vSwitch/Interface`);
    while ((await page.evaluate("globalThis.whole > 0")) !== true) await sleep(20);
    const [paintMs, wholeMs, busyMs] = (await page.evaluate(
      "[performance.getEntriesByName('first-contentful-paint')[0].startTime, globalThis.whole, globalThis.busy]",
    )) as [number, number, number];
    return { paintMs, wholeMs, busyMs };
  } finally {
    await context.close();
  }
}

const sides = PORTS.map((ports) => ({ ports, loads: [] as Load[], ...start(ports) }));
const browser = await openBrowser();
try {
  // The first load of all pays for the browser's own start.
  for (let round = -1; round < ROUNDS; round++) {
    for (const { link, ports, loads } of sides) {
      const one = await load(browser, link, ports + 1);
      if (round >= 0) loads.push(one);
    }
  }
  const of = (side: number, key: keyof Load): number => median(sides[side]!.loads.map((one) => one[key]));
  const line = (name: string, key: keyof Load): void => {
    const [few, many] = [of(0, key), of(1, key)];
    const all = sides[1]!.loads.map((one) => Math.round(one[key])).sort((a, b) => a - b);
    const ratio = few > 0 ? `, ${(many / few).toFixed(2)} times` : "";
    console.log(
      `${name}: ${many.toFixed(0)} ms with 2000 ports (${all[0]} to ${all.at(-1)}), ${few.toFixed(0)} with 10${ratio}`,
    );
  };
  line("first paint", "paintMs");
  line("table whole", "wholeMs");
  line("busy meanwhile", "busyMs");
} finally {
  await browser.close();
  for (const { world } of sides) await world.close();
}
process.exit(0);
