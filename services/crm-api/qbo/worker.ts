/** Does the QuickBooks work in the background: one process at a time for all companies, each company on its own. */
import type { Logger } from "../../shared/log.ts";
import type { Changes } from "../crm/unit.ts";
import type { Metrics } from "../metrics.ts";
import type { Lease } from "../store/lease.ts";
import type { QboConnection } from "../store/tables.ts";
import { withOthersTried } from "./alone.ts";
import type { QboClient } from "./client.ts";
import { findCompany, listCompanies } from "./companies.ts";
import { isRefusal, QboNotAuthorised, QboUnreachable } from "./errors.ts";
import { forgetOldEvents, wasAnswered, workOffInbox } from "./inbox.ts";
import { sendPushes } from "./push.ts";
import { syncCompany } from "./sync.ts";

export const workerLeaseMs = 60_000;
const renewMs = workerLeaseMs / 4;
const pollMs = 1_000;
const firstBackoffMs = 5_000;
const lastBackoffMs = 5 * 60_000;
const forgetEveryMs = 60 * 60_000;

/** Until when what broke off is left alone, by company: longer each time. */
class Pauses {
  readonly #failures = new Map<string, { readonly count: number; readonly until: number }>();

  holds(realm: string, now: number): boolean {
    const left = (this.#failures.get(realm)?.until ?? now) - now;
    return left > 0 && left <= lastBackoffMs;
  }

  /** @returns how many times it broke off, one after the other */
  lengthen(realm: string, now: number): number {
    const count = (this.#failures.get(realm)?.count ?? 0) + 1;
    this.#failures.set(realm, { count, until: now + Math.min(lastBackoffMs, firstBackoffMs * 2 ** (count - 1)) });
    return count;
  }

  /** The next one is the first again. */
  end(realm: string): void {
    this.#failures.delete(realm);
  }
}

export interface WorkerParts {
  readonly changes: Changes;
  readonly client: QboClient;
  readonly lease: Lease;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Time between two synchronisations of a company, in milliseconds. */
  readonly syncMs: number;
}

export class QboWorker {
  readonly #parts: WorkerParts;
  readonly #stop = new AbortController();
  readonly #pauses = new Pauses();
  /** Of the synchronisations that broke off while QuickBooks answers: all else goes on. */
  readonly #syncPauses = new Pauses();
  readonly #busy = new Map<string, Promise<void>>();
  #heldAt = Number.NEGATIVE_INFINITY;
  #forgotAt = 0;
  #running: Promise<void> | undefined;
  #wake = new AbortController();

  constructor(parts: WorkerParts) {
    this.#parts = parts;
    for (const entity of ["Invoice", "Payment"]) parts.metrics.qboLeftOut.inc({ entity }, 0);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Looks for work now. */
  wake(): void {
    this.#wake.abort();
  }

  /** Waits for the companies' current steps. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.wake();
    await this.#running;
    await Promise.all(this.#busy.values());
    await this.#parts.lease.release().catch(() => undefined);
  }

  async #run(): Promise<void> {
    const { changes, log } = this.#parts;
    while (!this.#stop.signal.aborted) {
      try {
        if (await this.#hold()) await this.#round();
      } catch (error) {
        log.error({ err: error }, "the QuickBooks worker cannot read the store");
      }
      if (this.#wake.signal.aborted) this.#wake = new AbortController();
      else await changes.clock.sleep(pollMs, this.#wake.signal);
    }
  }

  async #hold(): Promise<boolean> {
    const now = this.#parts.changes.clock.now();
    const age = now - this.#heldAt;
    // Below 0, the clock was set back, and how old it is cannot be told; so it is with the other times here.
    if (age >= 0 && age < renewMs) return true;
    if (!(await this.#parts.lease.hold())) return false;
    this.#heldAt = now;
    return true;
  }

  /** Starts on every company that is not being worked on; a company that waits for its limit holds up no other. */
  async #round(): Promise<void> {
    const { changes } = this.#parts;
    const now = changes.clock.now();
    if (now - this.#forgotAt > forgetEveryMs) {
      this.#forgotAt = now;
      await forgetOldEvents(changes);
    }
    for (const company of await listCompanies(changes.store.db)) {
      const realm = company.realm_id;
      if (company.state !== "connected" || this.#busy.has(realm) || this.#pauses.holds(realm, now)) continue;
      this.#busy.set(realm, this.#serve(company).finally(() => this.#busy.delete(realm)));
    }
  }

  async #serve(company: QboConnection): Promise<void> {
    const { changes, client, log } = this.#parts;
    const realm = company.realm_id;
    try {
      const putOff = this.#syncPauses.holds(realm, changes.clock.now());
      const unsynced = this.#isDue(company) && !putOff ? await this.#sync(company).then(() => undefined, (error: unknown) => this.#unsynced(company, error)) : undefined;
      const fresh = await findCompany(changes.store.db, realm);
      // Webhooks wait for the first import, or what they announce would be taken for news.
      if (fresh === undefined || fresh.imported_at === null) return;
      const unread = await workOffInbox(changes, client, fresh, log).then(() => undefined, unusableAnswer);
      await sendPushes(changes, client, fresh, log);
      const broken = unsynced ?? unread;
      if (broken !== undefined) throw broken;
      this.#pauses.end(realm);
      // A synchronisation clears it too, but the next one may be minutes away; one that is put off is the problem.
      if (fresh.problem !== null && !putOff) await this.#setProblem(realm, null);
    } catch (error) {
      await this.#failed(company, error);
    }
  }

  #isDue(company: QboConnection): boolean {
    const age = this.#parts.changes.clock.now() - (company.last_sync_at ?? 0);
    return company.imported_at === null || company.sync_requested_at !== null || age < 0 || age >= this.#parts.syncMs;
  }

  async #sync(company: QboConnection): Promise<void> {
    const { changes, client, log, metrics } = this.#parts;
    await syncCompany(changes, client, company, log, metrics);
    this.#syncPauses.end(company.realm_id);
    if (company.sync_requested_at === null) return;
    const asked = changes.store.db.updateTable("qbo_connections").set({ sync_requested_at: null }).where("realm_id", "=", company.realm_id);
    // Only the request that this run has answered; a later one asks for another run.
    await asked.where("sync_requested_at", "=", company.sync_requested_at).execute();
  }

