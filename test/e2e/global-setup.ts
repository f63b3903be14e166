/** Brings the `fast` stack up from nothing for the end-to-end tests, and takes it down with its data. KEEP=1 leaves it. */
import { spawnSync } from "node:child_process";
import { root, stackName, up } from "../support/stack.ts";

const down = () => spawnSync(process.execPath, ["tools/down.ts", stackName, "--data"], { cwd: root, stdio: "inherit" });

export default async function setup(): Promise<() => void> {
  if (!process.env.KEEP) down();
  const { code, output } = await up("--compose");
  console.log(output);
  if (code !== 0) throw new Error("the fast stack did not come up");
  return () => void (process.env.KEEP || down());
}
