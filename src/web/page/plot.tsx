/** Rates over time (uPlot), in the colours of the style sheet. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import UPlot from "uplot";
import { short } from "./format.ts";

export interface PlotProps {
  readonly label: string;
  /** Milliseconds of wall time. */
  readonly times: readonly number[];
  readonly lines: readonly {
    readonly name: string;
    readonly color: string;
    readonly values: ArrayLike<number>;
  }[];
  readonly unit: string;
  /** Grows with the data. */
  readonly tick: number;
}

const HEIGHT = 180;

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function Plot(props: PlotProps): JSX.Element {
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | undefined>(undefined);
  const latest = useRef(props);
  latest.current = props;
  const names = props.lines.map(({ name }) => name).join();

  // Depends: `names` stands for the lines
  useEffect(() => {
    const element = holder.current!;
    const make = (): void => {
      plot.current?.destroy();
      plot.current = new UPlot(options(latest.current, element.clientWidth), data(latest.current), element);
    };
    make();
    const observer = new ResizeObserver(() =>
      plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }),
    );
    observer.observe(element);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", make);
    return () => {
      dark.removeEventListener("change", make);
      observer.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [names, props.unit]);
  // Depends: `tick` stands for the data
  useEffect(() => plot.current?.setData(data(latest.current)), [props.tick, props.times]);
  return <div class="plot" ref={holder} role="img" aria-label={props.label} />;
}

function data({ times, lines }: PlotProps): UPlot.AlignedData {
  const count = times.length;
  return [
    times.map((ms) => ms / 1000),
    ...lines.map(({ values }) => Array.from({ length: count }, (_, i) => values[i] ?? 0)),
  ];
}

function options({ lines, unit }: PlotProps, width: number): UPlot.Options {
  const soft = color("--soft");
  const grid = { stroke: color("--line"), width: 1 };
  const font = "12px system-ui, sans-serif";
  const ticks = { show: false };
  return {
    width,
    height: HEIGHT,
    padding: [12, 30, 0, 0],
    cursor: { y: false, points: { size: 6 } },
    legend: { live: true },
    scales: { y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [
      {
        stroke: soft,
        grid,
        ticks,
        font,
        size: 30,
        values: [[1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1]],
        space: 90,
      },
      {
        stroke: soft,
        grid,
        ticks,
        font,
        size: 74,
        values: (_plot, values) => values.map((value) => short(value, unit)),
      },
    ],
    series: [
      { value: (_plot, value) => (value == null ? "" : new Date(value * 1000).toLocaleTimeString("en-GB")) },
      ...lines.map(({ name, color: stroke }) => ({
        label: name,
        stroke: color(stroke),
        width: 1.5,
        points: { show: false },
        value: (_plot: UPlot, value: number | null) => (value == null ? "–" : short(value, unit)),
      })),
    ],
  };
}

/** The last minute in a cell. */
export function Spark({
  rx,
  tx,
  samples,
}: {
  rx: Float32Array;
  tx: Float32Array;
  samples: number;
}): JSX.Element {
  const from = Math.max(0, samples - 60);
  let high = 1;
  for (let i = from; i < samples; i++) high = Math.max(high, rx[i]!, tx[i]!);
  const line = (values: Float32Array): string => {
    let path = "";
    for (let i = from; i < samples; i++)
      path += `${path === "" ? "M" : "L"}${i - from + 60 - (samples - from)} ${(17 - (15 * values[i]!) / high).toFixed(1)}`;
    return path;
  };
  return (
    <svg class="spark" viewBox="0 0 60 18" preserveAspectRatio="none" aria-hidden="true">
      <path d={line(tx)} class="tx" />
      <path d={line(rx)} class="rx" />
    </svg>
  );
}
