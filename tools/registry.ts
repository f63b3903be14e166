/** Asks image registries what a tag stands for: the read side of the OCI distribution API. */
import { createHash } from "node:crypto";
import { loginOf, type Login } from "./registry-login.ts";

/** Where an image is asked for. */
export interface Location {
  /** The registry as people and `docker login` name it, such as `docker.io` or `registry.example.com:5000`. */
  readonly registry: string;
  /** Its API's host; Docker Hub's differs from its name. */
  readonly host: string;
  /** Such as `library/node`. */
  readonly name: string;
  /** Tag, or digest where the reference has one. */
  readonly version: string;
}

/** What a registry has behind a reference. */
export interface Found {
  /** `sha256:…`. */
  readonly digest: string;
  /** Whether it is an index of one image per platform, as official images are; else an image of one platform. */
  readonly everyPlatform: boolean;
}

export interface AskOptions {
  /** Seconds that each request may take; default 20. */
  readonly seconds?: number;
  /** The user's login at a registry; default: what `docker login` has kept. */
  readonly login?: (registry: string) => Promise<Login | undefined>;
}

/** The registry answers only somebody else. The docker client may know how to be that: it has kinds of login that this module has not. */
export class LoginNeeded extends Error {}

const indexTypes = ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const imageTypes = ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
const digestForm = /^sha256:[0-9a-f]{64}$/;

const hubNames = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/** Reads a reference as the engine does: without a registry it is Docker Hub's, and there a lone name is `library/NAME`. */
export function locate(reference: string): Location {
  const [undigested = "", digest] = reference.split("@");
  const first = undigested.split("/", 1)[0]!;
  const explicit = undigested.includes("/") && (/[.:]/.test(first) || first === "localhost");
  const path = explicit ? undigested.slice(first.length + 1) : undigested;
  const colon = path.lastIndexOf(":");
  const name = colon === -1 ? path : path.slice(0, colon);
  const version = digest ?? (colon === -1 ? "latest" : path.slice(colon + 1));
  if (explicit && !hubNames.includes(first)) return { registry: first, host: first, name, version };
  return { registry: "docker.io", host: "registry-1.docker.io", name: name.includes("/") ? name : `library/${name}`, version };
}

/** This machine itself, which is asked without TLS, as the engine does. */
const isLoopback = (host: string): boolean => /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/.test(host);

/**
 * Asks for a reference's digest; the registry counts no pull.
 * @returns undefined when the registry has no such image
 * @throws Error of one line that begins with the reference; LoginNeeded when it is refused
 */
export async function askRegistry(reference: string, options: AskOptions = {}): Promise<Found | undefined> {
  const location = locate(reference);
  try {
    const answer = await new Question(location, options).ask("HEAD");
    if (answer === undefined) return undefined;
    const type = answer.headers.get("content-type")?.split(";")[0]!.trim() ?? "none";
    if (![...indexTypes, ...imageTypes].includes(type)) throw new Error(`${location.registry} answers with the media type ${type}, which is no image's: is it a registry?`);
    const digest = answer.headers.get("docker-content-digest") ?? (await digestOfBody(location, options));
    if (!digestForm.test(digest)) throw new Error(`${location.registry} gives no digest of the form sha256: and 64 digits`);
    return { digest, everyPlatform: indexTypes.includes(type) };
  } catch (error) {
    const Kind = error instanceof LoginNeeded ? LoginNeeded : Error;
    throw new Kind(`${reference}: ${(error as Error).message}`, { cause: error });
  }
}

