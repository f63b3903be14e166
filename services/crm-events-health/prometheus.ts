/** Asks Prometheus for one number or its past, within a time, a number of attempts and a number of bytes, whatever it answers. */
import { Agent, request, type IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

export interface PrometheusOptions {
  readonly url: URL;
  readonly timeoutMs: number;
  /** Attempts after the first. */
  readonly retries: number;
  readonly onRetry: () => void;
  readonly onTimeout: () => void;
}

/** Why there is no number. */
export class NoAnswer extends Error {
  /** Whether another attempt may help. */
  readonly retryable: boolean;

  constructor(message: string, retryable: boolean) {
    super(message);
    this.retryable = retryable;
  }
}

/** An answer with one number has some hundred bytes, one with a day of samples every 15 s up to 260 KB. */
const maxBytes = { query: 64 * 1024, query_range: 512 * 1024 };
const backOffMs = 100;

export class Prometheus {
  readonly #options: PrometheusOptions;
  readonly #agent: Agent;
  // eslint-disable-next-line @typescript-eslint/consistent-type-imports -- loaded only where it is needed, for memory
  #secure: Promise<typeof import("node:https")> | undefined;

  constructor(options: PrometheusOptions) {
    this.#options = options;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 2 });
  }

  /**
   * The value of an instant query that gives exactly one series.
   * @throws NoAnswer that says in words why there is none
   */
  async value(query: string): Promise<number> {
    const { onRetry, retries } = this.#options;
    for (let attempt = 0; ; attempt++) {
      try {
        return numberIn(await this.#ask("query", { query }));
      } catch (error) {
        if (!(error instanceof NoAnswer) || !error.retryable || attempt >= retries) throw error;
        onRetry();
        await sleep(backOffMs);
      }
    }
  }

  /**
   * Past samples of the series of a query, oldest first: seconds since the epoch and value. One attempt.
   * @param end seconds since the epoch; of two queries with the same end and step the samples have the same times
   * @throws NoAnswer
   */
  async history(query: string, end: number, seconds: number, stepSeconds: number): Promise<[time: number, value: number][]> {
    const answer = await this.#ask("query_range", { query, start: `${end - seconds}`, end: `${end}`, step: `${stepSeconds}` });
    const [series] = resultOf(answer, "matrix") as { values?: unknown }[];
    if (!Array.isArray(series?.values)) throw new NoAnswer("Prometheus answered without samples", false);
    return series.values.flatMap((pair: unknown) => (Array.isArray(pair) && Number.isFinite(Number(pair[1])) ? [[Number(pair[0]), Number(pair[1])] as [number, number]] : []));
  }

  close(): void {
    this.#agent.destroy();
  }

  async #ask(endpoint: keyof typeof maxBytes, parameters: Record<string, string>): Promise<unknown> {
    const { url } = this.#options;
    const base = url.href.replace(/\/+$/, "");
    const text = await this.#get(new URL(`${base}/api/v1/${endpoint}?${new URLSearchParams(parameters)}`), maxBytes[endpoint]);
    try {
      return JSON.parse(text);
    } catch {
      throw new NoAnswer("Prometheus did not answer with JSON", true);
    }
  }

  async #get(target: URL, limit: number): Promise<string> {
    const secure = target.protocol === "https:";
    // Loaded when needed only: TLS is several MB.
    const call = secure ? (await (this.#secure ??= import("node:https"))).request : request;
    const { onTimeout, timeoutMs } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const asked = call(target, { headers: { Accept: "application/json" }, ...(!secure && { agent: this.#agent }) }, (response: IncomingMessage) => readBody(response, limit, resolve, reject));
    // One limit for everything, from the connection to the last byte.
    const timer = setTimeout(() => {
      onTimeout();
      asked.destroy(new NoAnswer(`Prometheus did not answer within ${timeoutMs} ms`, true));
    }, timeoutMs);
    asked.on("error", (error: NodeJS.ErrnoException) => reject(error instanceof NoAnswer ? error : new NoAnswer(`Prometheus cannot be reached: ${error.code ?? error.message}`, true)));
    asked.end();
    return promise.finally(() => clearTimeout(timer));
  }
}

function readBody(response: IncomingMessage, limit: number, resolve: (text: string) => void, reject: (error: NoAnswer) => void): void {
  const status = response.statusCode ?? 0;
  if (status !== 200) {
    // Nothing of its body is wanted, and the connection is not worth keeping.
    response.destroy();
    return reject(new NoAnswer(`Prometheus answered with status ${status}`, status >= 500 || status === 429));
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= limit) return void chunks.push(chunk);
    chunks.length = 0;
    response.destroy();
    reject(new NoAnswer(`Prometheus answered with more than ${limit} bytes`, false));
  });
  response.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
  response.on("close", () => reject(new NoAnswer("Prometheus cut its answer off", true)));
  response.on("error", () => reject(new NoAnswer("Prometheus cut its answer off", true)));
}

/** The series of an answer of the expected type. */
function resultOf(answer: unknown, type: "vector" | "matrix"): unknown[] {
  const { status, error, data } = (answer ?? {}) as { status?: unknown; error?: unknown; data?: { resultType?: unknown; result?: unknown } };
  if (status !== "success") throw new NoAnswer(`Prometheus answered with an error${typeof error === "string" ? `: ${error.slice(0, 200)}` : ""}`, true);
  if (data?.resultType !== type || !Array.isArray(data.result)) throw new NoAnswer(`Prometheus did not answer with a ${type}`, false);
  return data.result;
}

function numberIn(answer: unknown): number {
  const result = resultOf(answer, "vector");
  if (result.length === 0) throw new NoAnswer("there is no series", false);
  if (result.length > 1) throw new NoAnswer(`there are ${result.length} series where one is expected`, false);
  const pair = (result[0] as { value?: unknown } | null)?.value;
  const text: unknown = Array.isArray(pair) ? pair[1] : undefined;
  const value = typeof text === "string" && text.trim() !== "" ? Number(text) : Number.NaN;
  if (!Number.isFinite(value)) throw new NoAnswer(`the value is ${typeof text === "string" ? text.slice(0, 32) : "no number"}`, false);
  if (value < 0) throw new NoAnswer(`the value ${value} is below 0`, false);
  return value;
}
