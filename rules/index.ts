/** Every rule of a stack, in the groups and files that Prometheus loads. */
import type { Settings } from "../components/settings/schema.ts";
import { activityRecording } from "./crm-activity.ts";
import { apiAlerts } from "./crm-api.ts";
import { eventsGroup } from "./crm-events.ts";
import { historyRecording } from "./crm-history.ts";
import { financeAlerts } from "./finance-alerts.ts";
import { financeRecording } from "./finance.ts";
import { kafkaGroup } from "./kafka.ts";
import { metaAlerts } from "./meta.ts";
import { probeAlerts } from "./probe-alerts.ts";
import { ragGroups } from "./rag.ts";
import type { Alert, RecordingRule, RuleGroup } from "./types.ts";

/** All groups of a stack. */
export function ruleGroups(s: Settings): RuleGroup[] {
  return [financeRecording(s), activityRecording(), historyRecording(s), financeAlerts(s), apiAlerts(s), kafkaGroup(s), eventsGroup(s), ...ragGroups(s), probeAlerts(s), metaAlerts(s)];
}

/** All alerts of a stack. Several rules may have one name: the causes of one alert that cannot hold at one time. */
export const alerts = (s: Settings): Alert[] => ruleGroups(s).flatMap((g) => g.rules.filter((r) => r.kind === "alert"));

/** All recording rules of a stack. */
export const recordings = (s: Settings): RecordingRule[] => ruleGroups(s).flatMap((g) => g.rules.filter((r) => r.kind === "record"));
