/** Changes the running configuration by hand, past the loaders, as somebody in a hurry does. */
import type { Files } from "../../components/platform/platform.ts";
import { container, dockerInput } from "./drill.ts";
import { at, docker, prefix } from "./stack.ts";

type Program = "prometheus" | "alertmanager";

/** The loaders remove folders of this kind that they did not make. */
const folder = "rev-drill";

/**
 * Puts other files in place of the running ones, and asks for the reload.
 * @param files path to text; those that are not named stay as they are
 * @returns the program's answer to the reload: 200 when it took the files
 */
export async function changeConfig(part: Program, files: Files): Promise<number> {
  const image = (await docker("inspect", "--format", "{{.Config.Image}}", container(part))).trim();
  const writes = Object.entries(files).map(([path, text]) => `base64 -d > ${folder}/${path} <<END\n${Buffer.from(text).toString("base64").replace(/.{76}/g, "$&\n")}\nEND\n`);
  const script = `set -eu
cd /config
[ "$(readlink current)" = ${folder} ] || { rm -rf ${folder}; cp -rL current ${folder}; }
${writes.join("")}ln -sfn ${folder} .next && mv -fT .next current
`;
  await dockerInput(script, "run", "--rm", "--interactive", "--user", "65534", "--volume", `${prefix}-${part}-config:/config`, "--entrypoint", "/bin/sh", image, "-s");
  return (await fetch(at(part, "/-/reload"), { method: "POST" })).status;
}

/** The running file, to be changed. */
export const currentFile = (part: Program, path: string): Promise<string> => docker("exec", container(part), "cat", `/etc/${part}/current/${path}`);

/** Lets the stack's own loader put its files back, whatever was done to them. */
export async function restoreConfig(part: Program): Promise<void> {
  await docker("start", "--attach", container(`${part}-config-loader`));
}
