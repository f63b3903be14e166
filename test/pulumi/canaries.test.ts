/** Every secret of a stack, followed through the program: only its own file has it, and nothing that is shown does. */
import { execFile } from "node:child_process";
import { statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { secretKeys, type SecretKey } from "../../components/settings/keys.ts";
import type { Recorded } from "../../render/record.ts";
import { changed, root } from "../components/settings/support.ts";
import { filesUnder } from "../support/render.ts";
import { canaries, cases, changesOf, keysIn, type CanaryCase } from "./canaries.ts";
import { canaryProject } from "./canary-project.ts";

/** Runs the program on real values, as `pulumi up` does; a process runs it once. */
const script = `
import { text } from "node:stream/consumers";
import { composeFile } from "${root}render/compose.ts";
import { record } from "${root}render/record.ts";
const { source, reveal } = JSON.parse(await text(process.stdin));
const { resources, warnings } = await record({ ...source, values: new Map(source.values) }, reveal);
const compose = source.target === "docker" ? composeFile("crm-dev", resources) : "";
console.log(JSON.stringify({ resources, warnings, compose }));
`;

interface Run {
  readonly resources: Recorded[];
  /** All that it printed or gave back. */
  readonly shown: string;
}

function run(theCase: CanaryCase, target: string, reveal: boolean): Promise<Run> {
  const source = changed("dev", { ...changesOf(theCase), target });
  const { promise, resolve, reject } = Promise.withResolvers<Run>();
  const child = execFile(process.execPath, ["--input-type=module", "-e", script], { cwd: root, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
    if (error) reject(error);
    else resolve({ resources: (JSON.parse(stdout) as Run).resources, shown: stdout + stderr });
  });
  child.stdin!.end(JSON.stringify({ source: { ...source, target, values: [...source.values] }, reveal }));
  return promise;
}

/** Files that each secret is written to, by part. */
const consumers: Record<SecretKey, string[]> = {
  slackWebhook: ["alertmanager/slack-crm", "alertmanager/slack-ops"],
  slackWebhooks: ["alertmanager/slack-crm", "alertmanager/slack-ops"],
  qboClientSecret: ["crm-api/qbo-client-secret"],
  qboWebhookVerifier: ["crm-api/qbo-webhook-verifier"],
  kafkaSaslPassword: ["crm-api/kafka-sasl-password", "crm-events/kafka-sasl-password", "kafka-exporter/kafka-sasl-args"],
  postgresPassword: ["crm-api/postgres-password"],
  crmEventsCertificate: ["crm-events/tls-certificate"],
  crmEventsKey: ["crm-events/tls-key"],
  grafanaAdminPassword: ["grafana/admin-password"],
  grafanaToken: ["the provider of Grafana"],
  deadManUrl: ["alertmanager/deadman-url"],
  pagerdutyRoutingKey: ["alertmanager/pagerduty-key"],
  mailPassword: ["alertmanager/mail-password"],
  remoteWritePassword: ["prometheus/remote-write-password"],
};

/** Texts of one resource, each under the name of the secret file that it is, or else of the resource. */
function textsOf({ type, name, inputs }: Recorded): [place: string, text: string][] {
  const loader = /^crm-dev-(.+)-secrets-loader$/.exec(name)?.[1];
  const { uploads, data, ...rest } = inputs as { uploads?: { file: string; content: string }[]; data?: Record<string, string> };
  if (loader !== undefined) return [[name, JSON.stringify(rest)], ...(uploads ?? []).map(({ file, content }): [string, string] => [`${loader}/${file.replace("/stage/", "")}`, content])];
  if (inputs.kind === "Secret") return [[name, JSON.stringify(rest)], ...Object.entries(data ?? {}).map(([file, text]): [string, string] => [`${name.replace(/-secrets$/, "")}/${file}`, text])];
  return [[type === "pulumi:providers:grafana" ? "the provider of Grafana" : name, JSON.stringify(inputs)]];
}

const placesOf = (resources: readonly Recorded[], key: SecretKey): string[] => [...new Set(resources.flatMap(textsOf).filter(([, text]) => keysIn(text).includes(key)).map(([place]) => place))].sort();

it("there is a canary of every secret key, in settings that use it", () => {
  expect(Object.keys(canaries).sort()).toEqual(Object.keys(secretKeys).sort());
  expect([...new Set(Object.values(cases).flatMap((c) => c.keys))].sort()).toEqual(Object.keys(secretKeys).sort());
  for (const [key, value] of Object.entries(canaries)) for (const text of [value, JSON.stringify({ value }), Buffer.from(`x${value}`).toString("base64")]) expect(keysIn(text), text).toEqual([key]);
});

describe.each(Object.entries(cases))("%s", (_name, theCase) => {
  describe.each(["docker", "kubernetes"])("on %s", (target) => {
    let masked: Run;
    let clear: Run;
    beforeAll(async () => {
      [masked, clear] = await Promise.all([run(theCase, target, false), run(theCase, target, true)]);
    }, 60_000);

    it("gives each secret to the files of its consumers and to nothing else", () => {
      for (const key of theCase.keys) expect(placesOf(clear.resources, key), key).toEqual(consumers[key]);
    });

    it("marks all of them as secret, so that neither what is rendered nor a warning has one", () => {
      expect(masked.resources.map((r) => r.name)).toEqual(clear.resources.map((r) => r.name));
      expect(keysIn(masked.shown)).toEqual([]);
    });
  });
});

describe.each(Object.entries(cases))("rendered for Compose, without the CLI: %s", (_name, theCase) => {
  it("a secret is in the files of its consumers only", () => {
    const project = canaryProject("canary", theCase, { environment: "development", orgs: [{ id: "acme", name: "Acme" }] });
    try {
      const { code, output } = project.render();
      expect(code, output).toBe(0);
      expect(keysIn(output)).toEqual([]);
      const files = Object.entries(filesUnder(project.folder));
      expect(files.map(([path]) => path)).toEqual(expect.arrayContaining(["out/compose.yaml", "out/resources.json", "out/config/alertmanager/alertmanager.yml"]));
      for (const key of theCase.keys.filter((k) => k !== "grafanaToken")) {
        expect(files.filter(([, text]) => keysIn(text).includes(key)).map(([path]) => path).sort(), key).toEqual(consumers[key].map((path) => `out/secrets/${path}`));
      }
      expect(files.filter(([, text]) => keysIn(text).includes("grafanaToken"))).toEqual([]);
      expect(statSync(join(project.out, "secrets")).mode & 0o777).toBe(0o700);
    } finally {
      project.remove();
    }
  });
});
