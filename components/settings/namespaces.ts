/** Keys of other namespaces than the project's: Pulumi's own, its providers', and slips. */
import type { Fixes } from "./fixes.ts";
import { nearest } from "./nearest.ts";
import type { Problem } from "./problem.ts";
import type { ConfigSource } from "./source.ts";

/** What Pulumi, its providers and their adapters in components/platform/ read: a whole namespace, or some keys of it. */
const read: Readonly<Record<string, readonly string[] | "all">> = {
  pulumi: "all",
  docker: "all",
  // The stack makes a provider of its own, which the engine gives nothing of the configuration.
  kubernetes: ["context", "kubeconfig"],
};

/**
 * Keys that are given and read by nobody. A slip is refused; of others the stack is only told, because an environment of
 * several projects (Pulumi ESC) may hold them.
 * @param known names of the project's own keys
 */
export function foreignKeys({ others, project }: ConfigSource, known: readonly string[], fixes: Fixes): Problem[] {
  return others.flatMap((full): Problem[] => {
    const at = full.indexOf(":");
    const [namespace, key] = [full.slice(0, at), full.slice(at + 1)];
    const keys = Object.hasOwn(read, namespace) ? read[namespace]! : undefined;
    if (keys === "all" || keys?.includes(key)) return [];
    if (keys !== undefined) return [{ key: full, message: `is not read: of ${namespace} only ${keys.join(" and ")} are`, fix: fixes.remove(full) }];
    const meant = meantBy(namespace, key, project, known);
    return [{ key: full, message: `belongs to no part of this program${meant === undefined ? "" : ` (did you mean ${meant}?)`}`, fix: fixes.remove(full), warning: meant === undefined }];
  });
}

/** The key that a misspelt namespace, or a wrong one before a key of the project's, stands for. */
function meantBy(namespace: string, key: string, project: string, known: readonly string[]): string | undefined {
  const near = nearest(namespace, [project, ...Object.keys(read)]);
  if (near === project) return `${project}:${nearest(key, known) ?? key}`;
  if (near !== undefined) return `${near}:${key}`;
  return known.includes(key) ? `${project}:${key}` : undefined;
}
