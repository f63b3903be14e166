/** What the QuickBooks side needs to know. */

export interface QboConfig {
  /** One URL for everything instead of Intuit's own addresses. */
  readonly baseUrl: string | undefined;
  /** Intuit's sandbox instead of real companies. */
  readonly sandbox: boolean;
  readonly clientId: string;
  /** Read at each use, so that a swap needs no restart. @throws Error that names the file */
  readonly clientSecret: () => string;
  /** Signs webhooks; undefined refuses all of them. @throws Error that names the file */
  readonly verifier: (() => string) | undefined;
  /** Where QuickBooks sends the person back to, as registered there. */
  readonly redirectUrl: string;
  /** Time between two synchronisations, in milliseconds; webhooks bring most changes earlier. */
  readonly syncMs: number;
}

/** `fetch`, as an argument. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;
