/** Announces changes as QuickBooks does: signed, in batches, repeated until somebody answers 200. */
import { createHmac, randomUUID } from "node:crypto";
import type { Counter } from "@prometheus-io/client";
import type { Logger } from "../shared/log.ts";
import type { Change } from "./books.ts";
import { qboTime, type StandinClock } from "./clock.ts";

/** Source: Intuit's "Webhooks best practices"; then every 6 hours, which is left out here. */
const retrySeconds = [10, 20, 30, 300, 1_200, 7_200, 14_400, 21_600];
const batchMs = 50;
const answerMs = 3_000;
const maxQueued = 10_000;

export interface WebhookSettings {
  /** Undefined: nobody is told. */
  url: string | undefined;
  enabled: boolean;
  /** The old form has no ids. */
  form: "cloudevents" | "eventNotifications";
  /** How often each delivery is sent; 1 is normal. */
  copies: number;
}

interface Told extends Change {
  readonly eventId: string;
  readonly realm: string;
}

const told: Readonly<Record<Change["operation"], string>> = { Create: "created", Update: "updated", Delete: "deleted", Void: "voided" };

export class Webhooks {
  readonly settings: WebhookSettings;
  readonly #verifier: () => string;
  readonly #clock: StandinClock;
  readonly #results: Counter<string>;
  readonly #log: Logger;
  readonly #timers = new Set<NodeJS.Timeout>();
  #queue: Told[] = [];
  #last: string | undefined;

  constructor(parts: { url: string | undefined; verifier: () => string; clock: StandinClock; results: Counter<string>; log: Logger }) {
    this.settings = { url: parts.url, enabled: true, form: "cloudevents", copies: 1 };
    this.#verifier = parts.verifier;
    this.#clock = parts.clock;
    this.#results = parts.results;
    this.#log = parts.log;
  }

  tell(realm: string, change: Change): void {
    if (this.settings.url === undefined || !this.settings.enabled || this.#queue.length >= maxQueued) return;
    this.#queue.push({ ...change, eventId: randomUUID(), realm });
    if (this.#queue.length === 1) this.#later(batchMs, () => this.#flush());
  }

  /** Sends the last delivery again, byte for byte. @returns false when there was none */
  repeat(): boolean {
    if (this.#last === undefined) return false;
    void this.#deliver(this.#last, 0);
    return true;
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #flush(): void {
    const events = this.#queue;
    this.#queue = [];
    const body = JSON.stringify(this.settings.form === "cloudevents" ? events.map(asCloudEvent) : asNotifications(events));
    this.#last = body;
    for (let copy = 0; copy < this.settings.copies; copy++) void this.#deliver(body, 0);
  }

  async #deliver(body: string, attempt: number): Promise<void> {
    try {
      // A file that cannot be read now is as good a reason to come again as a receiver that is away.
      const signature = createHmac("sha256", this.#verifier()).update(body).digest("base64");
      const response = await fetch(this.settings.url ?? "", {
        method: "POST",
        headers: { "content-type": "application/json; charset=utf-8", "intuit-signature": signature, "intuit-created-time": qboTime(this.#clock.now()) },
        body,
        signal: AbortSignal.timeout(answerMs),
      });
      await response.body?.cancel();
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      this.#results.inc({ result: "delivered" });
    } catch (error) {
      const seconds = retrySeconds[attempt];
      this.#results.inc({ result: seconds === undefined ? "given_up" : "repeated" });
      this.#log.warn({ reason: error instanceof Error ? error.message : String(error), attempt, again_in_seconds: seconds }, "a webhook was not taken");
      if (seconds !== undefined) this.#later(seconds * 1000, () => void this.#deliver(body, attempt + 1));
    }
  }

  #later(ms: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, ms);
    this.#timers.add(timer);
    timer.unref();
  }
}

const asCloudEvent = (event: Told) => ({
  specversion: "1.0",
  id: event.eventId,
  source: "intuit.stand-in",
  type: `qbo.${event.entity.toLowerCase()}.${told[event.operation]}.v1`,
  datacontenttype: "application/json",
  time: new Date(event.at).toISOString(),
  intuitentityid: event.id,
  intuitaccountid: event.realm,
  data: {},
});

function asNotifications(events: readonly Told[]) {
  const realms = Map.groupBy(events, (e) => e.realm);
  return {
    eventNotifications: [...realms].map(([realmId, list]) => ({
      realmId,
      dataChangeEvent: { entities: list.map((e) => ({ name: e.entity, id: e.id, operation: e.operation, lastUpdated: new Date(e.at).toISOString() })) },
    })),
  };
}
