import { describe, expect, test } from "vitest";
import { refusal } from "../../airgap/compose.ts";

const engine = (version: string, minApi: string) => ({ version, api: "1.52", minApi });

describe("engine and Compose", () => {
  test("Compose 1 works with engines up to 25", () => {
    expect(refusal(engine("20.10.24", "1.12"), "1.29.2")).toBeUndefined();
    expect(refusal(engine("25.0.5", "1.24"), "1.29.2")).toBeUndefined();
  });

  test("Compose 1 is refused, by name, with an engine whose API is too new for it", () => {
    expect(refusal(engine("29.0.0", "1.44"), "1.29.2")).toMatch(/Compose 1\.29\.2 .* engine 29\.0\.0: .* 1\.44.*install Compose 2/);
  });

  test("Compose 1 is refused where it could start containers but not replace them", () => {
    expect(refusal(engine("26.1.0", "1.24"), "1.29.2")).toMatch(/engine 26\.1\.0: .*ContainerConfig/);
  });

  test("nothing is known against Compose 2", () => {
    expect(refusal(engine("29.0.0", "1.44"), "2.40.0")).toBeUndefined();
  });
});
