import { afterEach, describe, expect, it } from "vitest";
import { gate, gateArguments, settleSecondsOf, verdictOf } from "../../tools/gate.ts";
import { fakeDocker, type FakeDocker } from "../support/fake-docker.ts";

let docker: FakeDocker;
afterEach(() => docker?.remove());
const stack = { stack: "dev", target: "docker" } as const;

/** A command that prints what the probe's `/status` says. */
const says = (status: string, { reason = "", skew = 1.5, consumers = 2 }: { reason?: string; skew?: number | null; consumers?: number | null } = {}) =>
  `echo '${JSON.stringify({ skew_threshold: 4, min_consumers: 2, verdict: { status, reason, skew, consumers } })}'`;
/** One command for the first questions, another from the `n`th on. */
const fromQuestion = (n: number, then: string, before: string) => `if [ "$(grep -c exec "$(dirname "$0")/calls")" -ge ${n} ]; then ${then}; else ${before}; fi`;

describe("the gate after a rollout", () => {
  it("asks the probe inside its container", async () => {
    docker = fakeDocker(says("ready"));
    expect(await gate(stack, ["ready"], { seconds: 5 })).toEqual({ status: "ready", reason: "" });
    expect(docker.calls()).toEqual(["exec crm-dev-crm-events-health wget -qO- http://127.0.0.1:9011/status"]);
  });

  it("waits until the group is ready", async () => {
    docker = fakeDocker(fromQuestion(3, says("ready"), says("warming_up", { reason: "1 s of 300 s are seen" })));
    await gate(stack, ["ready"], { seconds: 10, pauseMs: 1 });
    expect(docker.calls()).toHaveLength(3);
  });

  it("fails at its deadline with the probe's reason", async () => {
    docker = fakeDocker(says("not_ready", { reason: "1 consumers are fewer than 2, for 301 s", consumers: 1 }));
    await expect(gate(stack, ["ready"], { seconds: 0.05, pauseMs: 5 })).rejects.toThrow(/is not_ready after 0.05 s: 1 consumers are fewer than 2, for 301 s/);
  });

  it.each([
    [{ consumers: 0 }, "0 consumers are fewer than 2"],
    [{ skew: 4.5 }, "skew 4.5 is above 4"],
    [{ skew: null, consumers: null }, "skew"],
  ])("does not pass on a window that is ready when the newest sample is not: %j", async (newest, reason) => {
    docker = fakeDocker(says("ready", newest));
    await expect(gate(stack, ["ready"], { seconds: 0.05, pauseMs: 5 })).rejects.toThrow(`is not_ready after 0.05 s: the newest sample: ${reason}`);
  });

  it("passes once ready has lasted for as long as bad news may be on their way", async () => {
    docker = fakeDocker(says("ready"));
    const began = performance.now();
    await gate(stack, ["ready"], { seconds: 0.01, settleSeconds: 0.5, pauseMs: 20 });
    expect(performance.now() - began).toBeGreaterThanOrEqual(490);
  });

  it("does not pass when ready turns bad meanwhile", async () => {
    docker = fakeDocker(fromQuestion(5, says("ready", { consumers: 0 }), says("ready")));
    await expect(gate(stack, ["ready"], { seconds: 0.01, settleSeconds: 60, pauseMs: 20 })).rejects.toThrow("0 consumers are fewer than 2");
    expect(docker.calls()).toHaveLength(5);
  });

  it("counts anew from a bad answer on", async () => {
    docker = fakeDocker(`if [ "$(grep -c exec "$(dirname "$0")/calls")" -eq 2 ]; then sleep 1; ${says("unknown", { reason: "skew: there is no series" })}; else ${says("ready")}; fi`);
    const began = performance.now();
    await gate(stack, ["ready"], { seconds: 60, settleSeconds: 1.5, pauseMs: 20 });
    expect(performance.now() - began).toBeGreaterThanOrEqual(2_490);
  });

  it.each([
    ["of the engine", `echo 'Error: No such container' >&2; return 1`, "Error: No such container"],
    ["of the probe", "echo", "the probe did not answer with a verdict"],
    ["with other words", `echo '{"error":"no such path"}'`, "the probe did not answer with a verdict"],
  ])("does not take silence for a verdict: %s", async (_whose, body, reason) => {
    docker = fakeDocker(body);
    expect(await verdictOf(stack)).toEqual({ status: "unreachable", reason });
  });

  it("settles for 90 seconds, and for less where Prometheus looks more often", () => {
    expect(settleSecondsOf({ timing: "standard" })).toBe(90);
    expect(settleSecondsOf({ timing: "fast" })).toBe(36);
  });

  it("takes a stack, a deadline and the time to settle", () => {
    expect(gateArguments([])).toEqual({ stack: "dev", seconds: undefined, settleSeconds: undefined });
    expect(gateArguments(["fast", "600", "--settle", "0"])).toEqual({ stack: "fast", seconds: 600, settleSeconds: 0 });
    expect(() => gateArguments(["dev", "ten"])).toThrow('"ten" is not a number of seconds');
    expect(() => gateArguments(["dev", "--settle", "-1"])).toThrow();
    expect(() => gateArguments(["dev", "--settle=-1"])).toThrow('"-1" is not a number of seconds');
  });
});
