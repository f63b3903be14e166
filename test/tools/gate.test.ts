import { afterEach, describe, expect, it } from "vitest";
import { gate, verdictOf } from "../../tools/gate.ts";
import { fakeDocker, type FakeDocker } from "../support/fake-docker.ts";

let docker: FakeDocker;
afterEach(() => docker.remove());
const stack = { stack: "dev", target: "docker" } as const;

describe("the gate after a rollout", () => {
  it("asks the probe inside its container", async () => {
    docker = fakeDocker(`echo '{"status":"ready"}'`);
    expect(await gate(stack, ["ready"], 5)).toEqual({ status: "ready" });
    expect(docker.calls()[0]).toMatch(/^exec crm-dev-crm-events-health node -e .*:9011\/ready/);
  });

  it("waits until the group is ready", async () => {
    docker = fakeDocker(`if [ "$(grep -c exec "$(dirname "$0")/calls")" -ge 3 ]; then echo '{"status":"ready"}'; else echo '{"status":"warming_up","reason":"1 s of 300 s are seen"}'; fi`);
    await gate(stack, ["ready"], 10, 1);
    expect(docker.calls()).toHaveLength(3);
  });

  it("fails at its deadline with the probe's reason", async () => {
    docker = fakeDocker(`echo '{"status":"not_ready","reason":"1 consumers are fewer than 2, for 301 s"}'`);
    await expect(gate(stack, ["ready"], 0.05, 5)).rejects.toThrow(/is not_ready after 0.05 s: 1 consumers are fewer than 2/);
  });

  it("does not take silence for a verdict", async () => {
    docker = fakeDocker(`echo 'Error: No such container' >&2; return 1`);
    expect(await verdictOf(stack)).toEqual({ status: "unreachable", reason: "Error: No such container" });
  });
});
