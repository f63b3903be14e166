/** Trouble by command: what is switched on, for whom and until when. */
import { z } from "zod";

export const scenarioNames = ["unpaid-invoices", "cache-misses", "low-confidence", "hot-key", "silence", "burn"] as const;
export type ScenarioName = (typeof scenarioNames)[number];

/** What each does, in one line. */
export const scenarioHelp: Readonly<Record<ScenarioName, string>> = {
  "unpaid-invoices": "Nobody pays: invoices go on, payments stop. What was held back is paid after the end.",
  "cache-misses": "The cache hardly hits, for one tenant or all.",
  "low-confidence": "Two of five answers have low confidence, for one tenant or all.",
  "hot-key": "Many events of one invoice, which all go to one partition.",
  silence: "The simulator makes no change in the CRM at all.",
  burn: "Many invoices that fall due unpaid at once: the payment rate falls and the error budget burns.",
};

const options = z.strictObject({
  /** Ends by itself after so long; absent: lasts until it is stopped. */
  seconds: z.number().positive().max(86_400).optional(),
  tenant: z.string().min(1).max(63).optional(),
});

export interface ScenarioState {
  readonly name: ScenarioName;
  readonly help: string;
  readonly active: boolean;
  readonly since: string | null;
  readonly until: string | null;
  readonly tenant: string | null;
}

interface Running {
  readonly since: number;
  readonly until: number;
  readonly tenant: string | undefined;
}

const takesTenant: readonly ScenarioName[] = ["cache-misses", "low-confidence"];

export class Scenarios {
  readonly #tenants: readonly string[];
  readonly #now: () => number;
  readonly #running = new Map<ScenarioName, Running>();

  /** @param now milliseconds since 1970 */
  constructor(tenants: readonly string[], now: () => number = Date.now) {
    this.#tenants = tenants;
    this.#now = now;
  }

  /**
   * Starts a scenario, or starts it anew.
   * @param body options as they were sent; nothing at all is fine
   * @returns what is wrong with them, in words
   */
  start(name: ScenarioName, body: unknown): string | undefined {
    const parsed = options.safeParse(body ?? {});
    if (!parsed.success) return parsed.error.issues.map((i) => `${i.path.join(".") || "body"}: ${i.message}`).join("; ");
    const { seconds, tenant } = parsed.data;
    if (tenant !== undefined && !takesTenant.includes(name)) return `tenant: ${name} is about no tenant`;
    if (tenant !== undefined && !this.#tenants.includes(tenant)) return `tenant: known ones are ${this.#tenants.join(", ") || "none"}`;
    const since = this.#now();
    this.#running.set(name, { since, until: seconds === undefined ? Number.POSITIVE_INFINITY : since + seconds * 1000, tenant });
    return undefined;
  }

  stop(name: ScenarioName): void {
    this.#running.delete(name);
  }

  /** @param tenant asks whether this tenant is meant */
  active(name: ScenarioName, tenant?: string): boolean {
    const running = this.#running.get(name);
    if (running === undefined) return false;
    if (running.until <= this.#now()) {
      this.#running.delete(name);
      return false;
    }
    return tenant === undefined || running.tenant === undefined || running.tenant === tenant;
  }

  list(): ScenarioState[] {
    const iso = (ms: number | undefined) => (ms === undefined || !Number.isFinite(ms) ? null : new Date(ms).toISOString());
    return scenarioNames.map((name) => {
      const running = this.active(name) ? this.#running.get(name) : undefined;
      return { name, help: scenarioHelp[name], active: running !== undefined, since: iso(running?.since), until: iso(running?.until), tenant: running?.tenant ?? null };
    });
  }
}

export const isScenario = (name: string): name is ScenarioName => (scenarioNames as readonly string[]).includes(name);
