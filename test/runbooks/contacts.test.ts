/** What the runbooks' last section prints. */
import { expect, test } from "vitest";
import { explain, listContacts, parseAlert } from "../../rules/explain.ts";
import { fullStack } from "../../tools/runbooks.ts";

test("contacts come from the stack's settings, in their order", () => {
  const onCall = [
    { role: "primary", name: "CRM on-call", reach: "#crm-alerts" },
    { role: "secondary", name: "Platform", reach: "+1 555 0100" },
  ];
  expect(listContacts({ ...fullStack(), onCall }).split("\n")).toEqual(["ROLE       NAME         REACH", "primary    CRM on-call  #crm-alerts", "secondary  Platform     +1 555 0100"]);
});

test("a stack without contacts says how to set them", () => {
  expect(listContacts(fullStack())).toContain("pulumi config set --path 'onCall[0].role'");
});

test("explain says what an alert mutes and what could mute it", () => {
  const of = (text: string) => explain(fullStack(), [parseAlert(fullStack(), text)]);
  expect(of("CrmApiDown")).toMatch(/While it fires it mutes RevenueZeroStreak, .* with the same service/);
  expect(of("alertname=ServiceReplicaDown,service=crm-events-sse")).toContain("Muted while CrmEventsServiceDown fires");
  // That source has a service of its own, which is another one.
  expect(of("alertname=ServiceReplicaDown,service=crm-api")).not.toContain("CrmEventsServiceDown");
});
