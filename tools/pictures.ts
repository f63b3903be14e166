/**
 * `make pictures`: draws every dashboard of a running stack from live data, by the stack's own Grafana, into
 * docs/pictures. GRAFANA_URL and GRAFANA_PASSWORD name another Grafana that has the dashboards.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { dashboards } from "../components/config/grafana.ts";
import { developmentSecret } from "../components/part.ts";
import { parts } from "../components/topology.ts";
import { launchBrowser } from "../test/support/browser.ts";
import { root } from "./service-sources.ts";
import { settingsOf } from "./stacks.ts";

/** A laptop's width; high enough that Grafana, which loads panels as they come into view, loads all of them. */
const viewport = { width: 1366, height: 3200 };

/** @throws Error when nothing answers there, or what answers is no Grafana */
async function version(url: string): Promise<string> {
  const answer = await fetch(`${url}/api/health`).then((r) => r.json() as Promise<{ version?: string }>, () => undefined);
  if (answer?.version === undefined) throw new Error(`no Grafana answers at ${url}, and nothing else can draw these pictures: start a stack that has one, or set GRAFANA_URL`);
  return answer.version;
}

async function draw(page: Page, url: string, uid: string, folder: string): Promise<void> {
  const response = await page.goto(`${url}/d/${uid}?kiosk&from=now-6h&to=now`, { waitUntil: "networkidle" });
  if (!response?.ok()) throw new Error(`${url}/d/${uid}: ${response?.status() ?? "no answer"}`);
  await page.screenshot({ path: join(folder, `${uid}.png`), animations: "disabled" });
}

async function main(stack: string): Promise<void> {
  const s = settingsOf(stack);
  const url = (process.env.GRAFANA_URL ?? `http://127.0.0.1:${parts.grafana.port + s.portOffset}`).replace(/\/+$/, "");
  console.log(`Grafana ${await version(url)} at ${url}`);
  const folder = join(root, "docs/pictures");
  mkdirSync(folder, { recursive: true });
  const browser = await launchBrowser();
  try {
    const password = process.env.GRAFANA_PASSWORD ?? developmentSecret;
    const authorization = `Basic ${Buffer.from(`admin:${password}`).toString("base64")}`;
    const page = await browser.newPage({ viewport, extraHTTPHeaders: { authorization } });
    for (const { uid } of dashboards(s)) {
      await draw(page, url, uid, folder);
      console.log(`docs/pictures/${uid}.png`);
    }
  } finally {
    await browser.close();
  }
}

try {
  await main(process.argv[2] ?? "dev");
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
