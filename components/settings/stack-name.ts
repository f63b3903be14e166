/** The stack's name, which is in the names of everything that the stack makes. */
import { quoted } from "./fixes.ts";
import type { Problem } from "./problem.ts";
import type { ConfigSource } from "./source.ts";

/** Compose's project names; and the namespaces of a cluster, 63 characters with `crm-` before. */
const rules = {
  docker: { form: /^[a-z0-9][a-z0-9_-]{0,58}$/, says: "at most 59 lower-case letters, digits, '-' and '_'" },
  kubernetes: { form: /^[a-z0-9](?:[a-z0-9-]{0,57}[a-z0-9])?$/, says: "at most 59 lower-case letters, digits and inner '-'" },
};

/** Why the stack cannot have the name that it has; none of a name that its target takes. */
export function stackNameProblems({ stack, values }: Pick<ConfigSource, "stack" | "values">): Problem[] {
  const target = values.get("target")?.text === "kubernetes" ? "kubernetes" : "docker";
  const { form, says } = rules[target];
  if (form.test(stack)) return [];
  const near = stack.toLowerCase().replace(/[^a-z0-9-]+/g, "-").slice(0, 59).replace(/^-+|-+$/g, "");
  return [{ key: "stack", message: `has a name that ${target} does not take: ${says}, beginning with a letter or digit`, fix: `rename it with: pulumi stack rename ${near === "" ? "NAME" : near} --stack ${quoted(stack)}` }];
}
