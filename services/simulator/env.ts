/** Environment of the simulator. */
import { z } from "zod";
import { envTypes } from "../shared/env.ts";

const identifier = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, "must be 1 to 63 letters, digits, '.', '_' or '-'");

export const simulatorEnv = z.object({
  HOST: z.string().default("0.0.0.0"),
  PORT: envTypes.port(8000),
  LOG_LEVEL: envTypes.logLevel,
  CRM_API_URL: envTypes.url,
  /** JSON array: tenants of the RAG service, whose traffic is made up here. */
  TENANTS: envTypes.json(z.array(identifier)).default([]),
  /** JSON array: organisations to do business for; created where the CRM lacks them. */
  ORGS: envTypes.json(z.array(z.object({ id: identifier, name: z.string().min(1) })).min(1)),
  /** Changes made in the CRM, on average. */
  EVENTS_PER_MINUTE: z.coerce.number().min(1).max(6000).default(30),
  /** Connects a QuickBooks company through the stand-in's authorise page, and again when the connection is lost. */
  CONNECT_QBO: envTypes.flag(true),
  /** From an invoice to its due date. */
  INVOICE_TERM_SECONDS: z.coerce.number().min(5).max(86_400).default(600),
  /** The same seed makes the same business. */
  SEED: envTypes.integer(1),
});
