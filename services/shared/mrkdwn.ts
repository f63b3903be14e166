/** Reads the part of Slack's text markup that alert messages use, as plain data: whoever shows it decides how. */

/** A run of text with one look. `link` is an absolute http or https address, never anything else. */
export interface Span {
  readonly text: string;
  readonly bold?: boolean;
  readonly italic?: boolean;
  readonly code?: boolean;
  readonly link?: string;
}

// A link `<url|label>`, or text between marks that touch no letter or digit outside, as Slack has it.
const markup = /<(?<url>[^<>|\s]+)(?:\|(?<label>[^<>]*))?>|(?<![\w`])`(?<code>[^`\n]+)`(?![\w`])|(?<![\w*])\*(?<bold>[^*\n]+)\*(?![\w*])|(?<!\w)_(?<italic>[^_\n]+)_(?!\w)/g;

/**
 * @param text Slack's `mrkdwn`; any other text is fine too and comes back as it is
 * @returns the text in order, cut where its look changes; never more characters than were given
 */
export function parseMrkdwn(text: string): Span[] {
  const spans: Span[] = [];
  let end = 0;
  for (const match of text.matchAll(markup)) {
    if (match.index > end) spans.push({ text: unescape(text.slice(end, match.index)) });
    spans.push(toSpan(match));
    end = match.index + match[0].length;
  }
  if (end < text.length) spans.push({ text: unescape(text.slice(end)) });
  return spans;
}

function toSpan(match: RegExpExecArray): Span {
  const { url, label, code, bold, italic } = match.groups ?? {};
  if (code !== undefined) return { text: unescape(code), code: true };
  if (bold !== undefined) return { text: unescape(bold), bold: true };
  if (italic !== undefined) return { text: unescape(italic), italic: true };
  const address = unescape(url ?? "");
  const link = httpAddress(address);
  // Mentions such as <!here> and addresses of other kinds are shown, not followed.
  return link === undefined ? { text: unescape(label || address) } : { text: unescape(label || address), link };
}

/** @returns the address when it is an absolute one of http or https */
export function httpAddress(text: unknown): string | undefined {
  if (typeof text !== "string" || !/^https?:\/\//i.test(text) || !URL.canParse(text)) return undefined;
  return text;
}

/**
 * @param color an attachment's colour: one of Slack's three words or `#rrggbb`
 * @returns what the colour says, so that it can be shown without the colour too
 */
export function toneOf(color: unknown): "good" | "warning" | "danger" | undefined {
  if (color === "good" || color === "warning" || color === "danger") return color;
  const hex = typeof color === "string" ? /^#?([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(color) : null;
  if (hex === null) return undefined;
  const [red = 0, green = 0, blue = 0] = hex.slice(1).map((part) => Number.parseInt(part, 16));
  if (Math.max(red, green, blue) - Math.min(red, green, blue) < 48 || blue > Math.max(red, green)) return undefined;
  if (green > red) return "good";
  return green * 2 > red ? "warning" : "danger";
}

/** Slack escapes exactly these three characters. */
function unescape(text: string): string {
  return text.replace(/&(lt|gt|amp);/g, (_entity, name: string) => (name === "lt" ? "<" : name === "gt" ? ">" : "&"));
}
