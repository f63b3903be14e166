/** Requests to crm-events, over TLS by the name that its certificate has, which is not that of the address. */
import { get as getHttp, type IncomingMessage } from "node:http";
import { get as getHttps, type RequestOptions } from "node:https";
import { bytesOf, SourceProblem } from "./sources/get-json.ts";

/** Where crm-events is, and how it is known to be it. */
export interface EventsAddress {
  /** Base address. */
  readonly url: string;
  /** Name in its certificate. @default the host of `url` */
  readonly serverName?: string | undefined;
  /** Who signed the certificate, as PEM. @default the public authorities */
  readonly ca?: string | undefined;
}

/**
 * Sends a GET.
 * @param signal ends the request and its body
 * @returns the body, which must be read or left by ending the loop over it
 * @throws SourceProblem of another answer than 200, the signal's reason once it is aborted, from the body too; an error with Node's `code` otherwise
 */
export async function getEvents({ url, serverName, ca }: EventsAddress, path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  // An authority that is itself signed by another one is enough, as it is for Prometheus.
  const tls: RequestOptions = { ...(serverName !== undefined && { servername: serverName }), ...(ca !== undefined && { ca, allowPartialTrustChain: true }) };
  const options = { headers, signal };
  const request = url.startsWith("https:") ? getHttps(`${url}${path}`, { ...options, ...tls }) : getHttp(`${url}${path}`, options);
  request.once("response", resolve).on("error", reject);
  try {
    const response = await promise;
    if (response.statusCode === 200) return bodyOf(response, signal);
    response.destroy();
    throw new SourceProblem(`answers ${response.statusCode}`);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
}

/** Node says of an aborted body only that it was cut. */
async function* bodyOf(response: IncomingMessage, signal: AbortSignal): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of response) yield chunk as Buffer;
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    response.destroy();
  }
}

/** The whole of a body as JSON. @throws SyntaxError when it is none, AnswerTooLarge when it is larger than can be read */
export const jsonOf = async (body: AsyncIterable<Buffer>): Promise<unknown> => JSON.parse((await bytesOf(body)).toString("utf8"));
