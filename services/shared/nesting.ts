/** How deep a JSON value goes: `JSON.parse` reads any depth, but whatever walks through its value later runs out of stack. */

/** @returns whether lists and objects lie within each other on more than so many levels; looks no deeper than that */
export function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeperThan(inner, levels - 1));
}
