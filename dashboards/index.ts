/** Every dashboard of a stack. */
import type { Settings } from "../components/settings/schema.ts";
import { alertsOverview } from "./alerts-overview.ts";
import { crmKpis } from "./crm-kpis.ts";
import { crmSlo } from "./crm-slo.ts";
import type { Dashboard } from "./dashboard.ts";
import { eventsPipeline } from "./events-pipeline.ts";
import { multiOrgSlo } from "./multi-org-slo.ts";
import { ragTenants } from "./rag-tenants.ts";
import { stackSelf } from "./stack-self.ts";

export { datasourceUid, folders, type Dashboard } from "./dashboard.ts";

/** All dashboards of a stack; the RAG one only when something exports its metrics. */
export const allDashboards = (s: Settings): Dashboard[] => [
  crmKpis(s),
  crmSlo(s),
  multiOrgSlo(s),
  ...(s.ragTargets.length > 0 ? [ragTenants(s)] : []),
  eventsPipeline(s),
  alertsOverview(s),
  stackSelf(s),
];
