import { expect, it } from "vitest";
import { alerts } from "../../rules/index.ts";
import { byHistory, proofGaps } from "./alert-proofs.ts";
import { sampleSettings } from "./settings.ts";

const names = [...new Set(alerts(sampleSettings({ httpsTargets: [{ url: "https://crm.example.com/", insecure: false }] })).map((a) => a.alert))];

it("has every alert in exactly one list", () => {
  expect(proofGaps(names)).toEqual([]);
});

it("names an alert that is in no list, one that is in two, and one that does not exist", () => {
  expect(proofGaps([...names, "SomethingNew"])).toEqual([expect.stringContaining("SomethingNew is in no list")]);
  expect(proofGaps(names.filter((name) => name !== "OutboxStuck"))).toEqual([expect.stringContaining("OutboxStuck (a real cause) is no alert")]);
  const list = byHistory as Record<string, string>;
  list.OutboxStuck = "for this test";
  try {
    expect(proofGaps(names)).toEqual([expect.stringContaining("OutboxStuck is in two lists: a real cause and history")]);
  } finally {
    delete list.OutboxStuck;
  }
});
