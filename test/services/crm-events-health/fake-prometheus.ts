/** A Prometheus that answers what a test wants, well or badly. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

const vector = (...values: unknown[]) => ({ status: "success", data: { resultType: "vector", result: values.map((value, i) => ({ metric: { consumergroup: "crm-events-sse", n: `${i}` }, value: [1_700_000_000, value] })) } });
const send = (body: unknown, status = 200, type = "application/json"): Answer => (response) => void response.writeHead(status, { "Content-Type": type }).end(typeof body === "string" ? body : JSON.stringify(body));

/** One value for every query, or one for skew and one for consumers. */
export const values = (skew: unknown, consumers: unknown): Answer => (response, request) =>
  request.url!.includes("query_range") ? send("no history here", 404)(response, request) : send(vector(request.url!.includes("skew") ? skew : consumers))(response, request);

/** What a rule recorded at one evaluation. */
export interface Recorded {
  readonly skew: number;
  readonly consumers: number;
}

/**
 * Recorded series, and of the queries on them what Prometheus makes of them: at every time the newest sample before it,
 * which may be 5 minutes old, or as old as the query says.
 * @param at the sample of an evaluation so many whole seconds ago; undefined when there was none
 */
export function recorded(at: (age: number) => Recorded | undefined): Answer {
  const now = Date.now() / 1_000;
  return (response, request) => {
    const { pathname, searchParams: asked } = new URL(request.url!, "http://prometheus");
    const query = asked.get("query")!;
    const oldest = Math.min(300, Number(/> time\(\) - (\d+)$/.exec(query)?.[1] ?? 300));
    const field = query.includes("skew") ? "skew" : "consumers";
    const valueAt = (time: number): [number, string][] => {
      const age = Math.max(0, Math.ceil(now - time));
      for (let back = 0; back < oldest; back++) {
        const sample = at(age + back);
        if (sample !== undefined) return [[time, `${sample[field]}`]];
      }
      return [];
    };
    if (!pathname.endsWith("query_range")) return send(vector(...valueAt(Date.now() / 1_000).map(([, value]) => value)))(response, request);
    const [start, end, step] = ["start", "end", "step"].map((name) => Number(asked.get(name))) as [number, number, number];
    const values = Array.from({ length: Math.floor((end - start) / step) + 1 }, (_, i) => valueAt(start + i * step)).flat();
    send({ status: "success", data: { resultType: "matrix", result: values.length === 0 ? [] : [{ metric: {}, values }] } })(response, request);
  };
}

/** Answers that give no number, and what the verdict says of them. */
export const badAnswers: Record<string, { answer: Answer; reason: RegExp; retried: boolean }> = {
  "a status 500": { answer: send("oops", 500), reason: /status 500/, retried: true },
  "a status 404": { answer: send("gone", 404), reason: /status 404/, retried: false },
  "a redirect": { answer: (response) => void response.writeHead(302, { Location: "http://127.0.0.1:1/" }).end(), reason: /status 302/, retried: false },
  "a login page": { answer: send("<html>Sign in</html>", 200, "text/html"), reason: /not answer with JSON/, retried: true },
  "JSON that ends too soon": { answer: send('{"status":"success","data":{"resul'), reason: /not answer with JSON/, retried: true },
  "an answer that is cut off": {
    answer: (response) => {
      response.writeHead(200, { "Content-Length": "1000" }).write('{"status":');
      setTimeout(() => response.destroy(), 5);
    },
    reason: /cut its answer off|cannot be reached/,
    retried: true,
  },
  "a connection that is reset": { answer: (response) => void (response.socket as Socket).resetAndDestroy(), reason: /cannot be reached/, retried: true },
  "an empty body": { answer: send(""), reason: /not answer with JSON/, retried: true },
  "no series": { answer: send(vector()), reason: /there is no series/, retried: false },
  "two series": { answer: send(vector("1", "2")), reason: /there are 2 series/, retried: false },
  NaN: { answer: send(vector("NaN")), reason: /the value is NaN/, retried: false },
  "an infinite value": { answer: send(vector("+Inf")), reason: /the value is \+Inf/, retried: false },
  "a negative value": { answer: send(vector("-1")), reason: /below 0/, retried: false },
  "a value that is no text": { answer: send(vector(1)), reason: /no number/, retried: false },
  "an empty value": { answer: send(vector("")), reason: /the value is/, retried: false },
  "a string result": { answer: send({ status: "success", data: { resultType: "string", result: [1, "x"] } }), reason: /not answer with a vector/, retried: false },
  "an error of Prometheus": { answer: send({ status: "error", errorType: "timeout", error: "query timed out" }), reason: /query timed out/, retried: true },
  "null": { answer: send("null"), reason: /answered with an error/, retried: true },
  "a number": { answer: send("7"), reason: /answered with an error/, retried: true },
  "result of the wrong form": { answer: send({ status: "success", data: { resultType: "vector", result: { a: 1 } } }), reason: /not answer with a vector/, retried: false },
  "series of the wrong form": { answer: send({ status: "success", data: { resultType: "vector", result: [null] } }), reason: /no number/, retried: false },
  "10 MB": { answer: send("x".repeat(10_000_000)), reason: /more than 65536 bytes/, retried: false },
  "an endless body": {
    answer: (response) => {
      const more = () => {
        if (!response.destroyed) response.write("x".repeat(60_000), () => setImmediate(more));
      };
      more();
    },
    reason: /more than 65536 bytes/,
    retried: false,
  },
  "a slow answer": { answer: (response) => void setTimeout(() => response.end("{}"), 2_000).unref(), reason: /not answer within/, retried: true },
  "one byte at a time": {
    answer: (response) => {
      response.writeHead(200);
      const timer = setInterval(() => (response.destroyed ? clearInterval(timer) : response.write(" ")), 20);
      timer.unref();
    },
    reason: /not answer within/,
    retried: true,
  },
};

export class FakePrometheus {
  answer: Answer;
  readonly queries: string[] = [];
  readonly #server;

  constructor(answer: Answer) {
    this.answer = answer;
    this.#server = createServer((request, response) => {
      response.on("error", () => undefined);
      this.queries.push(decodeURIComponent(request.url!.replaceAll("+", " ")));
      this.answer(response, request);
    });
  }

  /** @param port default: any free one */
  async listen(port = 0): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
