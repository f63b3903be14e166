/** Regular expressions of tenants' names. Prometheus reads them by RE2's rules, the program by JavaScript's. */

/** RE2's flags at the beginning, which JavaScript writes elsewhere. */
const leadingFlags = /^\(\?([imsU]+)\)/;

const bodyOf = (pattern: string) => pattern.replace(leadingFlags, "");

/**
 * @param pattern one that `re2Refusal` has nothing against
 * @returns the JavaScript expression of the same names, anchored as Prometheus does
 */
export function vipRegExp(pattern: string): RegExp {
  const flags = new Set(leadingFlags.exec(pattern)?.[1]);
  // U swaps greedy and lazy, which changes nothing about a whole match.
  flags.delete("U");
  return new RegExp(`^(?:${bodyOf(pattern)})$`, [...flags].join(""));
}

/** Why a pattern cannot be used, or undefined. */
export function re2Refusal(pattern: string): string | undefined {
  const body = bodyOf(pattern);
  try {
    // By itself too: between the anchors' brackets `a)|(b` would be well-formed.
    new RegExp(body);
    vipRegExp(pattern);
  } catch {
    return "is not a regular expression";
  }
  const escapes = body.match(/\\[^]/g) ?? [];
  if (escapes.some((escape) => /[1-9k]/.test(escape[1]!))) return "has a back-reference, which Prometheus's expressions (RE2) lack";
  // Inside a class, and escaped, these characters mean themselves.
  const bare = body.replace(/\\[^]/g, "").replace(/\[[^\]]*\]/g, "");
  return /\(\?<?[=!]/.test(bare) ? "looks ahead or behind, which Prometheus's expressions (RE2) cannot" : undefined;
}
