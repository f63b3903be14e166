/** The stand-in for kafka_exporter where its image cannot be had: one scrape reads the cluster once. */
import { createServer, type IncomingMessage, type Server } from "node:http";
import { Admin } from "@platformatic/kafka";
import { exposition, families, type Family } from "./families.ts";
import { readFlags, type Flags } from "./flags.ts";
import { readSnapshot } from "./snapshot.ts";

/** Seconds that one reading may take. */
const readingSeconds = 8;

/** Less than the scraper is willing to wait, so that an outage shows as missing series and not as a failed scrape. */
function limitOf(request: IncomingMessage): number {
  const told = Number(request.headers["x-prometheus-scrape-timeout-seconds"]);
  return told > 0 ? Math.min(readingSeconds, told * 0.8) : readingSeconds;
}

const log = (level: string, message: string): void => console.log(JSON.stringify({ time: new Date().toISOString(), level, message }));

/** The client wraps what went wrong in errors that only say which call failed. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const inner: unknown = error instanceof AggregateError ? error.errors.at(-1) : error.cause;
  return inner === undefined ? error.message : `${error.message} ${reasonOf(inner)}`;
}

/** Reads the cluster, with a fresh client after each failure: an old one may hold connections to a broker that is gone. */
class Reader {
  private readonly flags: Flags;
  private admin: Admin | undefined;
  private running: Promise<Family[]> | undefined;

  constructor(flags: Flags) {
    this.flags = flags;
  }

  /**
   * Scrapes at the same time share one reading.
   * @param seconds after which a reading that starts now is given up
   * @returns what a scrape shows
   */
  read(seconds: number): Promise<Family[]> {
    this.running ??= this.once(seconds).finally(() => (this.running = undefined));
    return this.running;
  }

  close(): void {
    this.admin?.close().catch(() => {});
    this.admin = undefined;
  }

  private async once(seconds: number): Promise<Family[]> {
    // No endless retry: the next scrape is the retry.
    this.admin ??= new Admin({ clientId: "kafka_exporter", bootstrapBrokers: [...this.flags.servers], connectTimeout: 3_000, requestTimeout: 5_000, retries: 1, retryDelay: 200 });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error(`no answer within ${seconds} s`)), seconds * 1000)));
    try {
      const complain = (what: string, error: unknown) => log("error", `${what}: ${reasonOf(error)}`);
      return families(await Promise.race([readSnapshot(this.admin, this.flags, complain), late]));
    } catch (error) {
      log("error", `cannot read the cluster: ${reasonOf(error)}`);
      this.close();
      return families({ brokers: [], partitions: [], groups: [] });
    } finally {
      clearTimeout(timer);
    }
  }
}

function listen(flags: Flags, reader: Reader): Server {
  const server = createServer((request, response) => {
    const path = request.url?.split("?")[0];
    const answer = (status: number, type: string, text: string) => response.writeHead(status, { "content-type": type }).end(text);
    if (path === "/healthz") answer(200, "text/plain", "ok");
    else if (path === "/") answer(200, "text/html", `<h1>kafka_exporter (offline stand-in)</h1><a href="${flags.metricsPath}">Metrics</a>\n`);
    else if (path !== flags.metricsPath) answer(404, "text/plain", "not found\n");
    else
      reader.read(limitOf(request)).then(
        (all) => answer(200, "text/plain; version=0.0.4; charset=utf-8", exposition(all)),
        (error: unknown) => answer(500, "text/plain", `${reasonOf(error)}\n`),
      );
  });
  server.requestTimeout = 10_000;
  return server.listen(flags.listen.port, flags.listen.host === "" ? undefined : flags.listen.host, () => log("info", `listening on port ${flags.listen.port}`));
}

try {
  const flags = readFlags(process.argv.slice(2));
  const reader = new Reader(flags);
  const server = listen(flags, reader);
  for (const signal of ["SIGTERM", "SIGINT"]) {
    process.once(signal, () => {
      reader.close();
      server.close();
      server.closeAllConnections();
    });
  }
} catch (error) {
  console.error(`kafka_exporter: ${reasonOf(error)}`);
  process.exitCode = 1;
}
