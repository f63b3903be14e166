/** The services take the environment that a stack gives them, at the edges of what its settings allow. */
import { rmSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ownImages } from "../../components/images.ts";
import { commandCenterEnv } from "../../services/command-center/env.ts";
import { readCrmApiEnv } from "../../services/crm-api/env.ts";
import { eventsEnv } from "../../services/crm-events/env.ts";
import { readHealthEnv } from "../../services/crm-events-health/env.ts";
import { readQboStandinEnv } from "../../services/qbo-standin/env.ts";
import { readEnv } from "../../services/shared/env.ts";
import { simulatorEnv } from "../../services/simulator/env.ts";
import { slackStandinEnv } from "../../services/slack-standin/env.ts";
import { rendered, type Rendered } from "../support/render.ts";

const readers: Readonly<Record<(typeof ownImages)[number], (env: NodeJS.ProcessEnv) => unknown>> = {
  "crm-api": readCrmApiEnv,
  "crm-events": (env) => readEnv(eventsEnv, env),
  "crm-events-health": readHealthEnv,
  "command-center": (env) => readEnv(commandCenterEnv, env),
  simulator: (env) => readEnv(simulatorEnv, env),
  "slack-standin": (env) => readEnv(slackStandinEnv, env),
  "qbo-standin": readQboStandinEnv,
};

const edges = {
  orgs: [{ id: "a.b_c-d", name: ` ${"Ø".repeat(200)} ` }, { id: "x".repeat(63), name: "1" }],
  slackChannels: { crm: `#${"a_1-".repeat(19)}xyz`, ops: "#-" },
  tenants: ["A.b_c-d", "x".repeat(63)],
  trustedProxies: ["10.0.0.0/8", "fd00::/8", "192.0.2.1"],
  healthProbe: { windowMode: "strict", windowMinutes: 1440, promTimeoutMs: 60_000, promRetries: 10 },
  kafkaBrokers: ["a.example.com:1", "b_c-d.example.com:65535"],
  urls: { commandCenter: "https://ops.example.com/x/", grafana: "https://[2001:db8::1]:3000" },
};
let stacks: Rendered[];
beforeAll(async () => {
  const sets = Object.entries(edges).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  stacks = await Promise.all([rendered("dev"), rendered("prod", "target=docker"), rendered("dev", ...sets)]);
}, 120_000);
afterAll(() => stacks.forEach((r) => rmSync(r.folder, { recursive: true, force: true })));

/** Environments of a stack's containers, by part. */
function environments({ resources }: Rendered): [part: keyof typeof readers, env: NodeJS.ProcessEnv][] {
  return resources
    .filter((r) => r.type === "docker:index/container:Container" && !r.name.endsWith("-loader"))
    .map((r): [string, string[]] => [r.name.replace(/^crm-(dev|prod)-/, "").replace(/-\d+$/, ""), r.inputs.envs as string[]])
    .filter((e): e is [keyof typeof readers, string[]] => e[0] in readers)
    .map(([part, envs]) => [part, Object.fromEntries(envs.map((env) => [env.slice(0, env.indexOf("=")), env.slice(env.indexOf("=") + 1)]))]);
}

it("is taken by every service of every stack", () => {
  for (const r of stacks) for (const [part, env] of environments(r)) expect(() => readers[part](env), part).not.toThrow();
  expect(new Set(environments(stacks[0]!).map(([part]) => part))).toEqual(new Set(ownImages));
});

it("hands trusted proxies to crm-events, and nothing where there are none", () => {
  const proxies = (r: Rendered) => environments(r).filter(([part]) => part === "crm-events").map(([, env]) => env["TRUSTED_PROXIES"]);
  expect(proxies(stacks[0]!)).toEqual([undefined, undefined]);
  expect(proxies(stacks[2]!)).toEqual(Array(2).fill("10.0.0.0/8,fd00::/8,192.0.2.1"));
});
