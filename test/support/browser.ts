/** A real browser for tests of pages: Chromium as Debian or the environment provides it. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";

const candidates = [process.env["CHROMIUM"], "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Path of a Chromium, or undefined when this machine has none. `CHROMIUM` names another one. */
export const chromiumPath = candidates.find((path) => path !== undefined && path !== "" && existsSync(path));

/** Why browser tests are skipped; printed by those that are. */
export const noBrowser = "no Chromium: apt-get install chromium, or set CHROMIUM to its path";

/** @throws Error when there is no Chromium */
export function launchBrowser(): Promise<Browser> {
  if (chromiumPath === undefined) throw new Error(noBrowser);
  // Root, as in containers, has no sandbox; /dev/shm is often too small there.
  return chromium.launch({ executablePath: chromiumPath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

const shots = join(import.meta.dirname, "../../test-results/screenshots");

/** Keeps a picture of the page in `test-results/screenshots/<name>.png`. */
export async function screenshot(page: Page, name: string, fullPage = false): Promise<void> {
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage, animations: "disabled" });
}
