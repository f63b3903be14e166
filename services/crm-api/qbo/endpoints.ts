/** Where QuickBooks Online listens. Source: Intuit's OAuth 2.0 and Accounting API documentation. */
import type { QboConfig } from "./config.ts";

export interface Endpoints {
  /** The page on which a person allows the connection. */
  readonly authorise: string;
  readonly token: string;
  /** Everything else, up to and without `/v3`. */
  readonly api: string;
}

/** The only minor version that QuickBooks still serves. */
export const minorVersion = "75";

export const scope = "com.intuit.quickbooks.accounting";

/** Intuit's own addresses, or all of them under one base. */
export function endpoints(config: Pick<QboConfig, "baseUrl" | "sandbox">): Endpoints {
  if (config.baseUrl !== undefined) {
    return { authorise: `${config.baseUrl}/connect/oauth2`, token: `${config.baseUrl}/oauth2/v1/tokens/bearer`, api: config.baseUrl };
  }
  return {
    authorise: "https://appcenter.intuit.com/connect/oauth2",
    token: "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",
    api: config.sandbox ? "https://sandbox-quickbooks.api.intuit.com" : "https://quickbooks.api.intuit.com",
  };
}
