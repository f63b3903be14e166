/**
 * What the program costs beside its floors, in one run: its own start beside an empty program, preview beside one trivial
 * resource, first and repeated `up` beside Compose with the same rendered stack.
 *
 *   npm exec -- node bench/deploy.ts [rounds]        needs a Docker engine and, for all but the first, the Pulumi CLI on the PATH
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { ensureCompose } from "../airgap/compose.ts";
import { ensureEngine } from "../airgap/engine.ts";
import { readStack } from "../components/settings/read.ts";
import { partsOf, replicaNames, replicasOf } from "../components/topology.ts";
import { fileSource } from "../components/settings/stack-files.ts";
import { CliStack, noCli } from "../test/support/pulumi.ts";
import { hasImage, offlineOverrides } from "../tools/images.ts";
import { parallel } from "../tools/pulumi.ts";
import { waitHealthy } from "../tools/health.ts";
import { root } from "../tools/service-sources.ts";

const rounds = Number(process.argv[2] ?? 5);
const stack = "bench";
const rows: string[] = [];

/** Milliseconds that `work` takes. */
async function time(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
const ms = (values: number[]) => `${Math.round(median(values))} (${Math.round(Math.min(...values))} to ${Math.round(Math.max(...values))})`;

/** Runs ours and the floor in turn, and notes the median of the ratios. */
async function compare(what: string, goal: string, n: number, ours: () => unknown, floor: () => unknown): Promise<void> {
  const a: number[] = [];
  const b: number[] = [];
  for (let i = 0; i < n; i++) {
    a.push(await time(ours));
    b.push(await time(floor));
  }
  const ratio = median(a.map((value, i) => value / b[i]!));
  rows.push(`| ${what} | ${ms(a)} | ${ms(b)} | ${ratio.toFixed(2)} | ${Math.round(median(a) - median(b))} | ${goal} |`);
  console.log(rows.at(-1));
}

const node = (...args: string[]) => execFileSync(process.execPath, args, { cwd: root, stdio: "ignore" });

/** A project with one trivial resource per provider that the Docker stack uses. */
function trivial(): CliStack {
  const floor = new CliStack("floor", {});
  rmSync(join(floor.folder, "index.ts"));
  rmSync(join(floor.folder, "package.json"));
  writeFileSync(join(floor.folder, "package.json"), JSON.stringify({ type: "module", main: "index.ts" }));
  writeFileSync(join(floor.folder, "index.ts"), 'import { Volume } from "@pulumi/docker/volume.js";\nnew Volume("floor", { name: "crm-floor" });\n');
  writeFileSync(join(floor.folder, "Pulumi.yaml"), 'name: crm-observability\nruntime:\n  name: nodejs\n  options: { typescript: false, nodeargs: "--import ./tools/runtime.mjs" }\nmain: index.ts\n');
  return floor;
}

/**
 * The CLI asks for the plugin of every provider among the packages, of Grafana's too, which this stack does not use. Where
 * it is in no reach, a placeholder that nothing calls spares each run the tries to download it.
 * @returns a folder for the PATH, or undefined where the plugin is installed
 */
function placeholder(folder: string): string | undefined {
  const { stdout } = spawnSync("pulumi", ["plugin", "ls", "--json"], { encoding: "utf8" });
  if ((JSON.parse(stdout) as { name: string }[]).some(({ name }) => name === "grafana")) return undefined;
  const plugins = join(folder, "plugins");
  mkdirSync(plugins);
  writeFileSync(join(plugins, "pulumi-resource-grafana"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  return plugins;
}

async function good(result: Promise<{ code: number; output: string }>): Promise<void> {
  const { code, output } = await result;
  if (code !== 0) throw new Error(output);
}

async function main(): Promise<void> {
  // The program runs on this Node, as it does with `make up`.
  process.env.PATH = [dirname(process.execPath), process.env.PATH].join(delimiter);
  const out = mkdtempSync(join(tmpdir(), "bench-"));
  const offline = (await hasImage("localhost/crm-offline/node:24-alpine")) ? offlineOverrides : {};
  const sets = Object.entries({ ...offline, portOffset: 22_000 }).flatMap(([key, value]) => ["--set", `${key}=${JSON.stringify(value)}`]);
  const render = () => node("render/cli.ts", "--stack", "dev", "--out", join(out, "dev"), ...sets);
  await compare("the program alone (render) / importing the SDK", "under 1 000 ms of its own", rounds, render, () => node("-e", 'require("@pulumi/pulumi")'));
  const why = noCli();
  if (why) console.log(`the rest is skipped: ${why}`);
  const plugins = why ? undefined : placeholder(out);
  if (plugins) process.env.PATH = [plugins, process.env.PATH].join(delimiter);
  // As with `make up`.
  process.env.PULUMI_PARALLEL ||= parallel;
  if (!why) await withCli(out, sets, { ...offline, portOffset: 22_000 });
  const engine = await ensureEngine();
  const cli = why ? "none" : spawnSync("pulumi", ["version"], { encoding: "utf8" }).stdout.trim();
  const text = `# Deployment\n\n\`npm exec -- node bench/deploy.ts ${rounds}\` on ${new Date().toISOString().slice(0, 10)}; Node ${process.version}, Pulumi CLI ${cli}, Docker engine ${engine.version}. Milliseconds: median (minimum to maximum). PULUMI_PARALLEL=${process.env.PULUMI_PARALLEL}, as in \`make up\`.${plugins ? " Grafana's plugin, which this stack does not use, could not be had: a placeholder stands for it." : ""}\n\n| what / floor | ours | floor | ratio | difference | goal |\n| --- | --- | --- | --- | --- | --- |\n${rows.join("\n")}\n`;
  mkdirSync(join(root, "bench/results"), { recursive: true });
  writeFileSync(join(root, "bench/results/deploy.md"), text);
  rmSync(out, { recursive: true });
}

async function withCli(out: string, sets: string[], overrides: Record<string, unknown>): Promise<void> {
  const plain = Object.fromEntries([...fileSource(root, "dev", overrides).values].map(([key, { text }]) => [key, parseText(text)]));
  const ours = new CliStack(stack, plain);
  const floor = trivial();
  try {
    await good(ours.init());
    await good(floor.init());
    await compare("preview / preview of one volume", "ratio 1.3", rounds, () => good(ours.run("preview")), () => good(floor.run("preview")));
    const { command: [program, ...first] } = await ensureCompose(await ensureEngine());
    const folder = join(out, "dev");
    node("render/secrets.ts", "--stack", "dev", "--out", folder, ...sets);
    const s = readStack(fileSource(root, "dev", overrides)).settings;
    const expected = partsOf(s).flatMap((part) => replicaNames(part, replicasOf(s, part)));
    const compose = (...args: string[]) => execFileSync(program, [...first, "--project-directory", folder, "-f", join(folder, "compose.yaml"), "-p", "crm-dev", ...args], { stdio: "ignore" });
    const composeUp = async () => {
      compose("up", "-d");
      await waitHealthy("crm-dev", expected, 300);
    };
    // Both stacks publish the same ports, so each is gone before the other starts.
    const a: number[] = [];
    const b: number[] = [];
    for (let i = 0; i < Math.min(2, rounds); i++) {
      a.push(await time(() => good(ours.run("up", "--yes", "--skip-preview"))));
      await compareNoop(ours);
      await good(ours.run("destroy", "--yes", "--skip-preview"));
      b.push(await time(composeUp));
      composeNoop.push(await time(composeUp));
      compose("down", "--volumes");
    }
    rows.push(`| first up to all healthy / Compose | ${ms(a)} | ${ms(b)} | ${median(a.map((v, i) => v / b[i]!)).toFixed(2)} | ${Math.round(median(a) - median(b))} | ratio 1.3 |`);
    rows.push(`| up that changes nothing / Compose | ${ms(noop)} | ${ms(composeNoop)} | ${median(noop.map((v, i) => v / composeNoop[i]!)).toFixed(2)} | ${Math.round(median(noop) - median(composeNoop))} | - |`);
  } finally {
    await ours.run("destroy", "--yes", "--skip-preview");
    ours.remove();
    floor.remove();
  }
}

const noop: number[] = [];
const composeNoop: number[] = [];
const compareNoop = async (ours: CliStack) => void noop.push(await time(() => good(ours.run("up", "--yes", "--skip-preview"))));

function parseText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

await main();
