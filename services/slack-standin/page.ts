/** The inbox as one page without scripts. Everything that a message says is escaped; only http(s) links become links. */
import { createHash } from "node:crypto";
import { httpAddress, parseMrkdwn, toneOf, type Span } from "../shared/mrkdwn.ts";
import type { Message } from "./inbox.ts";
import type { SlackPayload } from "./message-check.ts";

const style = `
:root{color-scheme:light dark;--bg:light-dark(#f6f7f9,#14171c);--card:light-dark(#fff,#1d2128);--ink:light-dark(#1c2330,#e6e9ef);--soft:light-dark(#5a6475,#9aa4b5);--line:light-dark(#dde1e8,#323845);--link:light-dark(#0b57a4,#86b7f5)}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:52rem;margin:0 auto;padding:1rem}h1{font-size:1.25rem;margin:.5rem 0}nav{display:flex;flex-wrap:wrap;gap:.5rem;margin:.75rem 0 1rem}
nav a{padding:.2rem .7rem;border:1px solid var(--line);border-radius:1rem;text-decoration:none}nav a[aria-current]{background:var(--ink);color:var(--bg)}
a{color:var(--link)}article{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.7rem 1rem;margin:0 0 .75rem;overflow-wrap:anywhere}
header{display:flex;gap:.75rem;color:var(--soft);font-size:.85rem;flex-wrap:wrap}.attachment{border-left:4px solid var(--line);padding-left:.75rem;margin:.5rem 0}
p{margin:.25rem 0;white-space:pre-wrap}.title{font-weight:600}dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(12rem,1fr));gap:.25rem 1rem;margin:.4rem 0}
dt{color:var(--soft);font-size:.8rem}dd{margin:0}.danger{border-color:#d1242f}.good{border-color:#1a7f37}.warning{border-color:#bf8700}.empty{color:var(--soft)}
.actions a{margin-right:1rem}`;

/** No script can run, whatever a message holds; the one style is named by its hash. */
export const pageHeaders = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": `default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
};

const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escape = (text: string): string => text.replace(/[&<>"']/g, (c) => escapes[c] ?? c);

/**
 * @param messages newest first
 * @param view the channels to choose from, and the one that is shown (none: all)
 */
export function inboxPage(messages: readonly Message[], view: { readonly channels: readonly string[]; readonly channel: string | undefined }): string {
  const tab = (href: string, name: string, current: boolean) => `<a href="${escape(href)}"${current ? ' aria-current="page"' : ""}>${escape(name)}</a>`;
  const tabs = [tab("/", "All channels", view.channel === undefined), ...view.channels.map((c) => tab(`/?channel=${encodeURIComponent(c)}`, c, c === view.channel))];
  const list = messages.length === 0 ? '<p class="empty">No messages yet.</p>' : messages.map(article).join("\n");
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta http-equiv="refresh" content="15"><title>Slack stand-in</title><style>${style}</style></head><body><main><h1>Slack stand-in: ${messages.length} ${messages.length === 1 ? "message" : "messages"}</h1><nav aria-label="Channels">${tabs.join("")}</nav>${list}</main></body></html>`;
}

function article({ id, at, channel, payload }: Message): string {
  const attachments = (payload.attachments ?? []).map(attachment).join("");
  return `<article id="m${id}"><header><strong>${escape(channel)}</strong><span>${escape(payload.username ?? "")}</span><time datetime="${escape(at)}">${escape(at.replace("T", " ").slice(0, 19))} UTC</time></header>${paragraph(payload.text)}${blocks(payload.blocks)}${attachments}</article>`;
}

type Attachment = NonNullable<SlackPayload["attachments"]>[number];

function attachment(a: Attachment): string {
  const tone = toneOf(a.color);
  const fields = (a.fields ?? []).map((f) => `<div><dt>${escape(f.title ?? "")}</dt><dd>${mrkdwn(String(f.value ?? ""))}</dd></div>`).join("");
  const actions = (a.actions ?? []).map((x) => link(typeof x.text === "string" ? x.text : "link", x.url)).join("");
  const title = a.title ? `<p class="title">${link(a.title, a.title_link)}</p>` : "";
  return `<div class="attachment${tone ? ` ${tone}` : ""}">${paragraph(a.pretext)}${title}${paragraph(a.text ?? (a.title ? undefined : a.fallback))}${blocks(a.blocks)}${fields && `<dl>${fields}</dl>`}${actions && `<p class="actions">${actions}</p>`}${paragraph(a.footer)}</div>`;
}

/** Only the texts of blocks: enough to read them. */
function blocks(list: readonly unknown[] | null | undefined): string {
  return (list ?? []).map((b) => paragraph(blockText(b))).join("");
}

/** Blocks that have no text of their own may hold anything there, which nobody checks. */
function blockText(block: unknown): string | undefined {
  const text = (block as { text?: { text?: unknown } | null } | null)?.text?.text;
  return typeof text === "string" ? text : undefined;
}

const paragraph = (text: string | null | undefined): string => (text ? `<p>${mrkdwn(text)}</p>` : "");
const mrkdwn = (text: string): string => parseMrkdwn(text).map(span).join("");

function link(text: string, address: string | null | undefined): string {
  const url = httpAddress(address);
  return url === undefined ? escape(text) : `<a href="${escape(url)}" rel="noreferrer noopener">${escape(text)}</a>`;
}

function span({ text, bold, italic, code, link: url }: Span): string {
  if (url !== undefined) return link(text, url);
  const tag = bold ? "strong" : italic ? "em" : code ? "code" : undefined;
  return tag === undefined ? escape(text) : `<${tag}>${escape(text)}</${tag}>`;
}
