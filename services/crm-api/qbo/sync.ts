/**
 * Brings the store up to date with one company: everything at first, then what changed.
 *
 * All times that decide what is history or already known come from QuickBooks' own answers, so that neither clock matters.
 */
import { z, ZodError } from "zod";
import type { Logger } from "../../shared/log.ts";
import { QboFault } from "./errors.ts";
import type { Changes, Unit } from "../crm/unit.ts";
import type { Metrics } from "../metrics.ts";
import type { QboConnection, QboConnectionTable } from "../store/tables.ts";
import { applyEntity } from "./apply.ts";
import type { QboClient } from "./client.ts";
import { findCompany } from "./companies.ts";
import type { EntityName } from "./entities.ts";
import { lookAgain } from "./inbox.ts";
import { captureLimit, changesSince, queryAll, queryPage } from "./query.ts";
import { oneLine } from "./text.ts";

/** In this order: an invoice's balance is compared with payments that are as QuickBooks has them now. */
const entities: readonly EntityName[] = ["Payment", "Invoice"];
/** Rows of one commit: small enough that requests in between do not wait noticeably. */
const chunk = 100;
/** Changes may become visible a little late; what comes twice does no harm. */
const overlapMs = 60_000;
/** Change data capture looks back 30 days; one day is spared for the distance between the clocks. */
const captureMs = 29 * 24 * 60 * 60 * 1000;
/** Below this, halving the window no longer helps: so much changed at once. */
const narrowestMs = 2_000;

const preferences = z.object({ CurrencyPrefs: z.object({ HomeCurrency: z.object({ value: z.string().regex(/^[A-Z]{3}$/) }) }) });

/**
 * @param company as stored now
 * @throws the client's errors; what was taken over until then stays, and the next run begins where this one did
 */
export async function syncCompany(changes: Changes, client: QboClient, company: QboConnection, log: Logger, metrics: Metrics): Promise<void> {
  const sync = new Sync(changes, client, company, log, metrics);
  await sync.learnCurrency();
  const reached = company.imported_at === null ? await sync.import() : await sync.catchUp();
  const { clock, store } = changes;
  const at = clock.now();
  const done: Partial<QboConnectionTable> = { cursor_at: reached, last_sync_at: at, problem: null, paused_until: null };
  await store.db
    .updateTable("qbo_connections")
    .set(company.imported_at === null ? { ...done, imported_at: at } : done)
    .where("realm_id", "=", company.realm_id)
    .execute();
}

class Sync {
  readonly #changes: Changes;
  readonly #client: QboClient;
  readonly #log: Logger;
  readonly #metrics: Metrics;
  #company: QboConnection;

  constructor(changes: Changes, client: QboClient, company: QboConnection, log: Logger, metrics: Metrics) {
    this.#changes = changes;
    this.#client = client;
    this.#company = company;
    this.#log = log;
    this.#metrics = metrics;
  }

