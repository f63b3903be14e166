/** Logins at registries as `docker login` keeps them: in its configuration file, or with a helper program that it names. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { capture } from "../airgap/process.ts";

export interface Login {
  readonly username: string;
  readonly password: string;
}

/** The part of Docker's configuration that is about logins. */
interface DockerConfig {
  readonly auths?: Readonly<Record<string, { readonly auth?: string }>>;
  readonly credsStore?: string;
  readonly credHelpers?: Readonly<Record<string, string>>;
}

/** Seconds that a helper has; one that asks its user takes longer and is given up. */
const helperSeconds = 20;

/** The name under which a registry's login is kept; Docker Hub's is an address of its first years. */
const keyOf = (registry: string): string => (registry === "docker.io" ? "https://index.docker.io/v1/" : registry);

/**
 * The user's login at a registry. It goes nowhere but to that registry and to the token server that it names.
 * @param registry such as `docker.io` or `registry.example.com:5000`
 * @returns undefined when there is none, or none of this kind: then the registry is asked without
 */
export async function loginOf(registry: string): Promise<Login | undefined> {
  const key = keyOf(registry);
  const config = readConfig();
  const helper = config.credHelpers?.[key] ?? config.credsStore;
  if (helper !== undefined && helper !== "") return await askHelper(helper, key);
  return parsed(Buffer.from(config.auths?.[key]?.auth ?? "", "base64").toString("utf8"));
}

function readConfig(): DockerConfig {
  try {
    return JSON.parse(readFileSync(join(process.env["DOCKER_CONFIG"] || join(homedir(), ".docker"), "config.json"), "utf8")) as DockerConfig;
  } catch {
    // Without a readable file there is no login, as for the docker client.
    return {};
  }
}

/** `USER:PASSWORD`. */
function parsed(text: string): Login | undefined {
  const at = text.indexOf(":");
  return at < 1 ? undefined : { username: text.slice(0, at), password: text.slice(at + 1) };
}

async function askHelper(helper: string, key: string): Promise<Login | undefined> {
  const { code, stdout } = await capture(`docker-credential-${helper}`, ["get"], { input: key, seconds: helperSeconds });
  if (code !== 0) return undefined;
  try {
    const { Username: username, Secret: password } = JSON.parse(stdout) as { Username?: string; Secret?: string };
    return username && password ? { username, password } : undefined;
  } catch {
    return undefined;
  }
}
