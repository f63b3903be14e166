/**
 * Takes webhook deliveries: checks the signature over the raw bytes, writes the events to the inbox and answers. The work
 * is done later, from the inbox, because QuickBooks waits three seconds at most.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { Refusal } from "../crm/errors.ts";
import type { Changes } from "../crm/unit.ts";
import type { EntityName } from "./entities.ts";
import { inboxRow } from "./inbox-row.ts";
import { parseJson } from "./tokens.ts";

/** One changed object. */
export interface WebhookEvent {
  /** The sender's; a repeated delivery carries the same. */
  readonly id: string;
  readonly realm: string;
  readonly entity: EntityName;
  readonly entityId: string;
  /** Such as `created`, `updated`, `deleted`. */
  readonly operation: string;
}

/**
 * @param body the request's bytes as they came
 * @param signature the header `intuit-signature`: base64 of HMAC-SHA256 under the verifier token
 */
export function signatureHolds(body: Buffer, signature: string, verifier: string): boolean {
  const expected = createHmac("sha256", verifier).update(body).digest();
  const given = Buffer.from(signature, "base64");
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** A part that is missing becomes one that no event can have, so that the others of its delivery are kept. */
const part = z.string().catch("");
const cloudEvent = z.object({ id: part, type: z.string(), intuitentityid: part, intuitaccountid: part });
const oldForm = z.object({ eventNotifications: z.array(z.unknown()) });
const notification = z.object({ realmId: part, dataChangeEvent: z.object({ entities: z.array(z.unknown()) }).optional() });
const changedEntity = z.object({ name: z.string(), id: part, operation: part, lastUpdated: part });

/** `qbo.<entity>.<operation>.v1` */
const eventType = /^qbo\.([a-z_-]+)\.([a-z_-]+)\.v\d+$/i;
const known: ReadonlyMap<string, EntityName> = new Map([["invoice", "Invoice"], ["payment", "Payment"]]);

/** An object is read under its id, so that an id must not be able to change the path; and PostgreSQL takes no NUL. */
const isUsable = (e: WebhookEvent): boolean =>
  /^[\x21-\x7e]{1,128}$/.test(e.id) && /^[A-Za-z0-9-]{1,40}$/.test(e.realm) && /^[A-Za-z0-9_-]{1,64}$/.test(e.entityId) && /^[a-z_-]{1,40}$/.test(e.operation);

export interface Delivery {
  readonly events: readonly WebhookEvent[];
  /** Events that cannot be read, and those about invoices and payments that name none which could be asked for. */
  readonly unusable: number;
}

/** Reads a delivery; events about other kinds of objects are left out. @throws Refusal 400 when it has neither form */
export function readDelivery(body: Buffer): Delivery {
  const all = eventsOf(parseJson(body.toString("utf8")));
  const events = all.filter((e): e is WebhookEvent => e !== undefined && isUsable(e));
  return { events, unusable: all.length - events.length };
}

/** @returns undefined for each event that cannot be read */
function eventsOf(json: unknown): (WebhookEvent | undefined)[] {
  if (Array.isArray(json)) return json.flatMap(fromCloudEvent);
  const old = oldForm.safeParse(json);
  if (old.success) return old.data.eventNotifications.flatMap(fromOldForm);
  throw new Refusal(400, "invalid", "must be an array of CloudEvents or an object with eventNotifications", "body");
}

function fromCloudEvent(json: unknown): (WebhookEvent | undefined)[] {
  const event = cloudEvent.safeParse(json).data;
  if (event === undefined) return [undefined];
  const [, name = "", operation = ""] = eventType.exec(event.type) ?? [];
  const entity = known.get(name.toLowerCase());
  return entity === undefined ? [] : [{ id: event.id, realm: event.intuitaccountid, entity, entityId: event.intuitentityid, operation: operation.toLowerCase() }];
}

/** The old form has no id: the same change of the same object is the same event. */
function fromOldForm(json: unknown): (WebhookEvent | undefined)[] {
  const told = notification.safeParse(json).data;
  if (told === undefined) return [undefined];
  const { realmId: realm, dataChangeEvent } = told;
  return (dataChangeEvent?.entities ?? []).flatMap((change) => {
    const e = changedEntity.safeParse(change).data;
    if (e === undefined) return [undefined];
    const entity = known.get(e.name.toLowerCase());
    if (entity === undefined) return [];
    const hash = createHash("sha256").update(JSON.stringify([realm, e.name, e.id, e.operation, e.lastUpdated])).digest("hex");
    return [{ id: `old-${hash}`, realm, entity, entityId: e.id, operation: e.operation.toLowerCase() }];
  });
}

/** Rows of one statement: a database takes only so many values in one, fewer than a large delivery has. */
const chunk = 500;

/** Keeps what is new. @returns how many were, and how many had been received before */
export async function receive(changes: Changes, events: readonly WebhookEvent[]): Promise<{ accepted: number; duplicate: number }> {
  if (events.length === 0) return { accepted: 0, duplicate: 0 };
  const at = changes.clock.now();
  const rows = events.map((e) => inboxRow({ id: e.id, realm_id: e.realm, entity: e.entity, entity_id: e.entityId, operation: e.operation, received_at: at }));
  // One statement cannot meet the same id twice.
  const unique = [...Map.groupBy(rows, (r) => r.id).values()].flatMap((same) => same.slice(0, 1));
  const accepted = await changes.store.transaction(async (tx) => {
    let added = 0;
    for (let start = 0; start < unique.length; start += chunk) {
      const part = unique.slice(start, start + chunk);
      added += (await tx.insertInto("qbo_inbox").values(part).onConflict((c) => c.column("id").doNothing()).returning("id").execute()).length;
    }
    return added;
  });
  return { accepted, duplicate: events.length - accepted };
}
