import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { blackboxFiles } from "../../../components/config/blackbox.ts";
import { sampleSettings } from "../../support/settings.ts";

interface Module {
  prober: string;
  timeout: string;
  http?: { fail_if_not_ssl?: boolean; tls_config?: { insecure_skip_verify: boolean } };
}
const { modules } = parse(blackboxFiles(sampleSettings())["blackbox.yml"]!) as { modules: Record<string, Module> };

describe("blackbox.yml", () => {
  it("has the modules that the scrape jobs name", () => {
    expect(Object.keys(modules)).toEqual(expect.arrayContaining(["http_2xx", "https_2xx", "tcp_connect", "https_2xx_insecure"]));
    expect(modules.tcp_connect!.prober).toBe("tcp");
  });

  it("verifies certificates in every module but the one that says so", () => {
    const careless = Object.entries(modules).filter(([, m]) => m.http?.tls_config?.insecure_skip_verify);
    expect(careless.map(([name]) => name)).toEqual(["https_2xx_insecure"]);
    expect(modules.https_2xx!.http!.fail_if_not_ssl).toBe(true);
  });
});
