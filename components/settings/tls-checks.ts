/** Certificates and what they are used with. */
import type { Fixes } from "./fixes.ts";
import type { Plain, SecretKey } from "./keys.ts";
import { endOf, isFor, isKeyOf, isTrustedBy } from "./pem.ts";
import type { Check, Problem } from "./problem.ts";

/** Authorities of servers that are called without TLS, or are not there. */
export const authorities: Check = (plain, _present, fixes) => {
  const problems: Problem[] = [];
  const builtIn = plain.kafkaBrokers.length === 0;
  if (plain.kafkaCa !== undefined && builtIn)
    problems.push({ key: "kafkaCa", message: "is for given brokers; the built-in broker has no certificate", fix: fixes.remove("kafkaCa") });
  else if (plain.kafkaCa !== undefined && !plain.kafkaTls)
    problems.push({ key: "kafkaCa", message: "checks nothing, because kafkaTls is false", fix: fixes.set("kafkaTls", true) });
  if (plain.postgres?.ca !== undefined && !plain.postgres.tls)
    problems.push({ key: "postgres.ca", message: "checks nothing, because postgres.tls is false", fix: fixes.set(["postgres", "tls"], true) });
  return problems;
};

/** The Ingress itself ends TLS, and how it would be told to speak it to the part behind depends on its controller. */
export const behindIngress: Check = (plain, _present, fixes) =>
  plain.crmEventsTls !== undefined && plain.ingress !== undefined
    ? [{ key: "crmEventsTls", message: "cannot be had with ingress, which speaks plain HTTP to the parts behind it; ingress.tlsSecret is the certificate that browsers see", fix: fixes.remove("crmEventsTls") }]
    : [];

/**
 * The certificate of crm-events, its key and its name must belong together.
 * @param texts secrets that can be read here: an encrypted one cannot where nothing is deployed
 */
export function certificateProblems(plain: Plain, texts: ReadonlyMap<SecretKey, string>, fixes: Fixes, now = new Date()): Problem[] {
  const [chain, key] = [texts.get("crmEventsCertificate"), texts.get("crmEventsKey")];
  if (plain.crmEventsTls === undefined || chain === undefined) return [];
  const { ca, serverName } = plain.crmEventsTls;
  const [keyFits, nameFits] = [key === undefined || isKeyOf(chain, key), isFor(chain, serverName)];
  const certificate = (message: string): Problem => ({ key: "crmEventsCertificate", message, fix: fixes.setSecret("crmEventsCertificate") });
  if (!keyFits && !nameFits) return [certificate(`begins with a certificate that is neither for "${serverName}" nor of crmEventsKey: the server's own comes first`)];
  if (!keyFits) return [{ key: "crmEventsKey", message: "is not the key of the first certificate in crmEventsCertificate", fix: fixes.setSecret("crmEventsKey") }];
  if (!nameFits) return [{ key: "crmEventsTls.serverName", message: `"${serverName}" is not a name in the first certificate of crmEventsCertificate`, fix: fixes.set(["crmEventsTls", "serverName"]) }];
  if (ca !== undefined && !isTrustedBy(chain, ca)) return [{ key: "crmEventsTls.ca", message: "signed no certificate of crmEventsCertificate", fix: fixes.set(["crmEventsTls", "ca"]) }];
  if (endOf(chain) > now) return [];
  return [{ ...certificate(`has ended on ${endOf(chain).toISOString().slice(0, 10)}: Prometheus and command-center refuse it`), warning: true }];
}
