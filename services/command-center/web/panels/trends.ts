/** Two small charts of the last hour, redrawn on new data, another width or another colour scheme. */
import uPlot from "uplot";
import type { Trend, Trends } from "../../state.ts";
import { el } from "../dom.ts";
import { none, ratio } from "../format.ts";

const height = 110;

interface Chart {
  readonly title: string;
  readonly unit: string;
  readonly of: (trends: Trends) => Trend;
}

const charts: readonly Chart[] = [
  { title: "Events", unit: "per second", of: (t) => t.eventsPerSecond },
  { title: "Lag", unit: "messages", of: (t) => t.lag },
];

export class TrendsPanel {
  readonly #body: Element;
  #value: Trends | undefined;
  #drawn: uPlot[] = [];

  constructor(body: Element) {
    this.#body = body;
    // Canvas colours and sizes do not follow the style sheet by themselves.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    new ResizeObserver(() => this.#resize()).observe(body);
  }

  update(value: Trends | null): void {
    if (value === null || value === this.#value) return;
    this.#value = value;
    this.#draw();
  }

  #draw(): void {
    if (this.#value === undefined) return;
    for (const chart of this.#drawn) chart.destroy();
    const figures = charts.map(() => el("div", { class: "chart" }));
    const value = this.#value;
    this.#body.replaceChildren(...charts.map((chart, i) => el("figure", { class: "trend" }, el("figcaption", {}, el("strong", {}, chart.title), el("span", { class: "soft" }, ` ${chart.unit}: ${describe(chart.of(value))}`)), figures[i])));
    this.#drawn = charts.map((chart, i) => draw(figures[i] as HTMLElement, chart.of(value), this.#width()));
  }

  #resize(): void {
    for (const chart of this.#drawn) if (Math.abs(chart.width - this.#width()) > 1) chart.setSize({ width: this.#width(), height });
  }

  #width(): number {
    return Math.max(160, Math.floor(this.#body.clientWidth));
  }
}

/** The chart in words, for everybody and for those who cannot see it. */
function describe({ values }: Trend): string {
  const there = values.filter((v) => v !== null);
  if (there.length === 0) return "no data in the last hour";
  return `now ${ratio(values.at(-1) ?? values.at(-2) ?? null)}, highest ${ratio(Math.max(...there))}`;
}

function draw(target: HTMLElement, { times, values }: Trend, width: number): uPlot {
  const color = (name: string) => resolveColor(target, name);
  const line = color("--chart");
  const axis: uPlot.Axis = { stroke: color("--soft-ink"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  const options: uPlot.Options = {
    width,
    height,
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_chart, _low, high) => [0, Math.max(1, (high ?? 0) * 1.1)] } },
    axes: [
      { ...axis, space: 60, size: 22, values: (_chart, ticks) => ticks.map((t) => new Date(t * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false })) },
      { ...axis, space: 26, size: 44, values: (_chart, ticks) => ticks.map((t) => (t >= 10_000 ? `${t / 1000}k` : ratio(t) || none)) },
    ],
    series: [{}, { stroke: line, width: 1.75, fill: color("--chart-fill"), points: { show: false }, spanGaps: false }],
  };
  return new uPlot(options, [[...times], [...values]], target);
}

/** A canvas needs the colour itself, of the scheme that holds now. */
function resolveColor(near: HTMLElement, name: string): string {
  const probe = el("span");
  probe.style.color = `var(${name})`;
  near.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
