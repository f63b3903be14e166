/** Suggestions for misspelt names. */

/** The known name that was probably meant: the same but for case, or the closest at up to two edits. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const same = known.find((k) => k.toLowerCase() === name.toLowerCase());
  // Of a short name two edits leave nothing.
  const limit = Math.min(2, Math.floor(name.length / 2));
  return same ?? known.filter((k) => distance(k, name) <= limit).sort((a, b) => distance(a, name) - distance(b, name))[0];
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length]!;
}
