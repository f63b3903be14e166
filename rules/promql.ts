/** PromQL as readable text: metric names come from `metrics.ts`, and an empty interpolation is an error. */
import type { MetricSpec } from "./metrics.ts";

type Piece = string | number | MetricSpec;

/**
 * Text of a PromQL expression.
 * A metric is interpolated by its name, a number in plain decimal form. The template's common indentation is removed,
 * and an interpolated text of several lines is indented like the line that it stands in.
 * @throws Error when an interpolated value is empty or not a finite number, because the expression would still parse
 *   but mean something else
 */
export function promql(strings: TemplateStringsArray, ...pieces: Piece[]): string {
  // The first line follows the backtick and has no indentation of its own.
  const indents = strings.join("\0").split("\n").slice(1).filter((l) => l.trim() !== "").map((l) => l.length - l.trimStart().length);
  const margin = `\n${" ".repeat(indents.length > 0 ? Math.min(...indents) : 0)}`;
  return strings
    .map((part) => part.replaceAll(margin, "\n"))
    .reduce((sum, part, i) => {
      const own = /( *)[^\n]*$/.exec(sum)![1]!;
      return sum + pieceText(pieces[i - 1]!).replaceAll("\n", `\n${own}`) + part;
    })
    .trim();
}

function pieceText(piece: Piece): string {
  if (typeof piece === "number") {
    if (!Number.isFinite(piece)) throw new Error(`a PromQL expression cannot contain ${piece}`);
    return String(piece);
  }
  const text = typeof piece === "object" ? piece.name : piece;
  if (text === undefined || text.trim() === "") throw new Error("a PromQL expression has an empty interpolation");
  return text;
}

/**
 * A value as it is compared with a limit: rounded to a millionth. Rates and quotients differ from the true value in
 * their last bits, and a value that is exactly the limit must not count as beyond it.
 */
export const compared = (value: string): string => promql`round(${value}, 1e-6)`;

/** A PromQL string literal. */
export const quoted = (value: string): string => `"${value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;

/** A regular expression that matches `value` itself. */
export const literal = (value: string): string => value.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