/** A registry may leave the digest out of the header; it is the hash of the very bytes that it serves. */
async function digestOfBody(location: Location, options: AskOptions): Promise<string> {
  const answer = await new Question(location, options).ask("GET");
  if (answer === undefined) throw new Error(`${location.registry} has the image at one moment and not at the next`);
  return `sha256:${createHash("sha256").update(answer.body).digest("hex")}`;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

/** One question to a registry, with the log-in that it may ask for. */
class Question {
  readonly #at: Location;
  readonly #url: string;
  readonly #milliseconds: number;
  readonly #login: (registry: string) => Promise<Login | undefined>;

  constructor(location: Location, { seconds = 20, login = loginOf }: AskOptions) {
    this.#at = location;
    this.#url = `${isLoopback(location.host) ? "http" : "https"}://${location.host}/v2/${location.name}/manifests/${location.version}`;
    this.#milliseconds = seconds * 1000;
    this.#login = login;
  }

  /** @returns undefined for 404 @throws Error for any answer but 200 */
  async ask(method: "HEAD" | "GET"): Promise<Answer | undefined> {
    const accept = [...indexTypes, ...imageTypes].join(", ");
    let answer = await this.#fetch(this.#url, { method, headers: { accept } });
    if (answer.status === 401) {
      const authorization = await this.#authorization(answer.headers.get("www-authenticate") ?? "");
      if (authorization !== undefined) answer = await this.#fetch(this.#url, { method, headers: { accept, authorization } });
    }
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw this.#refusal(this.#at.registry, answer);
    return answer;
  }

  /** @returns what the challenge asks for, or undefined when there is no login to answer it with */
  async #authorization(challenge: string): Promise<string | undefined> {
    const login = await this.#login(this.#at.registry);
    if (/^bearer /i.test(challenge)) return `Bearer ${await this.#token(challenge, login)}`;
    return /^basic /i.test(challenge) && login !== undefined ? basic(login) : undefined;
  }

  /** Fetches the token that a registry wants instead of a login; official images need no login for one. */
  async #token(challenge: string, login: Login | undefined): Promise<string> {
    const fields = Object.fromEntries([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key!.toLowerCase(), value!]));
    const realm = URL.canParse(fields["realm"] ?? "") ? new URL(fields["realm"]!) : undefined;
    if (realm === undefined || (realm.protocol !== "https:" && !(realm.protocol === "http:" && isLoopback(realm.host)))) {
      throw new Error(`${this.#at.registry} wants a token but names no https:// address that gives one`);
    }
    if (fields["service"] !== undefined) realm.searchParams.set("service", fields["service"]);
    realm.searchParams.set("scope", fields["scope"] ?? `repository:${this.#at.name}:pull`);
    const answer = await this.#fetch(realm.href, { headers: login === undefined ? {} : { authorization: basic(login) } });
    if (answer.status !== 200) throw this.#refusal(realm.host, answer);
    const token = tokenIn(answer.body.toString("utf8"));
    if (token === undefined) throw new Error(`${realm.host} gives no token`);
    return token;
  }

  async #fetch(url: string, init: RequestInit): Promise<Answer> {
    const { host } = new URL(url);
    try {
      const response = await fetch(url, { ...init, signal: AbortSignal.timeout(this.#milliseconds) });
      return { status: response.status, headers: response.headers, body: Buffer.from(await response.arrayBuffer()) };
    } catch (error) {
      if ((error as Error).name === "TimeoutError") throw new Error(`${host} does not answer within ${this.#milliseconds / 1000} s`, { cause: error });
      const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
      throw new Error(`${host} cannot be reached (${cause?.code ?? cause?.message ?? (error as Error).message})`, { cause: error });
    }
  }

  #refusal(who: string, { status, headers }: Answer): Error {
    const login = `docker login${this.#at.registry === "docker.io" ? "" : ` ${this.#at.registry}`}`;
    if (status === 401 || status === 403) return new LoginNeeded(`${who} refuses (${status}): there is no such image, or it needs a login: ${login}`);
    if (status !== 429) return new Error(`${who} answers with status ${status}`);
    const wait = headers.get("retry-after");
    return new Error(`${who} limits requests (429): try again ${wait === null ? "later" : /^\d+$/.test(wait) ? `in ${wait} s` : `after ${wait}`}, or log in first: ${login}`);
  }
}

/** A token server's answer has the token under one of two names. */
function tokenIn(text: string): string | undefined {
  try {
    const { token, access_token: accessToken } = JSON.parse(text) as { token?: unknown; access_token?: unknown };
    const found = token ?? accessToken;
    return typeof found === "string" && found !== "" ? found : undefined;
  } catch {
    return undefined;
  }
}

const basic = ({ username, password }: Login): string => `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
