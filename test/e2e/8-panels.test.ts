import { beforeAll, describe, expect, it } from "vitest";
import { alerts } from "../../rules/index.ts";
import type { Settings } from "../../components/settings/schema.ts";
import { checkPanels, type PanelReport } from "../dashboards/check-panels.ts";
import { at, runningSettings, until } from "../support/stack.ts";

describe("every panel of every dashboard, on the stack's own Prometheus", () => {
  let settings: Settings;
  let report: PanelReport;
  beforeAll(async () => {
    settings = await runningSettings();
    // Rates need two samples of every series, and the simulator some seconds to touch every tenant.
    report = await until("a full set of data", 240, async () => {
      const now = await checkPanels(at("prometheus"), settings);
      report = now;
      return now.faults.length === 0 ? now : undefined;
    }).catch(() => report);
  });

  it("has data, or is declared to be empty when all is well", () => {
    expect(alerts(settings).length).toBeGreaterThan(40);
    expect(report.queries.length).toBeGreaterThan(100);
    expect(report.faults).toEqual([]);
  });
});
