/** What the services on Fastify have in common. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";

/** Fastify's own default waits for ever for a request that is sent slowly. */
export const requestTimeoutMs = 30_000;

/** A route's path as an expression of the paths that it serves. */
const patternOf = (url: string): RegExp => new RegExp(`^${url.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/:[A-Za-z]+/g, "[^/]+").replace(/\*$/, ".*")}$`);

/**
 * Answers what no route serves: 405 with `Allow` where the path has other methods, else 404.
 * @param app before its routes are added
 * @param bodyOf the answer's body; `allowed` is empty for a path that is not there
 */
export function answerUnserved(app: FastifyInstance, bodyOf: (path: string, allowed: readonly string[]) => object): void {
  const routes: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = [];
  app.addHook("onRoute", ({ method, url }) => void routes.push({ pattern: patternOf(url), methods: [method].flat() }));
  app.setNotFoundHandler((request: FastifyRequest, reply: FastifyReply) => {
    const path = request.url.split("?")[0]!;
    const allowed = [...new Set(routes.filter((r) => r.pattern.test(path)).flatMap((r) => r.methods))].sort();
    if (allowed.length > 0) void reply.code(405).header("allow", allowed.join(", "));
    else void reply.code(404);
    return reply.send(bodyOf(path, allowed));
  });
}