  /** Asks once in which currency the company keeps its books. */
  async learnCurrency(): Promise<void> {
    if (this.#company.home_currency !== null) return;
    try {
      const { rows } = await queryPage(this.#client, this.#company.realm_id, "Preferences", "", 1, 1);
      const home = preferences.safeParse(rows[0]).data?.CurrencyPrefs.HomeCurrency.value;
      if (home === undefined) return;
      await this.#changes.store.db.updateTable("qbo_connections").set({ home_currency: home }).where("realm_id", "=", this.#company.realm_id).execute();
      this.#company = { ...this.#company, home_currency: home };
    } catch (error) {
      // Not worth going without a synchronisation: exchange rates tell most.
      if (!(error instanceof QboFault)) throw error;
    }
  }

  /** History. @returns the time up to which everything is known */
  async import(): Promise<number> {
    const baseline = this.#company.baseline_at ?? (await this.#setBaseline());
    for (const entity of entities) {
      for await (const page of queryAll(this.#client, this.#company.realm_id, entity)) await this.#apply(entity, page.rows);
    }
    return baseline;
  }

  /**
   * Asks QuickBooks for the time, and keeps it: it divides history from news even if this import is interrupted. Objects are
   * dated in whole seconds, so that the import begins when the second of the baseline is over.
   */
  async #setBaseline(): Promise<number> {
    const now = async () => (await queryPage(this.#client, this.#company.realm_id, "Invoice", "", 1, 1)).time;
    const baseline = Math.floor((await now()) / 1_000) * 1_000 + 999;
    do await this.#changes.clock.sleep(1_000, this.#client.stop);
    while ((await now()) <= baseline);
    const { db } = this.#changes.store;
    await db.updateTable("qbo_connections").set({ baseline_at: baseline }).where("realm_id", "=", this.#company.realm_id).where("baseline_at", "is", null).execute();
    this.#company = (await findCompany(db, this.#company.realm_id)) ?? this.#company;
    return this.#company.baseline_at ?? baseline;
  }

  /** Changes since the last run. @returns the time up to which everything is known */
  async catchUp(): Promise<number> {
    const since = (this.#company.cursor_at ?? this.#company.baseline_at ?? 0) - overlapMs;
    if (this.#changes.clock.now() - since > captureMs) return this.#compare();
    try {
      return await this.#capture(since);
    } catch (error) {
      // QuickBooks' clock may find the time too old where ours does not.
      if (!(error instanceof QboFault)) throw error;
      return this.#compare();
    }
  }

  /**
   * Change data capture has no upper bound. When an answer is full, the newer half of the time is asked for alone, and again,
   * until it fits; the older half comes from queries, which do not tell what was deleted: that is found by comparison.
   */
  async #capture(begin: number): Promise<number> {
    for (let since = begin; ; ) {
      const answer = await changesSince(this.#client, this.#company.realm_id, since);
      if (answer.invoices.length + answer.payments.length < captureLimit) {
        await this.#apply("Payment", answer.payments);
        await this.#apply("Invoice", answer.invoices);
        if (since > begin) await this.#sweep();
        return answer.time;
      }
      if (answer.time - since <= narrowestMs) return this.#compare();
      const middle = since + Math.floor((answer.time - since) / 2);
      for (const entity of entities) {
        for await (const page of queryAll(this.#client, this.#company.realm_id, entity, { since, until: middle })) await this.#apply(entity, page.rows);
      }
      since = middle;
    }
  }

  /** Reads everything anew, and asks for what did not come with it. */
  async #compare(): Promise<number> {
    let reached: number | undefined;
    for (const entity of entities) {
      const seen = new Set<string>();
      for await (const page of queryAll(this.#client, this.#company.realm_id, entity)) {
        reached ??= page.time;
        await this.#apply(entity, page.rows);
        for (const row of page.rows) seen.add(idOf(row));
      }
      await this.#dropUnseen(entity, seen);
    }
    return reached ?? this.#changes.clock.now();
  }

  async #sweep(): Promise<void> {
    for (const entity of entities) {
      const seen = new Set<string>();
      for await (const page of queryAll(this.#client, this.#company.realm_id, entity)) for (const row of page.rows) seen.add(idOf(row));
      await this.#dropUnseen(entity, seen);
    }
  }

  /** Not seen is not deleted yet: it may have been made since its page was read, or changed place between two pages. */
  async #dropUnseen(entity: EntityName, seen: ReadonlySet<string>): Promise<void> {
    const { db } = this.#changes.store;
    const realm = this.#company.realm_id;
    const live =
      entity === "Invoice"
        ? await db.selectFrom("invoices").select("qbo_id").where("qbo_realm", "=", realm).where("status", "<>", "void").execute()
        : await db.selectFrom("payments").select("qbo_id").where("qbo_realm", "=", realm).whereRef("refunded_cents", "<", "amount_cents").execute();
    for (const { qbo_id } of live) {
      if (qbo_id !== null && !seen.has(qbo_id)) await lookAgain(this.#changes, this.#client, this.#company, entity, qbo_id, this.#log);
    }
  }

  async #apply(entity: EntityName, rows: readonly unknown[]): Promise<void> {
    for (let start = 0; start < rows.length; start += chunk) {
      await this.#changes.commit(async (u) => {
        for (const row of rows.slice(start, start + chunk)) await this.#applyOne(u, entity, row);
      });
    }
  }

  /** One object that makes no sense must not keep all others from being read. */
  async #applyOne(u: Unit, entity: EntityName, row: unknown): Promise<void> {
    try {
      await applyEntity(u, this.#company, entity, row);
    } catch (error) {
      if (!(error instanceof ZodError)) throw error;
      const problems = error.issues.map((i) => `${i.path.join(".")}: ${i.message}`);
      this.#metrics.qboLeftOut.inc({ entity });
      this.#log.error({ realm: this.#company.realm_id, entity, entity_id: oneLine(idOf(row), 64), problems }, "QuickBooks sent an object that cannot be read or converted; it is left out");
    }
  }
}

/** An object that cannot be read is there all the same: what is known of it must not be taken for deleted. */
function idOf(row: unknown): string {
  const id = typeof row === "object" && row !== null && "Id" in row ? row.Id : "";
  return typeof id === "string" || typeof id === "number" ? String(id) : "";
}
