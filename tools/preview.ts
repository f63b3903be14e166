/** `make preview`: what `pulumi up` would change, on the same state and stack file as `make up`. */
import { spawnSync } from "node:child_process";
import { ensureStack, findPulumi, pulumiEnv, stackFile } from "./pulumi.ts";
import { root } from "./service-sources.ts";

const stack = process.argv[2] ?? "dev";
try {
  const pulumi = await findPulumi();
  if (!("program" in pulumi)) throw new Error(`${pulumi.missing}; npm run render -- --stack ${stack} --out DIR shows what would be deployed`);
  const env = pulumiEnv();
  await ensureStack(pulumi.program, stack, env);
  const { status } = spawnSync(pulumi.program, ["preview", "--diff", "--stack", stack, "--config-file", stackFile(stack, {})], { cwd: root, stdio: "inherit", env: { ...process.env, ...env } });
  process.exitCode = status ?? 1;
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
