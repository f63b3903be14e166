/** Tells events from what must be parked, byte for byte the same way wherever a message is read. */
import { isUtf8 } from "node:buffer";
import { mayHoldHalfCharacter } from "../shared/half-character.ts";
import { isDeeperThan } from "../shared/nesting.ts";

/** Why a message is no event; the `reason` label of `crm_events_dead_letters_total`. */
export type Rejection = "tombstone" | "too_large" | "bad_utf8" | "bad_json" | "unknown_version" | "control_characters" | "bad_envelope";

export const rejections: readonly Rejection[] = ["tombstone", "too_large", "bad_utf8", "bad_json", "unknown_version", "control_characters", "bad_envelope"];

export type CheckedEvent =
  /** `json` is the event on one line; `at` is the event's own time in milliseconds. */
  | { readonly ok: true; readonly json: Buffer; readonly at: number }
  /** `detail` names the field at fault and holds nothing of the message's content. */
  | { readonly ok: false; readonly reason: Rejection; readonly detail: string };

/** Version of the envelope that this program understands. */
const knownVersion = 1;
const maxFieldLength = 256;
/** Levels of lists and objects, the event's own included; no reader of a stream must run out of stack. */
const maxLevels = 64;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const blank = 0x20;
const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
/** An escape in JSON; the group is there when it is half of a character without its other half. */
const escape = /\\(?:u[dD](?:[89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|(?<half>[89a-fA-F]))|[^])/g;
/** C0, DEL, C1 and the two Unicode line ends. */
const control = /[\p{Cc}\u2028\u2029]/u;

const reject = (reason: Rejection, detail: string): CheckedEvent => ({ ok: false, reason, detail });

/**
 * Checks the value of a message.
 * @param value null is a tombstone
 * @param maxBytes longer values are refused unread
 */
export function checkEvent(value: Buffer | null | undefined, maxBytes: number): CheckedEvent {
  if (value === null || value === undefined) return reject("tombstone", "the message has no value");
  if (value.length > maxBytes) return reject("too_large", `${value.length} bytes are more than ${maxBytes}`);
  if (!isUtf8(value)) return reject("bad_utf8", "the value is not UTF-8");
  const text = value.toString("utf8");
  let event: unknown;
  try {
    event = JSON.parse(text);
  } catch {
    return reject("bad_json", "the value is not JSON");
  }
  if (hasHalfCharacter(text)) return reject("bad_utf8", "the value has half of a character, which UTF-8 cannot express");
  if (isDeeperThan(event, maxLevels)) return reject("bad_envelope", `the value is nested on more than ${maxLevels} levels`);
  return checkEnvelope(event, oneLine(value));
}

/**
 * Whoever reads strictly refuses all of an answer for one half of a surrogate pair, and the text shows it only as an escape.
 * @param json valid
 */
function hasHalfCharacter(json: string): boolean {
  if (!mayHoldHalfCharacter(json)) return false;
  for (const { groups } of json.matchAll(escape)) if (groups?.["half"] !== undefined) return true;
  return false;
}

/**
 * A line end would end the SSE field. Valid JSON has them between its tokens only, where a blank says the same; all else
 * stays byte for byte, numbers that JavaScript cannot hold too.
 */
function oneLine(json: Buffer): Buffer {
  if (!json.includes(lineFeed) && !json.includes(carriageReturn)) return json;
  const line = Buffer.from(json);
  for (let i = 0; i < line.length; i++) if (line[i] === lineFeed || line[i] === carriageReturn) line[i] = blank;
  return line;
}

function checkEnvelope(event: unknown, json: Buffer): CheckedEvent {
  if (!isObject(event)) return reject("bad_envelope", "the value is not an object");
  if (event["version"] !== knownVersion) return reject("unknown_version", `version is not ${knownVersion}`);
  const aggregate = event["aggregate"];
  if (!isObject(aggregate)) return reject("bad_envelope", "aggregate is not an object");
  const fault =
    faultOf("id", event["id"]) ??
    faultOf("type", event["type"]) ??
    faultOf("org_id", event["org_id"]) ??
    faultOf("aggregate.type", aggregate["type"]) ??
    faultOf("aggregate.id", aggregate["id"]);
  if (fault !== undefined) return fault;
  if (!isObject(event["data"])) return reject("bad_envelope", "data is not an object");
  const ts = event["ts"];
  const at = typeof ts === "string" && isoTime.test(ts) && hasDay(ts) ? Date.parse(ts) : Number.NaN;
  return Number.isNaN(at) ? reject("bad_envelope", "ts is not an ISO 8601 time") : { ok: true, json, at };
}

/** `Date.parse` takes February 30 for March 2. @param ts begins with a date */
function hasDay(ts: string): boolean {
  const day = ts.slice(0, 10);
  const at = Date.parse(`${day}T00:00:00Z`);
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(day);
}

function faultOf(field: string, value: unknown): CheckedEvent | undefined {
  if (typeof value !== "string" || value === "") return reject("bad_envelope", `${field} is not a text`);
  if (value.length > maxFieldLength) return reject("bad_envelope", `${field} is longer than ${maxFieldLength} characters`);
  return control.test(value) ? reject("control_characters", `${field} has control characters`) : undefined;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);
