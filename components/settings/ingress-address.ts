/** Where the Ingress serves a published part: a host of its own for each. */
interface Ingress {
  readonly host: string;
  readonly tlsSecret?: string;
}

export const hostAt = (ingress: Ingress, part: string): string => `${part}.${ingress.host}`;

/** Address of a published part, without a slash at its end. */
export const urlAt = (ingress: Ingress, part: string): string => `${ingress.tlsSecret === undefined ? "http" : "https"}://${hostAt(ingress, part)}`;
