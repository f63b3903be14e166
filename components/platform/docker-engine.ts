/**
 * The few calls to the Docker engine that the provider does not make: removing what an interrupted update left behind,
 * and freeing a port before the end of an update.
 *
 * The engine creates an object before the CLI can note it. Killed in between, the next update would meet its own name.
 */
import { existsSync, readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { request as httpsRequest, type RequestOptions } from "node:https";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";

/** Where engines listen on this machine; the provider tries them in this order when no host is named. */
const socketsOf = (home: string) => ["/var/run/docker.sock", join(home, ".docker/run/docker.sock"), join(home, ".docker/desktop/docker.sock")];

/** The engine that the provider talks to: that of the stack's configuration (`docker:host`), of the environment, or the local one. */
function hostOf(env: NodeJS.ProcessEnv): string {
  const named = new pulumi.Config("docker").get("host") || env.DOCKER_HOST;
  if (named) return named;
  const sockets = socketsOf(env.HOME ?? "");
  return `unix://${sockets.find((path) => existsSync(path)) ?? sockets[0]!}`;
}

/** How the engine is reached; undefined for ssh, which only the provider speaks. */
function connection(env: NodeJS.ProcessEnv): (RequestOptions & { tls: boolean }) | undefined {
  const host = hostOf(env);
  if (host.startsWith("unix://")) return { socketPath: host.slice("unix://".length), tls: false };
  if (!/^(tcp|https?):/.test(host)) return undefined;
  const url = new URL(host.replace(/^tcp/, "http"));
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  // As the provider has it: certificates ask for TLS, DOCKER_TLS_VERIFY for the check of the engine's.
  if (!env.DOCKER_TLS_VERIFY && !env.DOCKER_CERT_PATH) return { hostname, port: url.port || "2375", tls: false };
  const folder = env.DOCKER_CERT_PATH || join(env.HOME ?? "", ".docker");
  const pem = (name: string) => readFileSync(join(folder, name));
  return { hostname, port: url.port || "2376", tls: true, ca: pem("ca.pem"), cert: pem("cert.pem"), key: pem("key.pem"), rejectUnauthorized: Boolean(env.DOCKER_TLS_VERIFY) };
}

/** One call; the parsed answer, or undefined for 404. @throws Error with the engine's words for any other failure */
function call<T>(method: "GET" | "POST" | "DELETE", path: string): Promise<T | undefined> {
  const to = connection(process.env);
  if (to === undefined) return Promise.resolve(undefined);
  return new Promise((resolve, reject) => {
    const request = (to.tls ? httpsRequest : httpRequest)({ ...to, method, path, timeout: 60_000 }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.on("end", () => {
        const status = response.statusCode ?? 0;
        if (status === 404) resolve(undefined);
        else if (status >= 300) reject(new Error(`Docker engine: ${method} ${path}: ${status} ${body.slice(0, 300)}`));
        else resolve(body === "" ? undefined : (JSON.parse(body) as T));
      });
    });
    request.on("timeout", () => request.destroy(new Error(`Docker engine: ${method} ${path}: no answer within 60 s`)));
    request.on("error", reject);
    request.end();
  });
}

const removeById = (id: string) => call("DELETE", `/containers/${id}?force=true&v=true`);

interface Container {
  readonly Id: string;
  readonly State: { readonly Running: boolean };
  readonly Config: { readonly Labels?: Readonly<Record<string, string>> };
}

/** The stack's own container of a name; one of anybody else is none. */
async function ownContainer(name: string, stack: string): Promise<Container | undefined> {
  const found = await call<Container>("GET", `/containers/${encodeURIComponent(name)}/json`);
  return found?.Config.Labels?.["crm.stack"] === stack ? found : undefined;
}

/**
 * Removes a container that stands in the way of one that is about to be created.
 * @param stack value of the label `crm.stack`; a container of anybody else is left alone, and the provider says so
 */
export async function removeContainer(name: string, stack: string): Promise<void> {
  const found = await ownContainer(name, stack);
  if (found) await removeById(found.Id);
}

/**
 * Stops a container whose port another one is about to take. It is not removed: the update that creates the other one
 * deletes it at its end.
 * @param stack value of the label `crm.stack`; a container of anybody else is left alone, and the engine names the port
 */
export async function stopContainer(name: string, stack: string): Promise<void> {
  const found = await ownContainer(name, stack);
  if (found?.State.Running) await call("POST", `/containers/${found.Id}/stop?t=30`);
}

/** Removes, in the same way, a network, of which the engine would make a second one by the same name; with the stack's containers on it. */
export async function removeNetwork(name: string, stack: string): Promise<void> {
  const filters = encodeURIComponent(JSON.stringify({ name: [`^${name}$`] }));
  // The filter is an expression, in which a dot of a stack's name stands for any character.
  const networks = ((await call<{ Id: string; Name: string }[]>("GET", `/networks?filters=${filters}`)) ?? []).filter(({ Name }) => Name === name);
  if (networks.length === 0) return;
  const mine = encodeURIComponent(JSON.stringify({ label: [`crm.stack=${stack}`], network: [name] }));
  for (const { Id } of (await call<{ Id: string }[]>("GET", `/containers/json?all=true&filters=${mine}`)) ?? []) await removeById(Id);
  for (const { Id } of networks) await call("DELETE", `/networks/${Id}`);
}
