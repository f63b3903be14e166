import { expect, it } from "vitest";
import { productionSecrets, readChanged, type Changes } from "./support.ts";

const warned = (changes: Changes) => readChanged("prod", { ...productionSecrets, ...changes }).warnings.filter((w) => w.includes("the ingress serves"));
const ingress = '{"host":"crm.example.com","tlsSecret":"crm-tls"}';

it("tells of addresses that the ingress does not serve, with those that it does", () => {
  const told = warned({ ingress });
  expect(told.map((w) => /^\[([\w.]+)\]/.exec(w)?.[1])).toEqual(["urls.prometheus", "urls.alertmanager", "urls.grafana", "urls.commandCenter", "qboRedirectUrl"]);
  expect(told[4]).toMatch(/leads to crm\.example\.com, but the ingress serves this part at crm-api\.crm\.example\.com; .* https:\/\/crm-api\.crm\.example\.com\/qbo\/callback --stack prod$/);
});

it("says nothing of those that fit, or without an ingress", () => {
  expect(warned({ ingress, urls: "{}", qboRedirectUrl: "https://crm-api.crm.example.com/qbo/callback" })).toEqual([]);
  expect(warned({ ingress, urls: '{"grafana":"https://grafana.crm.example.com/","commandCenter":"https://command-center.crm.example.com"}', qboRedirectUrl: "https://crm-api.crm.example.com/qbo/callback" })).toEqual([]);
  expect(warned({})).toEqual([]);
});
