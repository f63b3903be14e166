/** The page in a real browser, over the real service and small fake sources. Keeps pictures in test-results/screenshots. */
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { chromiumPath, launchBrowser, noBrowser, screenshot } from "../../support/browser.ts";
import { apiAlert, crmEvent, watchdog } from "./fakes.ts";
import { healthyState, qboStatus, Stack } from "./harness.ts";

if (chromiumPath === undefined) console.warn(`browser tests are skipped: ${noBrowser}`);

const types = ["invoice.created", "invoice.paid", "payment.received", "lead.created", "proposal.accepted"];
const desktop = { width: 1366, height: 768 };
const phone = { width: 390, height: 844 };

describe.skipIf(chromiumPath === undefined)("the page", () => {
  let browser: Browser;
  let stack: Stack;
  let context: BrowserContext;
  let page: Page;
  /** Whatever the page complained about; fetches that fail on purpose do not count. */
  let complaints: string[];
  let sent = 0;

  const send = (n: number) => stack.events.send(...Array.from({ length: n }, () => crmEvent(++sent, { type: types[sent % types.length], org_id: ["acme", "globex"][sent % 2] })));
  const open = async (options: Parameters<Browser["newContext"]>[0] = {}) => {
    context = await browser.newContext({ viewport: desktop, ...options });
    page = await context.newPage();
    complaints = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type()) && !/Failed to load resource|net::ERR_/.test(message.text())) complaints.push(message.text());
    });
    await page.goto(stack.url);
    await page.locator("#tiles .figure").first().waitFor();
  };
  const text = (selector: string) => page.locator(selector).innerText();
  const sees = (selector: string, pattern: RegExp) => expect.poll(() => text(selector), { timeout: 20_000 }).toMatch(pattern);
  const rows = () => page.locator("#stream .event").count();

  beforeAll(async () => {
    [browser, stack] = await Promise.all([launchBrowser(), Stack.start()]);
    send(60);
  });
  afterAll(async () => {
    await browser?.close();
    await stack?.stop();
  });
  beforeEach(async () => {
    Object.assign(stack.state, { ...healthyState(), samples: stack.state.samples });
    await stack.startAll();
  });
  afterEach(async (test) => {
    if (test.task.result?.state === "fail") {
      await screenshot(page, `failed-${test.task.name.replace(/\W+/g, "-")}`, true).catch(() => undefined);
      console.error(stack.output);
    }
    await context.close();
    expect(complaints).toEqual([]);
  });

  it("shows the healthy pipeline, and the same on a phone and in the dark", async () => {
    for (const [name, viewport, colorScheme] of [["desktop-light", desktop, "light"], ["desktop-dark", desktop, "dark"], ["phone-light", phone, "light"], ["phone-dark", phone, "dark"]] as const) {
      await open({ viewport, colorScheme });
      expect(page.url()).toBe(`${stack.url}/ops/crm-events`);
      await sees("#verdict", /All well: no alerts/);
      await sees("#tiles", /Clients\s+7\s[\s\S]*Lag\s+37\s[\s\S]*Skew\s+1\.4\s[\s\S]*Group members\s+2\s[\s\S]*\+6\.3.pts/);
      await expect.poll(rows, { timeout: 20_000 }).toBeGreaterThan(10);
      expect(await page.locator("#partitions tbody tr").count()).toBe(6);
      expect(await page.locator("#trends canvas").count()).toBe(2);
      await sees("#budget", /91\.3.% of invoices paid/);
      await sees("#qbo", /Connected[\s\S]*acme, company 9130347[\s\S]*Last good sync 1 min ago; access can be renewed for 98 d/);
      await sees("#drill", /No drill has been recorded yet/);
      await sees("#freshness", /Prometheus\s+●?\s*Answers/);
      expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
      await screenshot(page, `healthy-${name}`, viewport === phone);
      if (name !== "phone-dark") await context.close();
    }
  });

  it("shows the root cause first, what it mutes, and the tile that an alert is about", async () => {
    const muted = ["RevenueZeroStreak", "InvoiceGenerationStalled", "RevenueFlatlineFast", "CrmFinanceDrift", "OutboxStuck", "QboSyncStale"];
    stack.state.alerts = [
      watchdog(),
      apiAlert("CrmEventsHotKeySkewHigh", "warning", { labels: { service: "crm-events-sse" }, minutes: 3 }),
      ...muted.map((name) => apiAlert(name, "warning", { inhibitedBy: ["CrmApiDown"] })),
      apiAlert("CrmApiDown", "critical", { annotations: { summary: "No replica of crm-api answers" } }),
    ];
    stack.state.messages = [{ id: 1, at: new Date().toISOString(), channel: "#crm-alerts", payload: { attachments: [{ title: "[FIRING] CrmApiDown", text: "*crm-api* is away. <https://runbooks.example.com/x|Runbook>", color: "danger" }] } }];
    await open();
    await sees("#verdict", /1 critical alert, 6 more muted: No replica of crm-api answers/);
    expect(await page.title()).toMatch(/^■ 1 critical alert/);
    expect(await page.locator("#icon").getAttribute("href")).toBe("/assets/icon-critical.svg");
    expect(await page.locator("#alerts .alert h3").allInnerTexts()).toEqual(["CrmApiDown", "CrmEventsHotKeySkewHigh"]);
    expect((await page.locator("#alerts .muted strong").allInnerTexts()).sort()).toEqual([...muted].sort());
    await sees("#tiles .tile.warning", /Skew[\s\S]*CrmEventsHotKeySkewHigh/);
    await sees("#inbox", /Firing[\s\S]*CrmApiDown[\s\S]*crm-api is away/);
    await screenshot(page, "alerts-desktop-light");
    await page.emulateMedia({ colorScheme: "dark" });
    await page.setViewportSize(phone);
    await screenshot(page, "alerts-phone-dark", true);
  });

  it("keeps focus and folded lists when alerts are drawn anew", async () => {
    stack.state.alerts = [watchdog(), apiAlert("CrmApiDown", "critical"), apiAlert("OutboxStuck", "critical", { inhibitedBy: ["CrmApiDown"] })];
    await open();
    await page.locator("#alerts details summary").click();
    await page.getByRole("link", { name: "Runbook" }).focus();
    stack.state.alerts = [...stack.state.alerts, apiAlert("TargetDown", "warning")];
    await sees("#alerts", /TargetDown/);
    expect(await page.locator("#alerts details").first().getAttribute("open")).toBeNull();
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Runbook");
  });

  it("lists events as they come, bounded, and waits while it is paused or read", async () => {
    await open();
    send(1);
    await sees("#stream .event:first-child", new RegExp(`inv-${sent}`));
    await page.getByRole("button", { name: "Pause" }).click();
    send(5);
    await sees("#stream .fresh", /5 new above/);
    expect(await text("#stream .event:first-child")).toContain(`inv-${sent - 5}`);
    await page.getByRole("button", { name: "Resume" }).click();
    await sees("#stream .event:first-child", new RegExp(`inv-${sent}`));
    await page.locator("#stream .events").evaluate((list) => (list.scrollTop = 200));
    send(2);
    await sees("#stream .fresh", /2 new above/);
    await page.locator("#stream .fresh").click();
    await sees("#stream .event:first-child", new RegExp(`inv-${sent}`));
    for (let i = 0; i < 20; i++) send(100);
    await expect.poll(rows, { timeout: 20_000 }).toBeLessThanOrEqual(100);
    await sees("#stream .event:first-child", new RegExp(`inv-${sent}`));
    expect(await page.evaluate(() => document.querySelectorAll("*").length)).toBeLessThan(2500);
    await page.getByRole("searchbox").fill("globex");
    expect(new Set(await page.locator("#stream .event .org").allInnerTexts())).toEqual(new Set(["globex"]));
    await page.locator("#stream .event summary").first().click();
    await sees("#stream .event details[open] pre", /"amount_cents"/);
  });

  it("shows hostile text as text", async () => {
    const evil = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>\u2028\ndata: x\u202e`;
    stack.state.alerts = [watchdog(), apiAlert(evil, "critical", { id: `"]${evil}`, annotations: { summary: evil, description: evil, runbook_url: "javascript:document.title='owned'" } })];
    stack.state.messages = [{ id: 1, at: "not a time", channel: evil, payload: { text: evil, attachments: [{ title: evil, title_link: "javascript:alert(1)", text: `<javascript:alert(1)|click>`, color: evil }] } }];
    stack.state.qbo = qboStatus({ org_id: evil, realm_id: evil, state: evil, problem: evil, last_sync_at: evil, refresh_token_expires_at: evil });
    stack.state.samples["crm:payment_rate_30d_pct:by_org"] = [[{ org_id: evil }, 1], [{ org_id: "b" }, 2]];
    // Numbered, so that a second attempt does not leave two alike for the cases that look for doubles.
    stack.events.send(crmEvent(++sent, { id: `evil-${sent}-${evil}`, type: evil, org_id: evil, ts: evil, aggregate: { type: evil, id: `${sent}-${evil}` }, data: { evil } }));
    await open();
    await sees("#alerts h3", /<img src=x/);
    await sees("#stream .event:first-child .type", /<img src=x/);
    await sees("#inbox", /<script>/);
    await sees("#qbo", /<img/);
    expect(await page.locator("main img, main script, [onerror], a[href^='javascript']").count()).toBe(0);
    expect(await page.title()).not.toBe("owned");
    await screenshot(page, "hostile", true);
    stack.state.samples["crm:payment_rate_30d_pct:by_org"] = [];
  });

  it("says plainly what is away and how old the rest is, and recovers by itself", async () => {
    await open();
    await sees("#verdict", /All well/);
    await stack.prometheus.stop();
    await sees("#verdict", /No alerts, but figures are old: Prometheus refuses the connection/);
    await sees("#partitions .notice", /Prometheus refuses the connection. Shown as it was .* ago/);
    // One has a question of its own, which may have been answered in the very round in which Prometheus went away.
    await expect.poll(() => page.locator("#tiles .tile.stale").count(), { timeout: 20_000 }).toBe(6);
    await stack.alertmanager.stop();
    await sees("#verdict", /Alerts unknown: Alertmanager refuses the connection/);
    await stack.events.stop();
    await sees("#stream .notice", /crm-events/);
    await screenshot(page, "sources-away", true);
    for (const source of [stack.prometheus, stack.alertmanager, stack.events]) await source.start();
    await sees("#verdict", /All well/);
    await expect.poll(() => page.locator(".notice").count(), { timeout: 20_000 }).toBe(0);
    send(1);
    await sees("#stream .event:first-child", new RegExp(`inv-${sent}`));
  });

  it("loses no event while crm-events restarts", async () => {
    await open();
    send(1);
    await sees("#stream .event:first-child", new RegExp(`inv-${sent}`));
    await stack.events.stop();
    send(7);
    await stack.events.start();
    send(1);
    await sees("#stream .event:first-child", new RegExp(`inv-${sent}`));
    const shown = await page.locator("#stream .event .aggregate").allInnerTexts();
    expect(shown.slice(0, 9)).toEqual(Array.from({ length: 9 }, (_, i) => `invoice inv-${sent - i}`));
    expect(await page.locator("#stream .gap").count()).toBe(0);
  });

  it.each(["SIGTERM", "SIGKILL"] as const)("comes back without a reload when its server ends by %s", async (signal) => {
    await open();
    await page.evaluate(() => Object.assign(window, { sameDocument: true }));
    const code = await stack.stopService(signal);
    expect(code).toBe(signal === "SIGTERM" ? 0 : null);
    await sees("#connection", /No connection to the command center; what is shown is from/);
    if (signal === "SIGKILL") {
      await sees("#verdict", /Unknown: no connection to the command center/);
      await screenshot(page, "server-away");
    }
    send(3);
    await stack.startService();
    await expect.poll(() => page.locator("#connection").isHidden(), { timeout: 30_000 }).toBe(true);
    await sees("#stream .event:first-child", new RegExp(`inv-${sent}`));
    send(1);
    await sees("#stream .event:first-child", new RegExp(`inv-${sent}`));
    expect(await page.evaluate(() => "sameDocument" in window)).toBe(true);
    expect(await page.locator("#stream .gap").count()).toBe(0);
    const shown = await page.locator("#stream .event .aggregate").allInnerTexts();
    expect(new Set(shown).size).toBe(shown.length);
  });

  it("makes a new stream when the server answered its first with an error", async () => {
    await open();
    const refused = new Promise((resolve) => page.once("response", resolve));
    await page.route("**/api/live*", (route) => route.fulfill({ status: 503, body: "busy" }));
    await stack.stopService();
    await stack.startService();
    await refused;
    await sees("#connection", /No connection/);
    await page.unroute("**/api/live*");
    await expect.poll(() => page.locator("#connection").isHidden(), { timeout: 30_000 }).toBe(true);
  });

  it("can be used with the keyboard, and has names and headings for a screen reader", async () => {
    await open();
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to the alerts");
    await page.keyboard.press("Enter");
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("alerts");
    const nameless = await page.evaluate(() => [...document.querySelectorAll("button, a, input, section, [tabindex='0']")].filter((e) => !(e.textContent?.trim() || e.getAttribute("aria-label") || e.getAttribute("aria-labelledby"))).map((e) => e.outerHTML));
    expect(nameless).toEqual([]);
    expect(await page.locator("h1").count()).toBe(1);
    expect(await page.locator("main section[aria-labelledby] > h2").allInnerTexts()).toEqual(["Active alerts", "Live events", "Slack inbox development stand-in", "Lag per partition", "Last hour", "Payment error budget", "QuickBooks Online", "Last drill", "Data freshness"]);
    // Every state is told by a word, not by its colour alone.
    expect((await page.locator(".badge").allInnerTexts()).every((word) => /[a-z]{3}/i.test(word))).toBe(true);
  });

  it("asks nobody but its own server", async () => {
    const asked = new Set<string>();
    context = await browser.newContext();
    page = await context.newPage();
    complaints = [];
    page.on("request", (request) => asked.add(new URL(request.url()).origin));
    await page.goto(stack.url);
    await page.locator("#trends canvas").first().waitFor();
    expect([...asked]).toEqual([stack.url]);
  });
});
