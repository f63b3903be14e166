import { expect, it } from "vitest";
import { sizeLimit } from "../../components/prometheus.ts";

it("Prometheus's own limit is nine tenths of its volume, above the share at which PrometheusStorageFilling fires", () => {
  for (let gib = 2; gib <= 12; gib++) {
    const share = Number(sizeLimit(gib).replace(/MB$/, "")) / 1024 / gib;
    expect(share, `${gib} GiB`).toBeGreaterThan(0.85);
    expect(share, `${gib} GiB`).toBeLessThanOrEqual(0.9);
  }
  expect([20, 65_536].map(sizeLimit)).toEqual(["18432MB", "60397977MB"]);
});
