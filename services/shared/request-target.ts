/** The target of a request, as its first line names it. */

const schemeAndAuthority = /^https?:\/\/[^/?#]*/i;

/**
 * Servers must accept a target with scheme and authority as well, as a proxy is sent it (RFC 9112, 3.2.2).
 * @param target such as `http://host/path?query`, or what it is in most requests: `/path?query`
 * @returns path and query alone
 */
export function originForm(target: string): string {
  const rest = target.replace(schemeAndAuthority, "");
  return rest === target || rest.startsWith("/") ? rest : `/${rest}`;
}
