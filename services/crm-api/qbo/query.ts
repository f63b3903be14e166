/** Reads of QuickBooks: pages of a query, changes since a time, one object. */
import { z } from "zod";
import type { QboClient } from "./client.ts";
import type { EntityName } from "./entities.ts";

export const pageSize = 1_000;
/** Most objects that change data capture gives in one answer, over all entities. */
export const captureLimit = 1_000;

const time = z.string().transform((v) => Date.parse(v)).refine((v) => !Number.isNaN(v), "is not a time");
const queryAnswer = z.object({ QueryResponse: z.record(z.string(), z.unknown()), time });
const captureAnswer = z.object({ CDCResponse: z.array(z.object({ QueryResponse: z.array(z.record(z.string(), z.unknown())) })), time });

export interface Page {
  readonly rows: readonly unknown[];
  /** When QuickBooks answered, by its own clock, in milliseconds. */
  readonly time: number;
}

export const quoted = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
export const isoTime = (ms: number): string => new Date(ms).toISOString();

/**
 * One page of a query.
 * @param rest conditions and order
 * @param start position of the first row, from 1
 */
export async function queryPage(client: QboClient, realm: string, entity: string, rest: string, start = 1, rows = pageSize): Promise<Page> {
  const query = `SELECT * FROM ${entity} ${rest} STARTPOSITION ${start} MAXRESULTS ${rows}`;
  const answer = queryAnswer.parse(await client.call(realm, { operation: "query", path: "query", query: { query } }));
  return { rows: z.array(z.unknown()).parse(answer.QueryResponse[entity] ?? []), time: answer.time };
}

const dated = z.object({ MetaData: z.object({ LastUpdatedTime: time }) });

/**
 * All rows that were last changed between two times (both included), oldest change first. Each page starts at the time at
 * which the one before ended: positions would shift, and rows be missed, when something changes meanwhile. A row may come twice.
 */
export async function* queryAll(client: QboClient, realm: string, entity: EntityName, range: { since?: number; until?: number } = {}): AsyncGenerator<Page> {
  const until = range.until === undefined ? "" : ` AND MetaData.LastUpdatedTime <= '${isoTime(range.until)}'`;
  for (let since = range.since ?? 0, start = 1; ; ) {
    const where = `WHERE MetaData.LastUpdatedTime >= '${isoTime(since)}'${until} ORDERBY MetaData.LastUpdatedTime`;
    const page = await queryPage(client, realm, entity, where, start);
    yield page;
    if (page.rows.length < pageSize) return;
    const last = page.rows.map((row) => dated.safeParse(row).data?.MetaData.LastUpdatedTime).findLast((at) => at !== undefined) ?? since;
    start = last > since ? 1 : start + pageSize;
    since = last;
  }
}

/** What changed since a time. @returns rows by entity; exactly `captureLimit` rows in all mean that some may be missing */
export async function changesSince(client: QboClient, realm: string, since: number): Promise<{ invoices: readonly unknown[]; payments: readonly unknown[]; time: number }> {
  const answer = captureAnswer.parse(await client.call(realm, { operation: "cdc", path: "cdc", query: { entities: "Invoice,Payment", changedSince: isoTime(since) } }));
  const parts = answer.CDCResponse.flatMap((r) => r.QueryResponse);
  const rows = (entity: EntityName) => parts.flatMap((p) => z.array(z.unknown()).parse(p[entity] ?? []));
  return { invoices: rows("Invoice"), payments: rows("Payment"), time: answer.time };
}

/** One object as it is now. @throws QboFault 610 when it is gone; ZodError for an answer without it, which tells nothing */
export async function readOne(client: QboClient, realm: string, entity: EntityName, id: string): Promise<unknown> {
  const body = await client.call(realm, { operation: "read", path: `${entity.toLowerCase()}/${encodeURIComponent(id)}` });
  const fields = z.record(z.string(), z.unknown());
  return fields.parse(fields.parse(body)[entity]);
}
