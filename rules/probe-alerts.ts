/** Alerts on what is probed from outside, and on certificates. */
import type { Settings } from "../components/settings/schema.ts";
import { parts, type PartName } from "../components/topology.ts";
import { alert, firing } from "./alert.ts";
import { stack } from "./metrics.ts";
import { ownerOf } from "./owners.ts";
import { probes } from "./probes.ts";
import { literal, promql, quoted } from "./promql.ts";
import type { Alert, RuleGroup } from "./types.ts";

/** The group of probe alerts. */
export function probeAlerts(s: Settings): RuleGroup {
  return { name: "probes.rules", file: "probes", rules: [probeFailing(s), ...certificates(s)] };
}

const relabel = (expr: string, target: string, value: string, source: string, regex: string) =>
  promql`
    label_replace(
      ${expr},
      ${quoted(target)}, ${quoted(value)}, ${quoted(source)}, ${quoted(regex)})`;

/** A probe's series with the `service` of its target, also where the scrape did not add it. */
const withService = (metric: string): string =>
  promql`
    (
      ${metric}{service!=""}
      or
      ${relabel(`${metric}{service=""}`, "service", "$1", "instance", "(?:https?://)?([^:/]+?)(?:-[0-9]+)?(?:[:/].*)?")}
    )`;

/** Series by the service of their part instead of their job. */
function byService(expr: string): string {
  const jobs = (Object.entries(parts) as [PartName, { job?: string }][]).flatMap(([name, { job }]) => (job === undefined ? [] : [{ job, service: ownerOf(name).service }]));
  const renamed = jobs.filter(({ job, service }) => job !== service);
  return renamed.reduce((sum, { job, service }) => relabel(sum, "service", service, "job", literal(job)), relabel(expr, "service", "$1", "job", "(.+)"));
}

/** `team` and `product` follow from the service: everything that is not the CRM's is the operations team's. */
function withOwner(s: Settings, expr: string): string {
  const crm = [...new Set(Object.values(probes(s)).flat().map((p) => p.owner))].filter((o) => o.team === "crm");
  const base = relabel(relabel(expr, "team", "ops", "", ""), "product", "observability", "", "");
  return crm.reduce((sum, o) => relabel(relabel(sum, "team", o.team, "service", literal(o.service)), "product", o.product, "service", literal(o.service)), base);
}

/** Values of `service`, `team` and `product` among the probes. */
function ownersOfProbes(s: Settings): Record<string, string[]> {
  const owners = Object.values(probes(s)).flat().map((p) => p.owner);
  return Object.fromEntries((["service", "team", "product"] as const).map((label) => [label, [...new Set(owners.map((o) => o[label]))]]));
}

/** A target that Prometheus had, or whose own alert is told, and has no more; one that was never there says nothing. */
const gone = (job: string, ownAlert: string) => {
  const up = promql`${stack.up}{job="${job}"}`;
  return promql`absent(${up}) and on () (group(last_over_time(${up}[1h])) or group(${firing(ownAlert)}))`;
};

/** Holds, by job, for what its own scrape reports as down: also these two without a target, whose own alerts count that as down. */
const reportedDown = promql`
  max by (job) (${stack.up}) == 0
    or ${gone(parts["crm-api"].job, "CrmApiDown")}
    or ${gone(parts["crm-events"].job, "CrmEventsServiceDown")}`;

/** The alert's own name, by which it finds what it has told before. */
const probeFailingName = "UptimeProbeFailing";

/**
 * A service whose own scrape fails is reported by its own alert, later: this one would only make two messages of one
 * outage. A service that has no such alert and is not scraped at all is reported here.
 *
 * A probe that was told stays told until it succeeds, also when the scrape fails after it: else what it mutes would be
 * told while the service's own alert is still pending, and a green message would come in the middle of the outage.
 */
function probeFailing(s: Settings): Alert {
  const failing = promql`${withService(stack.probeSuccess.name)} == 0`;
  return alert(s, probeFailingName, {
    expr: withOwner(
      s,
      promql`
        (
          ${failing}
          unless on (service)
          ${byService(reportedDown)}
        )
        or
        (
          ${failing}
          and on (job, instance)
          ${firing(probeFailingName)}
        )`,
    ),
    for: "2m",
    severity: "critical",
    dashboard: "peakpro_crm_slo",
    derived: { ...ownersOfProbes(s), job: Object.keys(probes(s)), instance: Object.values(probes(s)).flat().map((p) => p.target) },
    summary: "A service cannot be reached from outside",
    description: 'The probe of {{ $labels.instance }} ({{ $labels.job }}) has failed for 2 minutes (probe_success is {{ $value | printf "%.0f" }}), and {{ $labels.service }} itself did not report to be down before.',
  });
}

function certificates(s: Settings): Alert[] {
  if (!Object.values(probes(s)).flat().some((p) => p.target.startsWith("https://"))) return [];
  const expiring = (name: string, days: number, severity: "warning" | "critical") =>
    alert(s, name, {
      expr: withOwner(s, promql`${withService(stack.probeCertExpiry.name)} - time() < ${days} * 86400`),
      for: "5m",
      severity,
      dashboard: "peakpro_crm_slo",
      derived: ownersOfProbes(s),
      summary: `A certificate expires in less than ${days} days`,
      description: "The certificate of {{ $labels.instance }} {{ if lt $value 0.0 }}has expired{{ else }}expires in {{ $value | humanizeDuration }}{{ end }}.",
    });
  return [expiring("TlsCertificateExpiring", s.thresholds.certWarningDays, "warning"), expiring("TlsCertificateExpiresNow", s.thresholds.certCriticalDays, "critical")];
}
