/**
 * `npm run gate -- STACK [SECONDS] [--settle SECONDS]`: after a rollout, waits until the health probe calls the consumer
 * group ready and its newest sample is good, and until both have lasted for as long as bad news may be on their way. Fails
 * with the probe's reason when the group is not ready within the time (by default a whole window and 5 minutes).
 */
import { parseArgs } from "node:util";
import { capture } from "../airgap/process.ts";
import type { Settings } from "../components/settings/schema.ts";
import { timingOf } from "../components/settings/timing.ts";
import { parts } from "../components/topology.ts";
import { faultOf } from "../services/crm-events-health/verdict.ts";
import { settingsOf } from "./stacks.ts";

/** What the probe says; `unreachable` when it cannot be asked. */
export interface Verdict {
  readonly status: string;
  readonly reason?: string;
}

/** The probe's `/status`, as far as it is read here. */
interface Status {
  readonly skew_threshold: number;
  readonly min_consumers: number;
  readonly verdict: Required<Verdict> & { readonly skew: number | null; readonly consumers: number | null };
}

export interface GateOptions {
  /** Deadline for a good verdict. */
  readonly seconds: number;
  /** How long good verdicts must have lasted, also beyond the deadline. @default not at all */
  readonly settleSeconds?: number;
  readonly pauseMs?: number;
}

/** `wget`, which has next to no part in the probe's small limits. `/status` is 200 whatever the verdict is. */
const ask = ["wget", "-qO-", `http://127.0.0.1:${parts["crm-events-health"].port}/status`];

/** The probe is never published, so it is asked from inside its own container. */
export async function verdictOf(s: Pick<Settings, "stack" | "target">): Promise<Verdict> {
  const inside = s.target === "docker" ? ["docker", "exec", `crm-${s.stack}-crm-events-health`] : ["kubectl", "--namespace", `crm-${s.stack}`, "exec", "statefulset/crm-events-health", "--"];
  const { code, stdout, stderr } = await capture(inside[0]!, [...inside.slice(1), ...ask], { seconds: 20 });
  if (code !== 0) return { status: "unreachable", reason: stderr.trim().split("\n").at(-1) ?? "" };
  try {
    return ofNewest(JSON.parse(stdout) as Status);
  } catch {
    return { status: "unreachable", reason: "the probe did not answer with a verdict" };
  }
}

/** In the sustained mode a group that has just broken is ready for a whole window more; its newest sample tells. */
function ofNewest({ skew_threshold: skewThreshold, min_consumers: minConsumers, verdict }: Status): Verdict {
  const { consumers, reason, skew, status } = verdict;
  const fault = faultOf({ skew: skew ?? Number.NaN, consumers: consumers ?? Number.NaN }, { skewThreshold, minConsumers });
  return status === "ready" && fault !== "" ? { status: "not_ready", reason: `the newest sample: ${fault}` } : { status, reason };
}

/**
 * @param good verdicts that end the wait, once they have lasted
 * @returns the verdict that ended it
 * @throws Error when the verdict is not good at the deadline, or turns bad after it, with its reason
 */
export async function gate(s: Pick<Settings, "stack" | "target">, good: readonly string[], { seconds, settleSeconds = 0, pauseMs = 2_000 }: GateOptions): Promise<Verdict> {
  const end = Date.now() + seconds * 1_000;
  for (let since: number | undefined; ; await new Promise((resolve) => setTimeout(resolve, pauseMs))) {
    const verdict = await verdictOf(s);
    const now = Date.now();
    since = good.includes(verdict.status) ? (since ?? now) : undefined;
    if (since !== undefined && now - since >= settleSeconds * 1_000) return verdict;
    if (since === undefined && now >= end) throw new Error(`the consumer group of "${s.stack}" is ${verdict.status} after ${seconds} s: ${verdict.reason || "no reason given"}; see runbooks/guides/health-probe.md`);
  }
}

/**
 * How long it may take until a sample shows that a rollout broke the group: the session of a member that is gone (15 s),
 * two scrapes, an evaluation and a poll of the probe (5 s); 10 s are to spare.
 */
export function settleSecondsOf(s: Pick<Settings, "timing">): number {
  const { evaluationSeconds, scrapeSeconds } = timingOf(s);
  return 15 + 2 * scrapeSeconds + evaluationSeconds + 5 + 10;
}

/** `[STACK] [SECONDS] [--settle SECONDS]`; undefined where the settings decide. @throws Error that says what is wrong */
export function gateArguments(argv: readonly string[]): { stack: string; seconds: number | undefined; settleSeconds: number | undefined } {
  const { positionals, values } = parseArgs({ args: [...argv], options: { settle: { type: "string" } }, allowPositionals: true });
  const number = (text: string | undefined): number | undefined => {
    if (text !== undefined && !/^\d+(\.\d+)?$/.test(text)) throw new Error(`"${text}" is not a number of seconds`);
    return text === undefined ? undefined : Number(text);
  };
  return { stack: positionals[0] ?? "dev", seconds: number(positionals[1]), settleSeconds: number(values.settle) };
}

if (import.meta.main) {
  try {
    const { stack, seconds, settleSeconds } = gateArguments(process.argv.slice(2));
    const s = settingsOf(stack);
    await gate(s, ["ready"], { seconds: seconds ?? (s.healthProbe.windowMinutes + 5) * 60, settleSeconds: settleSeconds ?? settleSecondsOf(s) });
    console.log(`the consumer group of "${stack}" is ready`);
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
