import { describe, expect, it } from "vitest";
import { blocksAreValid } from "../../../services/slack-standin/block-check.ts";
import { readMessage } from "../../../services/slack-standin/message-check.ts";

const mrkdwn = (length = 1) => ({ type: "mrkdwn", text: "x".repeat(length) });
const plain = (length = 1) => ({ type: "plain_text", text: "x".repeat(length) });
const button = { type: "button", text: plain(75), action_id: "a", url: "https://runbooks.example.com/", style: "danger" };
const image = { type: "image", alt_text: "a graph", image_url: "https://example.com/graph.png" };

describe("blocks", () => {
  it.each([
    ["section text", { type: "section", text: mrkdwn(3000), block_id: "b".repeat(255), accessory: button }],
    ["section fields", { type: "section", fields: Array(10).fill(plain(2000)), accessory: image }],
    ["header", { type: "header", text: plain(150) }],
    ["divider", { type: "divider" }],
    ["context", { type: "context", elements: [...Array(9).fill(mrkdwn(3000)), image] }],
    ["actions", { type: "actions", elements: [...Array(24).fill(button), { type: "multi_users_select", action_id: "u" }] }],
    ["image", { ...image, title: plain(2000) }],
    ["image of Slack's", { type: "image", alt_text: "", slack_file: { id: "F0123456" } }],
    ["markdown", { type: "markdown", text: "x".repeat(12_000) }],
    ["rich text", { type: "rich_text", elements: [] }],
  ])("within the limits are taken: %s", (_what, block) => {
    expect(blocksAreValid([block])).toBe(true);
  });

  it.each([
    ["no type", { text: mrkdwn() }],
    ["an unknown type", { type: "nope" }],
    ["a type for dialogs only", { type: "alert", text: mrkdwn() }],
    ["a type that only Slack makes", { type: "file", external_id: "x", source: "remote" }],
    ["a text of an unknown type", { type: "section", text: { type: "html", text: "x" } }],
    ["a text that is a string", { type: "section", text: "x" }],
    ["an empty text", { type: "section", text: mrkdwn(0) }],
    ["a section without anything", { type: "section", fields: [] }],
    ["a section's long text", { type: "section", text: mrkdwn(3001) }],
    ["a long field", { type: "section", fields: [mrkdwn(2001)] }],
    ["too many fields", { type: "section", fields: Array(11).fill(mrkdwn()) }],
    ["an unknown accessory", { type: "section", text: mrkdwn(), accessory: { type: "nope" } }],
    ["a header in mrkdwn", { type: "header", text: mrkdwn() }],
    ["a long header", { type: "header", text: plain(151) }],
    ["a header without text", { type: "header" }],
    ["a context without elements", { type: "context" }],
    ["too many elements of a context", { type: "context", elements: Array(11).fill(mrkdwn()) }],
    ["a button in a context", { type: "context", elements: [button] }],
    ["too many elements of actions", { type: "actions", elements: Array(26).fill(button) }],
    ["a button in mrkdwn", { type: "actions", elements: [{ ...button, text: mrkdwn() }] }],
    ["a button's long text", { type: "actions", elements: [{ ...button, text: plain(76) }] }],
    ["a button of an unknown style", { type: "actions", elements: [{ ...button, style: "loud" }] }],
    ["an image without alternative text", { type: "image", image_url: "https://example.com/graph.png" }],
    ["an image from nowhere", { type: "image", alt_text: "a graph" }],
    ["an image from two places", { ...image, slack_file: { id: "F0123456" } }],
    ["a long markdown", { type: "markdown", text: "x".repeat(12_001) }],
    ["a long id", { type: "divider", block_id: "b".repeat(256) }],
    ["none at all", null],
  ])("are refused for %s", (_what, block) => {
    expect(blocksAreValid([{ type: "divider" }, block])).toBe(false);
  });

  it("are refused with Slack's word, of a message and of an attachment", () => {
    const wrong = [{ type: "nope" }];
    expect(readMessage(JSON.stringify({ text: "x", blocks: wrong }), "")).toEqual({ refusal: { status: 400, code: "invalid_blocks" } });
    expect(readMessage(JSON.stringify({ text: "x", attachments: [{ blocks: wrong }] }), "")).toEqual({ refusal: { status: 400, code: "invalid_attachments" } });
  });
});
