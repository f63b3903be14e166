/** An image registry on loopback that wants a token, as Docker Hub does, and fails as a test says. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { FakeServer } from "./fake-server.ts";

/** How a registry answers for one image. */
export interface FakeImage {
  /** Header with the digest; null leaves it out. */
  readonly digest?: string | null;
  /** Media type; default an index of all platforms. */
  readonly type?: string;
  readonly body?: string;
  /** Status in place of 200. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Never answers. */
  readonly silent?: boolean;
}

/** A digest that is told from others by one digit. */
export const digestOf = (digit: string): string => `sha256:${digit.repeat(64)}`;

export class FakeRegistry {
  /** By `NAME:TAG`. */
  readonly images: Record<string, FakeImage> = {};
  /** Every request: method, path, and whether it came with a token or a login. */
  readonly asked: string[] = [];
  /** `USER:PASSWORD` that the token server wants. */
  login: string | undefined;
  /** The challenge in place of its own. */
  challenge: string | undefined;
  /** What the token server answers in place of a token. */
  tokenAnswer: string | undefined;
  readonly #server = new FakeServer((request, response, url) => this.#answer(request, response, url));

  async start(): Promise<this> {
    await this.#server.start();
    return this;
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  /** Such as `127.0.0.1:40000`. */
  get host(): string {
    return new URL(this.#server.url).host;
  }

  #answer(request: IncomingMessage, response: ServerResponse, url: URL): void {
    const authorization = request.headers.authorization;
    this.asked.push([request.method, url.pathname, authorization?.split(" ")[0]].filter(Boolean).join(" "));
    if (url.pathname === "/token") return this.#token(response, url, authorization);
    const [, name = "", version = ""] = /^\/v2\/(.+)\/manifests\/(.+)$/.exec(url.pathname) ?? [];
    if (authorization !== `Bearer repository:${name}:pull` && authorization !== `Basic ${this.#basic()}`) {
      const challenge = this.challenge ?? `Bearer realm="${this.#server.url}/token",service="fake",scope="repository:${name}:pull"`;
      return void response.writeHead(401, { "www-authenticate": challenge }).end();
    }
    const image = this.images[`${name}:${version}`];
    if (image?.silent) return;
    this.#manifest(request, response, image);
  }

  #manifest(request: IncomingMessage, response: ServerResponse, image: FakeImage | undefined): void {
    const accepted = (request.headers.accept ?? "").split(", ");
    // A registry converts an index that is not asked for into one platform's image, which has another digest.
    if (image === undefined || !accepted.includes("application/vnd.docker.distribution.manifest.list.v2+json")) return void response.writeHead(404).end();
    const digest = image.digest === null ? {} : { "docker-content-digest": image.digest ?? digestOf("a") };
    response.writeHead(image.status ?? 200, { "content-type": image.type ?? "application/vnd.oci.image.index.v1+json", ...digest, ...image.headers });
    response.end(request.method === "HEAD" ? undefined : image.body);
  }

  /** The token is the scope that it was asked for: it opens nothing else. */
  #token(response: ServerResponse, url: URL, authorization: string | undefined): void {
    const right = this.login === undefined || authorization === `Basic ${this.#basic()}`;
    if (!right || url.searchParams.get("service") !== "fake") return void response.writeHead(401).end();
    response.end(this.tokenAnswer ?? JSON.stringify({ token: url.searchParams.get("scope") }));
  }

  #basic(): string {
    return Buffer.from(this.login ?? "nobody:").toString("base64");
  }
}
