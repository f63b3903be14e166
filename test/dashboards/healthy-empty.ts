/** Panels that show nothing while all is well, and what makes them show something. Every other empty panel is a fault. */

export interface HealthyEmpty {
  readonly uid: string;
  readonly panel: number;
  /** Why there is nothing to show. */
  readonly reason: string;
  /** What fills it. */
  readonly filledBy: string;
}

export const healthyEmpty: readonly HealthyEmpty[] = [
  { uid: "crm-events-pipeline", panel: 12, reason: "a table of alerts of the event service", filledBy: "stopping a replica of crm-events" },
  { uid: "stack-alerts", panel: 5, reason: "a table of alerts", filledBy: "stopping any part" },
  { uid: "stack-alerts", panel: 6, reason: "a table of muted alerts", filledBy: "stopping crm-api for longer than its follow-up alerts need" },
  { uid: "stack-alerts", panel: 8, reason: "a lane per alert that fired", filledBy: "stopping any part" },
  { uid: "peakpro_crm_slo", panel: 10, reason: "no invoice has reached its due date yet in one of the windows", filledBy: "an invoice that becomes due" },
];
