/** The simulator's own API: scenarios, bursts, health and metrics. */
import { fastify, LogController, type FastifyBaseLogger, type FastifyInstance } from "fastify";
import { requestTimeoutMs } from "../shared/http.ts";
import type { Logger } from "../shared/log.ts";
import type { Registry } from "../shared/metrics.ts";
import { burstSchema, runBurst } from "./burst.ts";
import { Refused, type Crm } from "./crm.ts";
import { isScenario, scenarioNames, type Scenarios } from "./scenarios.ts";

export interface SimulatorDeps {
  readonly scenarios: Scenarios;
  readonly crm: Crm;
  readonly registry: Registry;
  readonly log: Logger;
}

/** Builds the API; it does not listen. */
export function simulatorApp({ scenarios, crm, registry, log }: SimulatorDeps): FastifyInstance {
  const app = fastify({ loggerInstance: log as FastifyBaseLogger, logController: new LogController({ disableRequestLogging: true }), bodyLimit: 16_384, requestTimeout: requestTimeoutMs, forceCloseConnections: true });
  // A scenario without options is started by an empty request, whatever its content type.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "string" }, (_request, body, done) => {
    try {
      done(null, body === "" ? undefined : JSON.parse(String(body)));
    } catch {
      done(Object.assign(new Error("the body is not JSON"), { statusCode: 400 }));
    }
  });
  app.get("/scenarios", () => ({ scenarios: scenarios.list() }));
  app.route<{ Params: { name: string } }>({
    method: ["POST", "DELETE"],
    url: "/scenarios/:name",
    handler: (request, reply) => {
      const { name } = request.params;
      if (!isScenario(name)) return reply.code(404).send({ error: `no scenario of that name; there are ${scenarioNames.join(", ")}` });
      const problem = request.method === "POST" ? scenarios.start(name, request.body) : void scenarios.stop(name);
      if (problem !== undefined) return reply.code(400).send({ error: problem });
      log.info({ scenario: name, started: request.method === "POST" }, "scenario changed");
      return scenarios.list().find((s) => s.name === name);
    },
  });
  addBurst(app, crm);
  app.get("/healthz", () => ({ status: "ok" }));
  app.get("/metrics", async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()));
  return app;
}

function addBurst(app: FastifyInstance, crm: Crm): void {
  let busy = false;
  app.post("/burst", async (request, reply) => {
    const burst = burstSchema.safeParse(request.body);
    if (!burst.success) return reply.code(400).send({ error: burst.error.issues.map((i) => `${i.path.join(".") || "body"}: ${i.message}`).join("; ") });
    if (busy) return reply.code(409).send({ error: "a burst is running already" });
    busy = true;
    try {
      return await runBurst(crm, burst.data);
    } catch (error) {
      return reply.code(error instanceof Refused ? 400 : 502).send({ error: error instanceof Error ? error.message : "failed" });
    } finally {
      busy = false;
    }
  });
}
