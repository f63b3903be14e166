/** Rendered inputs are those that the engine records: in previews, which need a Docker engine that answers, but no cluster. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { SecretKey } from "../../components/settings/keys.ts";
import { CliStack, noCli } from "../support/pulumi.ts";
import { canaries, keysIn } from "./canaries.ts";
import { differences, inputsOfPlan, renderedInputs, shippedConfig } from "./inputs.ts";

const why = noCli();
if (why) console.warn(`skipped: ${why}`);
const noEngine = spawnSync("docker", ["version"]).status !== 0;
if (noEngine && !why) console.warn("previews of Docker stacks are skipped: no Docker engine answers, and the provider asks one");
// Nobody's cluster has a part in it.
process.env.KUBECONFIG = join(tmpdir(), "there-is-no-kubeconfig");

const stacks: [stack: string, target: string, secrets: SecretKey[]][] = [
  ["dev", "docker", []],
  ["fast", "docker", []],
  ["prod", "kubernetes", ["slackWebhooks", "qboClientSecret", "qboWebhookVerifier", "postgresPassword", "grafanaAdminPassword", "deadManUrl", "pagerdutyRoutingKey"]],
];

describe.skipIf(why)("a preview of the shipped stack", () => {
  it.each(stacks.filter(([, target]) => target !== "docker" || !noEngine))("%s has the inputs that are rendered, on %s, secrets masked on both sides", async (name, _target, secrets) => {
    const stack = new CliStack(name, shippedConfig(name));
    try {
      expect((await stack.init()).code).toBe(0);
      if (secrets.length > 0) expect((await stack.run("config", "set-all", ...secrets.flatMap((key) => ["--secret", `${key}=${canaries[key]}`]))).code).toBe(0);
      const plan = join(stack.folder, "plan.json");
      const { code, output } = await stack.run("preview", "--save-plan", plan, "--show-secrets");
      expect(code, output).toBe(0);
      const [rendered, engines] = [renderedInputs(stack), inputsOfPlan(plan)];
      expect(engines.length).toBeGreaterThan(50);
      expect(differences(rendered, engines)).toEqual([]);
      // In clear they are in the plan alone, which was asked to show them.
      expect(keysIn(readFileSync(plan, "utf8")).sort()).toEqual([...secrets].sort());
      expect(keysIn(JSON.stringify([rendered, engines]))).toEqual([]);
    } finally {
      stack.remove();
    }
  });
});
