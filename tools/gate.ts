/**
 * `npm run gate -- STACK [SECONDS]`: after a rollout, waits until the health probe calls the consumer group ready, and
 * fails with the probe's reason when it does not within the time (by default a whole window and 5 minutes).
 */
import { capture } from "../airgap/process.ts";
import { parts } from "../components/topology.ts";
import type { Settings } from "../components/settings/schema.ts";
import { settingsOf } from "./stacks.ts";

/** What the probe says; `unreachable` when it cannot be asked. */
export interface Verdict {
  readonly status: string;
  readonly reason?: string;
}

const ask = `fetch("http://127.0.0.1:${parts["crm-events-health"].port}/ready").then((r) => r.text()).then(console.log)`;

/** The probe is never published, so it is asked from inside its own container. */
export async function verdictOf(s: Pick<Settings, "stack" | "target">): Promise<Verdict> {
  const inside = s.target === "docker" ? ["docker", "exec", `crm-${s.stack}-crm-events-health`] : ["kubectl", "--namespace", `crm-${s.stack}`, "exec", "statefulset/crm-events-health", "--"];
  const { code, stdout, stderr } = await capture(inside[0]!, [...inside.slice(1), "node", "-e", ask], { seconds: 20 });
  if (code !== 0) return { status: "unreachable", reason: stderr.trim().split("\n").at(-1) ?? "" };
  try {
    return JSON.parse(stdout) as Verdict;
  } catch {
    return { status: "unreachable", reason: "the probe did not answer with JSON" };
  }
}

/**
 * @param good verdicts that end the wait
 * @param seconds deadline
 * @returns the verdict that ended it
 * @throws Error at the deadline, with the last verdict and its reason
 */
export async function gate(s: Pick<Settings, "stack" | "target">, good: readonly string[], seconds: number, pauseMs = 2_000): Promise<Verdict> {
  for (const end = Date.now() + seconds * 1000; ; await new Promise((resolve) => setTimeout(resolve, pauseMs))) {
    const verdict = await verdictOf(s);
    if (good.includes(verdict.status)) return verdict;
    if (Date.now() >= end) throw new Error(`the consumer group of "${s.stack}" is ${verdict.status} after ${seconds} s: ${verdict.reason ?? "no reason given"}; see runbooks/guides/health-probe.md`);
  }
}

if (import.meta.main) {
  try {
    const [stack = "dev", seconds] = process.argv.slice(2);
    const s = settingsOf(stack);
    await gate(s, ["ready"], seconds === undefined ? (s.healthProbe.windowMinutes + 5) * 60 : Number(seconds));
    console.log(`the consumer group of "${stack}" is ready`);
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
