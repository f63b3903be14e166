/** What a scrape says of answers that do not come. */
import { afterEach, expect, test, vi } from "vitest";
import { createMetrics } from "../../../services/crm-events/metrics.ts";
import { createRegistry } from "../../../services/shared/metrics.ts";

afterEach(() => vi.restoreAllMocks());

test("a partition is silent for as long as no answer about it has come, and one that is not read is none", async () => {
  let now = 100_000;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  const metrics = createMetrics(createRegistry(false));
  const silent = async () => (await metrics.fanoutSilent.get()).values.map(({ labels, value }) => [labels["partition"], value]);
  expect(await silent()).toEqual([]);
  metrics.fanoutAnswers.set(0, now).set(1, now);
  now += 2_500;
  expect(await silent()).toEqual([["0", 0], ["1", 0]]);
  now += 57_500;
  metrics.fanoutAnswers.set(0, now);
  expect(await silent()).toEqual([["0", 0], ["1", 60]]);
  metrics.fanoutAnswers.delete(1);
  expect(await silent()).toEqual([["0", 0]]);
});
