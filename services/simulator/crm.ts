/** The CRM's API as far as the simulator uses it. */
import { z } from "zod";

/** The CRM refused a request, which repeating would not change. */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The CRM did not answer, or answered that it cannot now. */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
}

const withId = z.object({ id: z.string() });
const invoice = z.object({ id: z.string(), org_id: z.string(), amount_cents: z.number(), paid_cents: z.number(), due_at: z.string() });
const orgList = z.object({ orgs: z.array(withId) });
const paid = z.object({ payment: withId });
const qboStatus = z.object({ state: z.string() });

export type Invoice = z.infer<typeof invoice>;

/** What was asked for, for metrics. */
export type Operation = "org" | "lead" | "proposal" | "accept" | "invoice" | "void" | "payment" | "refund" | "list" | "qbo";

export interface CrmOptions {
  readonly url: string;
  readonly timeoutMs?: number;
  /** Told about every call. */
  readonly onCall?: (operation: Operation, outcome: "ok" | "refused" | "failed") => void;
}

/** Every method throws `Refused` or `Unavailable`. */
export class Crm {
  readonly #url: string;
  readonly #timeoutMs: number;
  readonly #onCall: NonNullable<CrmOptions["onCall"]>;

  constructor({ url, timeoutMs = 5000, onCall = () => undefined }: CrmOptions) {
    this.#url = url;
    this.#timeoutMs = timeoutMs;
    this.#onCall = onCall;
  }

  /** Creates the organisations that the CRM lacks. */
  async ensureOrgs(orgs: readonly { readonly id: string; readonly name: string }[]): Promise<void> {
    const there = new Set((await this.#call("list", "/orgs?limit=500", {}, orgList)).orgs.map((o) => o.id));
    for (const org of orgs.filter((o) => !there.has(o.id))) {
      // Somebody else may have been faster.
      await this.#post("org", "/orgs", org, z.unknown()).catch((error: unknown) => {
        if (!(error instanceof Refused && error.status === 409)) throw error;
      });
    }
  }

  createLead = (body: { org_id: string; name: string; email: string; source: string }) => this.#post("lead", "/leads", body, withId);
  createProposal = (body: { org_id: string; lead_id: string; title: string; amount_cents: number }) => this.#post("proposal", "/proposals", body, withId);
  acceptProposal = (id: string) => this.#post("accept", `/proposals/${id}/accept`, {}, z.unknown());
  createInvoice = (body: { org_id: string; proposal_id?: string; customer: string; amount_cents: number; due_at: string }) => this.#post("invoice", "/invoices", body, invoice);
  voidInvoice = (id: string) => this.#post("void", `/invoices/${id}/void`, {}, z.unknown());
  payInvoice = (id: string, amount_cents: number, reference: string) => this.#post("payment", `/invoices/${id}/payments`, { amount_cents, reference }, paid);
  refund = (paymentId: string) => this.#post("refund", `/payments/${paymentId}/refund`, {}, z.unknown());

  /** @returns open invoices of an organisation, newest first, at most `limit` */
  async openInvoices(orgId: string, limit: number): Promise<Invoice[]> {
    const path = `/invoices?org_id=${encodeURIComponent(orgId)}&status=open&limit=${limit}`;
    return (await this.#call("list", path, {}, z.object({ invoices: z.array(invoice) }))).invoices;
  }

  /** @returns crm-api's word for the QuickBooks connection */
  async qboState(): Promise<string> {
    return (await this.#call("qbo", "/qbo/status", {}, qboStatus)).state;
  }

  /** Follows the way through QuickBooks' authorise page and back, as a person's browser does who allows it. */
  async connectQbo(): Promise<void> {
    await this.#call("qbo", "/qbo/connect", { redirect: "follow" }, z.unknown());
  }

  #post<S extends z.ZodType>(operation: Operation, path: string, body: unknown, schema: S): Promise<z.output<S>> {
    return this.#call(operation, path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }, schema);
  }

  async #call<S extends z.ZodType>(operation: Operation, path: string, init: RequestInit, schema: S): Promise<z.output<S>> {
    try {
      const value = await this.#fetch(path, init, schema);
      this.#onCall(operation, "ok");
      return value;
    } catch (error) {
      this.#onCall(operation, error instanceof Refused ? "refused" : "failed");
      throw error;
    }
  }

  async #fetch<S extends z.ZodType>(path: string, init: RequestInit, schema: S): Promise<z.output<S>> {
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.#url + path, { ...init, signal: AbortSignal.timeout(this.#timeoutMs) });
      text = await response.text();
    } catch (error) {
      throw new Unavailable(error instanceof Error && error.name === "TimeoutError" ? "no answer in time" : "cannot be reached");
    }
    if (response.status >= 500 || response.status === 429) throw new Unavailable(`answers ${response.status}`);
    if (!response.ok) throw new Refused(response.status, `${path}: ${response.status} ${text.slice(0, 200)}`);
    const parsed = schema.safeParse(readJson(text));
    if (!parsed.success) throw new Unavailable(`${path} answers something unexpected`);
    return parsed.data;
  }
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
