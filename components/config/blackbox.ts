/** The blackbox exporter's modules. */
import { stringify } from "yaml";
import type { Files } from "../platform/platform.ts";
import type { Settings } from "../settings/schema.ts";

const http = { preferred_ip_protocol: "ip4" };

/** `blackbox.yml`: how a probe looks; what is probed stands in Prometheus's scrape jobs. */
export function blackboxFiles(_s: Settings): Files {
  const modules = {
    http_2xx: { prober: "http", timeout: "5s", http },
    https_2xx: { prober: "http", timeout: "5s", http: { ...http, fail_if_not_ssl: true } },
    // Only for targets that say so: it hides expired and forged certificates.
    https_2xx_insecure: { prober: "http", timeout: "5s", http: { ...http, fail_if_not_ssl: true, tls_config: { insecure_skip_verify: true } } },
    tcp_connect: { prober: "tcp", timeout: "5s", tcp: { preferred_ip_protocol: "ip4" } },
  };
  return { "blackbox.yml": stringify({ modules }) };
}
