import { expect, it } from "vitest";
import { differences } from "./inputs.ts";

const resource = (inputs: Record<string, unknown>, name = "a") => ({ type: "docker:index/container:Container", name, inputs });
const rendered = resource({ name: "a", labels: [{ label: "x", value: "1" }], egress: [], on: false });

it("takes for equal what a provider has filled in and noted, and what it has dropped because it was empty", () => {
  const recorded = resource({ name: "a", labels: [{ __defaults: [], label: "x", value: "1" }], start: true, __defaults: ["start"] });
  expect(differences([rendered], [recorded])).toEqual([]);
});

it("tells another value, a value of one side only, another number of entries and a resource of one side only", () => {
  const recorded = (inputs: Record<string, unknown>) => differences([rendered], [resource({ ...rendered.inputs, ...inputs })]).map((line) => line.replace(/^\S+ a/, ""));
  expect(recorded({ name: "b" })).toEqual(['.name: rendered "a", recorded "b"']);
  expect(recorded({ start: true })).toEqual([".start: rendered undefined, recorded true"]);
  expect(recorded({ name: "b", __defaults: ["name"] })).toEqual(['.name: rendered "a", recorded "b"']);
  expect(recorded({ name: undefined })).toEqual(['.name: rendered "a", recorded undefined']);
  expect(recorded({ on: true })).toEqual([".on: rendered false, recorded true"]);
  expect(recorded({ labels: [] })).toEqual(['.labels: rendered [{"label":"x","value":"1"}], recorded []']);
  expect(recorded({ labels: [{ label: "x", value: "2" }] })).toEqual(['.labels[0].value: rendered "1", recorded "2"']);
  expect(differences([rendered, resource({}, "b")], [rendered, resource({}, "c")]).map((line) => line.split(" ").slice(1).join(" "))).toEqual(["b: only rendered", "c: only recorded"]);
});
