/**
 * Regular expressions of tenants' names. Prometheus reads them by RE2's rules, the program by JavaScript's: only what
 * both read, and read alike, is accepted.
 */

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

/** The largest count of a repetition, and the largest product of counts inside each other. */
const mostRepeats = 1000;

/** A token; every other character stands for itself, or is a `*`, `+`, `?`, `|`, `^`, `$` or `.` of the same meaning. */
const tokens = /\\[^]?|\[\^?\]?(?:\\[^]|[^\]\\])*\]?|\((?:\?(?:<[=!]|[^:)=!>]*[:)=!>]?))?|\)|\{(\d+)(,(\d*))?\}|[^]/g;

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
  const found = [...body.matchAll(tokens)];
  for (const [token] of found) {
    const refusal = token.startsWith("\\") ? escapeRefusal(token) : token.startsWith("[") ? classRefusal(token) : token.startsWith("(") ? groupRefusal(token) : undefined;
    if (refusal !== undefined) return refusal;
  }
  return mostRepeated(found) > mostRepeats ? `repeats more than ${mostRepeats} times, which Prometheus's expressions (RE2) cannot` : undefined;
}

function escapeRefusal(escape: string): string | undefined {
  if (/^\\[1-9k]/.test(escape)) return "has a back-reference, which Prometheus's expressions (RE2) lack";
  return /^\\[dDwWsSbB!-/:-@[-`{-~ ]$/.test(escape) ? undefined : `has ${escape}, which is not the same in JavaScript and Prometheus (RE2): only \\d, \\w, \\s, \\b, their opposites and escaped punctuation are`;
}

function classRefusal(text: string): string | undefined {
  if (/^\[\^?\]/.test(text)) return "has an empty class, which Prometheus's expressions (RE2) lack";
  if (text.includes("[:")) return "has a class such as [:alpha:], which JavaScript lacks and Prometheus (RE2) has: write [A-Za-z]";
  if (/\\[bB]/.test(text) || /-\\[dDwWsS]/.test(text)) return "has an escape in a class that Prometheus's expressions (RE2) do not take there";
  return (text.match(/\\[^]/g) ?? []).map(escapeRefusal).find((refusal) => refusal !== undefined);
}

function groupRefusal(opening: string): string | undefined {
  if (/^\(\?<?[=!]/.test(opening)) return "looks ahead or behind, which Prometheus's expressions (RE2) cannot";
  return /^\((?:\?(?:[ims]*:|<[A-Za-z_]\w*>))?$/.test(opening) ? undefined : `has the group ${opening}, which is not the same in JavaScript and Prometheus (RE2)`;
}

/** The largest product of counts inside each other. `*`, `+` and `?` count as RE2 counts them: not at all. */
function mostRepeated(found: readonly RegExpMatchArray[]): number {
  // For each open group what its inside repeats; and the same of the piece that a count would follow.
  const open = [1];
  let piece = 1;
  for (const [token, from, , to] of found) {
    if (token.startsWith("(")) open.push((piece = 1));
    else if (token === ")") piece = open.pop()!;
    else if (from !== undefined) piece *= Math.max(1, Number(from), Number(to ?? 0));
    else if (!/^[*+?]$/.test(token)) piece = 1;
    open.push(Math.max(open.pop()!, piece));
  }
  return open[0]!;
}
