/** Formats of single values. Their messages say what is expected and never repeat what was given: it may be a secret. */
import { isIP, isIPv6 } from "node:net";
import { z } from "zod";
import { re2Refusal } from "./vip-pattern.ts";

function hasCredentials(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return username !== "" || password !== "";
}

/**
 * A URL of plain configuration, which is rendered and shown: it must hold no credentials.
 * @param where the sentence that says where they belong
 */
const webUrl = (where: string, protocol = /^https?$/, schemes = "http:// or https://") =>
  z.url({ protocol, error: `must be a URL that starts with ${schemes}` }).refine((text) => !hasCredentials(text), `must not contain a user or password, which everything rendered would show: ${where}`);

/** Paths are added to the end of these, and some stand in templates of messages. */
const isBase = (text: string) => !/[?#]|\{\{|\}\}/.test(text);
const notBase = "must have no query, no fragment and no double braces: paths are added to it";

export const url = webUrl("a password belongs in the secret that is made for it (pulumi config set --secret)");
export const baseUrl = url.refine(isBase, notBase);
export const grafanaUrl = webUrl("the token belongs in the secret grafanaToken").refine(isBase, notBase);
export const remoteWriteUrl = webUrl("the user belongs in its username, the password in the secret remoteWritePassword");
/** The prober knows `https://` in lower case alone, and looks a host's name up as it is written. */
const forProber = (text: string) => {
  const href = URL.canParse(text) ? new URL(text).href : text;
  return href === `${text}/` ? text : href;
};
export const httpsUrl = webUrl("probes sign in nowhere, and a password belongs in a secret", /^https$/, "https://").overwrite(forProber);

const isPort = (text: string) => /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;
const isHost = (text: string) => /^[A-Za-z0-9._-]+$/.test(text);
/** An IPv6 address as it stands before a port: in brackets, without zone or dots, which services/shared/env.ts does not take. */
const isBracketed = (text: string) => /^\[[\da-f:]+\]$/i.test(text) && isIPv6(text.slice(1, -1));

/** What services/crm-events/rate-limit.ts takes. */
export const addressRange = z.string().refine((range) => {
  const [address = "", prefix = "0", ...rest] = range.split("/");
  const bits = isIPv6(address) ? 128 : 32;
  return isIP(address) !== 0 && !address.includes("%") && rest.length === 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= bits;
}, "must be an address or a CIDR range such as 10.0.0.0/8");

/** A whole number between two bounds, both included. */
export function integer(from: number, to: number) {
  const error = `must be a whole number from ${from} to ${to}`;
  return z.number().int(error).min(from, error).max(to, error);
}

export const port = integer(1, 65_535);
export const host = z.string().overwrite((text) => (isBracketed(text) ? text.slice(1, -1) : text)).refine((text) => isHost(text) || isIPv6(text), "must be a host name or an address, without scheme, port or user");
const notHostPort = "must be HOST:PORT with a port from 1 to 65535";
const pairOf = (isGood: (host: string) => boolean) => (text: string) => {
  const at = text.lastIndexOf(":");
  return at > 0 && isGood(text.slice(0, at)) && isPort(text.slice(at + 1));
};
export const hostPort = z.string().refine(pairOf((name) => isHost(name) || isBracketed(name)), `${notHostPort}; an IPv6 address in brackets`);
/** Where a port is published, which is for IPv4 alone. */
export const namePort = z.string().refine(pairOf(isHost), `${notHostPort}, and no IPv6 address`);

export const identifier = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, "must be letters, digits, '.', '_' or '-'");
const mailbox = String.raw`(?:[^<>@,;"{}]*<[^\s<>@,;"{}]+@[^\s<>@,;"{}]+>|[^\s<>@,;"{}]+@[^\s<>@,;"{}]+)`;
/** Alertmanager sends from one address, and to a list with commas. */
export const mailFrom = z.string().regex(new RegExp(`^\\s*${mailbox}\\s*$`), "must be an address such as crm@example.com");
export const mailTo = z.string().regex(new RegExp(`^\\s*${mailbox}\\s*(?:,\\s*${mailbox}\\s*)*$`), "must be an address such as ops@example.com, or several with commas");
export const text = z.string().min(1, "must not be empty");

/** An organisation's name, as crm-api takes it (services/crm-api/http/schemas.ts). */
export const orgName = z
  .string()
  .trim()
  .min(1, "must not be empty")
  .max(200, "must have at most 200 characters")
  // Cs: half of a surrogate pair.
  .refine((name) => !/[\p{Cc}\p{Cs}]/u.test(name), "must not contain control characters or broken Unicode");

export const tenantPattern = text.superRefine((pattern, context) => {
  const message = re2Refusal(pattern);
  if (message !== undefined) context.addIssue({ code: "custom", message });
});

const label = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
/** Name of a Kubernetes object, such as a Secret. */
export const objectName = z.string().max(253).regex(new RegExp(`^${label}(?:\\.${label})*$`), "must be lower-case letters, digits, '-' and inner '.'");
/** Domain with room for a part's name before it. */
export const parentDomain = z
  .string()
  .max(230)
  // A URL takes a name whose last label is a number for an address.
  .refine((name) => new RegExp(`^${label}(?:\\.${label})*$`).test(name) && URL.canParse(`http://part.${name}`), "must be a lower-case domain name, without scheme, port or path, and no address");
/** Name of a server as its certificate has it. */
export const serverName = z
  .string()
  .max(253)
  .refine((name) => new RegExp(`^${label}(?:\\.${label})*$`).test(name) && isIP(name) === 0, "must be a lower-case DNS name, without scheme or port, and no address");

const component = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
/** What stands before an image's name: `HOST[:PORT][/PATH]`. */
export const registry = z
  .string()
  .regex(new RegExp(`^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\\d{1,5})?(?:/${component})*/*$`), "must be HOST[:PORT][/PATH] with a lower-case path, without scheme or user");

export const tag = z.string().regex(/^\w[\w.-]{0,127}$/, "must be an image's tag");
export const tagOrDigest = z.string().regex(/^(?:\w[\w.-]{0,127}|sha256:[0-9a-f]{64})$/, "must be an image's tag or its digest, sha256: and 64 digits");

/** Greater than anything that is counted or timed here; beyond it a number is a slip. */
const limit = 1e12;
export const amount = z.number().positive().max(limit);
export const amountOrNone = z.number().nonnegative().max(limit);
export const count = integer(1, limit);

/** Percentages of alerts, open at the end at which the alert could never fire. */
export const percentUnder = z.number().gt(0, "could never fire: no share is under 0 %").max(100);
export const percentOver = z.number().min(0).lt(100, "could never fire: no share is over 100 %");
export const percent = z.number().min(0).max(100);