  /**
   * Puts a synchronisation off that was refused or got no usable answer.
   * @throws any other error, and each one of the first import, for which all else waits
   */
  async #unsynced(company: QboConnection, failure: unknown): Promise<QboUnreachable> {
    if (company.imported_at === null) throw failure;
    const error = isRefusal(failure) ? new QboUnreachable(failure.message, { othersAnswered: true, cause: failure }) : unusableAnswer(await withOthersTried(this.#parts.client, company.realm_id, failure));
    this.#syncPauses.lengthen(company.realm_id, this.#parts.changes.clock.now());
    return error;
  }

  async #failed(company: QboConnection, error: unknown): Promise<void> {
    const { changes, log } = this.#parts;
    // QuickBooks answers otherwise: what it does not answer is put off by itself, and the company need not be.
    const alone = error instanceof QboUnreachable && error.othersAnswered;
    if (alone) this.#pauses.end(company.realm_id);
    const count = this.#pauses.lengthen(company.realm_id, changes.clock.now());
    const problem = error instanceof Error ? error.message.slice(0, 500) : "unknown";
    if (!(error instanceof QboNotAuthorised)) log.error({ err: error, realm: company.realm_id, failures: count }, "work with QuickBooks broke off and will be taken up again");
    await this.#setProblem(company.realm_id, problem).catch(() => undefined);
  }

  async #setProblem(realm: string, problem: string | null): Promise<void> {
    await this.#parts.changes.store.db.updateTable("qbo_connections").set({ problem }).where("realm_id", "=", realm).where("state", "=", "connected").execute();
  }
}

/** An object that QuickBooks fails to give must not hold up writes, which have nothing to do with it. @throws any other error */
function unusableAnswer(error: unknown): QboUnreachable {
  if (!wasAnswered(error)) throw error;
  return error;
}
