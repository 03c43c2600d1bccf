// The console in a real Chromium: every flow once, attacks in every field that a tenant writes, and accessibility, in
// two widths, dark and light.
//
//   node test/run.mjs PROGRAM [FOLDER]    PROGRAM is the built strongroom; screenshots go to FOLDER
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { ATTACKS, caller, CREDENTIAL, fill, issue, SECRET, serve } from "./served.mjs";

const [program, pictures] = process.argv.slice(2);
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
if (!program || !existsSync(program)) fail("name the built program: node test/run.mjs target/debug/strongroom");
if (!existsSync(CHROMIUM)) fail(`there is no Chromium at ${CHROMIUM}: install the package chromium, or set CHROMIUM`);
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SCREENS = [
  { width: 1280, height: 800, colorScheme: "light" },
  { width: 390, height: 844, colorScheme: "dark" },
  { width: 1280, height: 800, colorScheme: "dark" },
  { width: 390, height: 844, colorScheme: "light" },
];

const vault = process.env.CONSOLE_URL
  ? { url: process.env.CONSOLE_URL, key: process.env.CONSOLE_KEY, stop() {} }
  : await serve(program);
const call = caller(vault.url, vault.key);
const profile = mkdtempSync(join(tmpdir(), "strongroom-chromium-"));
let browser;
let page;
try {
  await fill(call);
  browser = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM, headless: true, viewport: SCREENS[0], locale: "en-GB", timezoneId: "UTC",
    permissions: ["clipboard-read", "clipboard-write"],
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  browser.setDefaultTimeout(30_000);
  page = browser.pages()[0] ?? (await browser.newPage());
  const wrong = watch(page);
  for (const [name, flow] of Object.entries(flows())) {
    const start = Date.now();
    try {
      await flow();
    } catch (error) {
      await page.screenshot({ path: join(tmpdir(), "strongroom-console-failed.png") }).catch(() => undefined);
      error.message = `${name}: ${error.message}`;
      throw error;
    }
    console.log(`ok  ${name} (${Date.now() - start} ms)`);
  }
  assert.deepEqual(wrong, [], "what went wrong in the page");
  console.log("the console works");
} finally {
  await browser?.close();
  vault.stop();
  rmSync(profile, { recursive: true, force: true });
}

function flows() {
  return {
    async "a wrong key is refused, the right one leaves nothing that a script could read"() {
      await page.goto(vault.url);
      await logIn(`${vault.key.slice(0, -4)}0000`);
      await text("This API key is not known here");
      await logIn(vault.key);
      await page.locator(".grid").waitFor();
      const seen = await page.evaluate(() => [document.cookie, localStorage.length, sessionStorage.length]);
      assert.deepEqual(seen, ["", 0, 0]);
      const [cookie] = await browser.cookies();
      assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
      assert.ok(!(await page.content()).includes(vault.key));
    },
    async "the first view says what is set, overridden, inherited and missing, and holds no secret"() {
      await one("user_12345");
      await page.getByRole("button", { name: /API_BASE_URL for user_12345: https:..staging.example.com ?, ?overrides org/ }).waitFor();
      await page.getByRole("button", { name: /MAX_UPLOAD_MB for user_12345: 25 ?, ?from org/ }).waitFor();
      await page.getByRole("button", { name: /LOG_LEVEL for the org: warn ?, ?overrides default/ }).waitFor();
      await page.getByRole("button", { name: "REGION for user_12345: missing" }).waitFor();
      await page.getByRole("button", { name: /DATABASE_PASSWORD for the org: hidden/ }).waitFor();
      assert.ok(!(await page.content()).includes(SECRET));
    },
    async "search and the filter of what is missing"() {
      await page.getByLabel("Search variables by name").fill("upload");
      await rows(1);
      await page.getByLabel("Search variables by name").fill("no such");
      await text("No variable matches");
      await page.getByLabel("Search variables by name").fill("");
      await page.getByLabel("Only missing").check();
      await page.getByRole("button", { name: /^API_BASE_URL$|API_BASE_URL for/ }).first().waitFor({ state: "detached" });
      await page.getByRole("button", { name: "REGION for user_12345: missing" }).waitFor();
      await page.getByLabel("Only missing").uncheck();
      await page.getByRole("button", { name: /API_BASE_URL for the org/ }).waitFor();
    },
    async "the matrix is one stop for the Tab key, and the arrow keys move in it"() {
      const cell = page.getByRole("button", { name: /API_BASE_URL for user_12345/ });
      await page.locator(".grid [tabindex='0']").focus();
      const at = await page.evaluate(() => document.activeElement.dataset.cell);
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("End");
      assert.notEqual(await page.evaluate(() => document.activeElement.dataset.cell), at);
      assert.equal(await page.locator(".grid [tabindex='0']").count(), 1);
      await cell.focus();
      await page.keyboard.press("Enter");
      await page.getByRole("dialog").waitFor();
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
    },
    async "why an account sees another value than the org, and the old one comes back"() {
      await page.getByRole("button", { name: /API_BASE_URL for user_12345/ }).click();
      const steps = page.locator(".steps > li");
      await steps.nth(2).waitFor();
      await contains(steps.nth(0), "Account user_12345", "this one counts", "https://staging.example.com", "trying the new release");
      await contains(steps.nth(1), "Org", "overridden", "https://api.example.com", "first release");
      await page.getByRole("button", { name: "Undo the last change" }).click();
      await text("The earlier value is back");
      await contains(steps.nth(0), "https://eu.example.com");
      await page.getByRole("button", { name: /^Reveal version/ }).first().click();
      await contains(page.locator(".versions .revealed"), "https://staging.example.com");
      await page.getByRole("button", { name: /^Restore version/ }).first().click();
      await text("The version is back");
      await contains(steps.nth(0), "https://staging.example.com");
      assert.equal((await call("GET", "/values/API_BASE_URL?linked_account_id=user_12345")).value, "https://staging.example.com");
    },
    async "a value is checked as one types, and a note goes into the history"() {
      const dialog = page.getByRole("dialog", { name: "Variable API_BASE_URL" });
      await dialog.getByLabel("New value").fill("not a url");
      await dialog.getByText(/is required/).waitFor();
      assert.ok(await dialog.getByRole("button", { name: "Save", exact: true }).isDisabled());
      await dialog.getByLabel("New value").fill("https://new.example.com");
      await dialog.getByText("This would be taken.").waitFor();
      await dialog.getByLabel("Note for the history").fill("moved");
      await dialog.getByRole("button", { name: "Save", exact: true }).click();
      await text("The value is set");
      await dialog.locator(".versions").getByText("moved").waitFor();
      await dialog.getByRole("button", { name: "Remove this value" }).click();
      await page.getByRole("button", { name: "Remove", exact: true }).click();
      await text("The value is removed");
      await contains(page.locator(".steps > li.found"), "https://api.example.com");
      await dialog.getByRole("button", { name: "Undo the last change" }).click();
      await contains(page.locator(".steps > li.found"), "https://new.example.com");
      await page.keyboard.press("Escape");
    },
    async "a value that somebody else changed meanwhile is not overwritten"() {
      await at("#/variables/MAX_UPLOAD_MB");
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel("New value").fill("30");
      await dialog.getByText("This would be taken.").waitFor();
      await call("PUT", "/values/MAX_UPLOAD_MB", { value: "26" });
      await dialog.getByRole("button", { name: "Save", exact: true }).click();
      await dialog.getByRole("alert").waitFor();
      assert.equal((await call("GET", "/values/MAX_UPLOAD_MB")).value, "26");
    },
    async "a workflow has values of its own, which override those of the account"() {
      await at("#/variables/API_BASE_URL?account=user_12345");
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel("in the workflow").fill("wf_1");
      await dialog.getByRole("button", { name: "Show" }).click();
      await dialog.getByLabel("Set a value").fill("https://wf.example.com");
      await dialog.getByText("This would be taken.").waitFor();
      await dialog.getByRole("button", { name: "Save", exact: true }).click();
      await contains(dialog.locator(".steps > li.found"), "Workflow wf_1", "https://wf.example.com");
      await contains(dialog.locator(".steps > li.shadowed").first(), "Account user_12345");
      assert.equal((await call("GET", "/values/API_BASE_URL?workflow_id=wf_1")).value, "https://wf.example.com");
    },
    async "what cannot be read says so in its cell, and a version of it takes its place if that is confirmed"() {
      const path = "/values/API_BASE_URL?linked_account_id=user_12345";
      const sent = await spoil(path);
      await at("#/variables");
      await one("user_12345");
      const cell = page.getByRole("button", { name: /^API_BASE_URL for user_12345: unreadable/ });
      await cell.waitFor();
      await page.getByRole("alert").getByText("the row of variable definition 1 is damaged").waitFor();
      await page.getByRole("button", { name: /API_BASE_URL for the org: https/ }).waitFor();
      for (const screen of SCREENS.slice(0, 2)) await examineOn(screen, "unreadable");
      await cell.click();
      const dialog = page.getByRole("dialog", { name: "Variable API_BASE_URL" });
      await dialog.getByText("Restore one of its versions").waitFor();
      await dialog.getByRole("button", { name: "Remove this value" }).waitFor();
      for (const screen of SCREENS.slice(0, 2)) await examineOn(screen, "unreadable value");
      await dialog.getByRole("button", { name: /^Restore version/ }).last().click();
      assert.deepEqual(sent, []);
      await page.getByRole("button", { name: "Replace", exact: true }).click();
      await text("The version is back");
      assert.deepEqual(sent.map((body) => body.replace_damaged), [true]);
      await page.unrouteAll({ behavior: "wait" });
      assert.equal((await call("GET", path)).value, "https://eu.example.com");
    },
    async "a value that an account inherits and that cannot be read is opened where it is"() {
      await page.route((url) => url.pathname === "/api/admin/v1/explain/MAX_UPLOAD_MB", async (route) => {
        const response = await route.fetch();
        const json = await response.json();
        Object.assign(json.steps.find((step) => step.scope === "org"), { outcome: "unreadable", unreadable: "the row of the value is damaged" });
        await route.fulfill({ response, json });
      });
      await at("#/variables/MAX_UPLOAD_MB?account=user_12345");
      const dialog = page.getByRole("dialog", { name: "Variable MAX_UPLOAD_MB" });
      await contains(dialog.locator(".steps > li.unreadable"), "Org", "cannot be read", "the row of the value is damaged");
      for (const screen of SCREENS.slice(0, 2)) await examineOn(screen, "unreadable step");
      await dialog.getByRole("button", { name: "Open it at the org to repair it" }).click();
      await dialog.getByRole("heading", { name: "Value of the org" }).waitFor();
      assert.equal(await dialog.getByRole("button", { name: /^Open it at/ }).count(), 0);
      await page.unrouteAll({ behavior: "wait" });
    },
    async "a secret comes when it is asked for, and is gone after 30 seconds"() {
      await at("#/variables/DATABASE_PASSWORD");
      const shown = () => page.content().then((content) => content.includes(SECRET));
      await page.getByRole("button", { name: "Reveal DATABASE_PASSWORD of the org" }).waitFor();
      assert.ok(!(await shown()));
      // The page's clock stands still: only the time that is run here counts, however slow the machine is.
      await page.clock.install();
      await page.clock.pauseAt(Date.now() + 60_000);
      await page.getByRole("button", { name: "Reveal DATABASE_PASSWORD of the org" }).click();
      await page.locator("output", { hasText: SECRET }).waitFor();
      await page.clock.runFor(29_000);
      assert.ok(await shown());
      await page.clock.runFor(2_000);
      await page.locator("output", { hasText: SECRET }).waitFor({ state: "detached" });
      assert.ok(!(await shown()));
      await page.clock.resume();
      await page.getByRole("button", { name: "Reveal DATABASE_PASSWORD of the org" }).click();
      await page.getByRole("button", { name: "Hide DATABASE_PASSWORD of the org" }).click();
      assert.ok(!(await shown()));
      await page.getByRole("button", { name: "Copy DATABASE_PASSWORD of the org" }).click();
      await page.getByRole("button", { name: "Copy DATABASE_PASSWORD of the org" }).getByText("Copied").waitFor();
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), SECRET);
    },
    async "a variable is defined, its format changed where values allow it, and deleted"() {
      await at("#/variables");
      await page.getByRole("button", { name: "New variable" }).click();
      const form = page.getByRole("dialog", { name: "New variable" });
      await form.getByLabel("Name").fill("QUEUE_SIZE");
      await form.getByLabel("Description").fill("How many wait");
      await form.getByLabel(/Encrypted:/).uncheck();
      await form.getByRole("button", { name: "Define" }).click();
      const dialog = page.getByRole("dialog", { name: "Variable QUEUE_SIZE" });
      await dialog.getByLabel("Set a value").fill("many");
      await dialog.getByText("This would be taken.").waitFor();
      await dialog.getByRole("button", { name: "Save", exact: true }).click();
      await text("The value is set");
      await dialog.locator("summary").click();
      await dialog.getByLabel("Format").selectOption("integer");
      await dialog.getByText("1 value would not match").waitFor();
      assert.ok(await dialog.getByRole("button", { name: "Save definition" }).isDisabled());
      await call("PUT", "/values/QUEUE_SIZE", { value: "12" });
      await dialog.getByLabel("Format").selectOption("number");
      await dialog.getByText("All stored values match").waitFor();
      await dialog.getByRole("button", { name: "Save definition" }).click();
      await text("The definition is changed");
      assert.equal((await call("GET", "/definitions/QUEUE_SIZE")).var_format, "number");
      await dialog.getByRole("button", { name: "Delete this variable…" }).click();
      await page.getByText("1 value of all scopes").waitFor();
      await page.getByRole("button", { name: "Delete for good" }).click();
      await text("QUEUE_SIZE is deleted");
      await dialog.waitFor({ state: "detached" });
    },
    async "an account is registered, with a credential that is revealed and replaced, and deleted"() {
      await at("#/accounts");
      await page.getByRole("button", { name: "Register account" }).click();
      const form = page.getByRole("dialog", { name: "Register account" });
      await form.getByLabel("Account id").fill("user_77");
      await form.getByLabel("Name").fill("Seventy-Seven");
      await form.getByRole("button", { name: "Register" }).click();
      const dialog = page.getByRole("dialog", { name: "Account user_77" });
      await dialog.getByText("default-app").waitFor();
      await dialog.getByRole("button", { name: "Credential" }).click();
      const sheet = page.getByRole("dialog", { name: "New credential" });
      await sheet.getByLabel("Name").fill("token");
      await sheet.getByLabel("Credential", { exact: true }).fill("c-77");
      await sheet.getByRole("button", { name: "Save" }).click();
      await dialog.getByRole("button", { name: "Replace token" }).click();
      await page.getByRole("dialog", { name: "Replace token" }).getByLabel("Credential").fill("c-78");
      await page.getByRole("dialog", { name: "Replace token" }).getByRole("button", { name: "Save" }).click();
      await page.getByRole("dialog", { name: "Replace token" }).waitFor({ state: "detached" });
      await dialog.getByRole("button", { name: "Reveal token" }).click();
      await page.locator("output", { hasText: "c-78" }).waitFor();
      await dialog.getByRole("button", { name: "History of token" }).click();
      await dialog.getByRole("button", { name: "Undo the last change" }).click();
      await text("The earlier value is back");
      await dialog.locator(".versions > li").nth(2).waitFor();
      await dialog.getByRole("button", { name: "Delete token" }).click();
      await page.getByRole("button", { name: "Delete", exact: true }).click();
      await dialog.getByText("No credentials.").waitFor();
      await issue(vault.url, vault.key, "user_77");
      await issue(vault.url, vault.key, "user_77");
      await page.reload();
      await dialog.getByRole("button", { name: /End session/ }).first().click();
      await text("The session is ended");
      await dialog.getByRole("button", { name: /End session/ }).nth(1).waitFor({ state: "detached" });
      await dialog.getByRole("button", { name: "End its sessions…" }).click();
      await page.getByRole("button", { name: "End sessions" }).click();
      await text("1 session ended");
      await dialog.getByText("None.").waitFor();
      await dialog.getByRole("button", { name: "Delete account…" }).click();
      await page.getByRole("button", { name: "Delete for good" }).click();
      await text("user_77 is deleted");
      await dialog.waitFor({ state: "detached" });
      await page.getByPlaceholder("Account id").fill("user_10001");
      await page.getByRole("button", { name: "Open" }).click();
      await page.getByRole("button", { name: "Reveal api_key" }).waitFor();
      assert.ok(!(await page.content()).includes(CREDENTIAL));
      await page.getByRole("link", { name: "What this account sees" }).click();
      await page.getByRole("button", { name: /LOG_LEVEL for user_10001: debug.*overrides org/ }).waitFor();
    },
    async "every credential of a connection is shown, however many there are"() {
      await call("POST", "/accounts", { linked_account_id: "user_88", default_app: true });
      for (let number = 0; number < 900; number++) {
        await call("PUT", `/accounts/user_88/credentials/default-app/key_${number}`, { value: "c-88" });
      }
      await at("#/accounts/user_88");
      const dialog = page.getByRole("dialog", { name: "Account user_88" });
      const shown = dialog.locator(".credentials > li");
      for (let count = 50; count < 900; count += 50) {
        await shown.nth(count - 1).waitFor();
        await dialog.getByRole("button", { name: "More credentials" }).click();
      }
      await shown.nth(899).waitFor();
      await call("DELETE", "/accounts/user_88");
    },
    async "the audit is turned on, and shows and finds what was done"() {
      await at("#/audit");
      await text("This vault keeps no audit");
      await at("#/jobs");
      await page.getByLabel(/Audit notes/).click();
      await text("The setting is changed");
      await call("PUT", "/values/MAX_UPLOAD_MB", { value: "27" });
      await call("GET", "/values/DATABASE_PASSWORD?reveal=true");
      await at("#/audit");
      await page.getByRole("cell", { name: /MAX_UPLOAD_MB/ }).first().waitFor();
      await contains(page.locator(".list tbody tr").first(), "DATABASE_PASSWORD");
      await page.getByLabel("Actor").fill("nobody");
      await text("No event matches");
      await page.getByLabel("Actor").fill("");
      await page.getByRole("cell", { name: /MAX_UPLOAD_MB/ }).first().waitFor();
    },
    async "older events of another filter stay out of the list of this one"() {
      for (let number = 0; number < 60; number++) await call("PUT", "/values/MAX_UPLOAD_MB", { value: `${number}` });
      await at("#/audit");
      // Their answer never comes: only the page itself ends it.
      const isOlder = (url) => url.pathname.endsWith("/audit") && url.searchParams.has("after");
      await page.route(isOlder, () => undefined);
      const ended = page.waitForEvent("requestfailed", (request) => isOlder(new URL(request.url())));
      await page.getByRole("button", { name: "Older events" }).click();
      await page.getByLabel("Actor").fill("nobody");
      await text("No event matches");
      await ended;
      await page.unrouteAll();
    },
    async "keys are rotated and rows checked, with their progress"() {
      await at("#/jobs");
      await page.getByRole("button", { name: "Rotate…" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Rotate" }).click();
      const done = page.locator(".tasks > li", { hasText: "Rotation of data keys" });
      await done.getByText("finished").waitFor();
      await contains(done, "new data keys");
      await page.getByRole("button", { name: "Check now" }).click();
      await page.locator(".tasks > li", { hasText: "Check of every row" }).getByText("rows are whole").waitFor();
      await page.getByRole("button", { name: "Run now" }).click();
      await page.locator(".tasks > li", { hasText: "Jobs" }).getByText("jobs were finished").waitFor();
      await page.locator(".slots > li").first().waitFor();
    },
    async "an API key is made, shown once, rotated and revoked"() {
      await at("#/keys");
      await page.getByRole("button", { name: "New API key" }).click();
      const form = page.getByRole("dialog", { name: "New API key" });
      await form.getByLabel("Name").fill("pipeline");
      await form.getByLabel("Only these variables").fill("SMTP_*");
      await form.getByRole("button", { name: "Make the key" }).click();
      await page.getByRole("button", { name: "Reveal API key pipeline" }).click();
      const key = await page.locator("output.revealed").innerText();
      await page.getByRole("button", { name: "I have copied it" }).click();
      assert.ok(!(await page.content()).includes(key));
      assert.deepEqual((await caller(vault.url, key)("GET", "/status")).rights, ["read"]);
      await page.getByRole("button", { name: "Rotate pipeline" }).click();
      await page.getByLabel("The old key is still taken for").selectOption("0");
      await page.getByRole("dialog").getByRole("button", { name: "Rotate" }).click();
      await page.getByRole("button", { name: "I have copied it" }).click();
      await assert.rejects(caller(vault.url, key)("GET", "/status"), /401/);
      await page.getByText("expired").waitFor();
      await page.getByRole("button", { name: "Revoke pipeline" }).last().click();
      await page.getByRole("button", { name: "Revoke", exact: true }).click();
      await text("The key is revoked");
      await page.getByRole("button", { name: "End all sessions…" }).click();
      await page.getByRole("button", { name: "End all sessions", exact: true }).click();
      await text("0 sessions ended");
    },
    async "the status says what the service is and whether it is well"() {
      await at("#/status");
      await page.getByText("yes").nth(1).waitFor();
      await page.getByText("Rows together").waitFor();
    },
    async "what a tenant writes is shown as it is, everywhere, and never runs"() {
      const attacked = [
        ...ATTACKS.flatMap((attack, number) => [`#/variables/ATTACK_${number}`, `#/variables/CHOICE_${number}`,
          `#/variables/${encodeURIComponent(attack)}`, `#/accounts/${encodeURIComponent(attack)}`,
          `#/variables/ATTACK_${number}?account=${encodeURIComponent(attack)}`]),
        "#/keys", "#/audit", "#/jobs", `#/${ATTACKS[0]}`, `#/variables?only=${encodeURIComponent(ATTACKS[1])}`,
      ];
      await at("#/status");
      for (const place of attacked) {
        await page.evaluate((place) => { location.hash = place; }, place);
        if (/^#\/(variables|accounts)\/./.test(place)) await page.locator("dialog .badges, dialog .facts").first().waitFor();
        await page.locator(".loading").first().waitFor({ state: "detached" });
        for (const summary of await page.locator("dialog summary").all()) await summary.click();
        // A revealed one no longer matches, so the first is always the next one.
        const reveal = page.getByRole("button", { name: /^Reveal/ });
        for (let left = await reveal.count(); left > 0; left--) {
          await reveal.first().click();
          await reveal.nth(left - 1).waitFor({ state: "detached" });
        }
        assert.equal(await page.locator("#app script, #app img[onerror], #app svg[onload], [onmouseover], a[href^='javascript:']").count(), 0, place);
      }
      await at(`#/variables/ATTACK_0`);
      await contains(page.getByRole("dialog"), ATTACKS[0]);
      assert.equal(await page.evaluate(() => window.hacked), undefined);
      // A script that came into the page all the same would not run: the policy stands behind the code.
      const ran = await page.evaluate(() => {
        try {
          document.body.insertAdjacentHTML("beforeend", "<img src=x>");
          return true;
        } catch {
          return false;
        }
      });
      assert.equal(ran, false);
    },
    async "nothing serious for axe, and no page wider than the screen, in both widths, dark and light"() {
      for (const screen of SCREENS) {
        await show(screen);
        // Each with what is there once it is loaded.
        const places = {
          "#/variables": ".grid", "#/variables/API_BASE_URL?account=user_12345": ".versions > li",
          "#/variables/DATABASE_PASSWORD": ".versions > li", "#/accounts": ".list", "#/accounts/user_10001": ".secret",
          "#/keys": ".list", "#/jobs": ".slots > li", "#/audit": ".list", "#/status": ".panel:nth-child(3) .pairs",
        };
        await at("#/audit");
        for (const [place, loaded] of Object.entries(places)) {
          await page.evaluate((place) => { location.hash = place; }, place);
          await page.locator(loaded).first().waitFor();
          if (place.includes("/variables/")) await page.locator("dialog summary").click();
          else if (!place.includes("/accounts/")) await page.getByRole("dialog").waitFor({ state: "detached" });
          await examine(`${place} ${screen.width} ${screen.colorScheme}`);
        }
        // The forms, once light and once dark.
        if (SCREENS.indexOf(screen) > 1) continue;
        for (const [place, button] of [["#/variables", "New variable"], ["#/accounts", "Register account"], ["#/keys", "New API key"], ["#/jobs", "Rotate…"]]) {
          await at(place);
          await page.getByRole("button", { name: button }).click();
          await page.getByRole("dialog").waitFor();
          await examine(`${button} ${screen.width} ${screen.colorScheme}`);
        }
      }
      await page.setViewportSize(SCREENS[0]);
    },
    async "the API reference shows every call and makes one, without the network"() {
      await page.goto(`${vault.url}/docs`);
      await page.locator(".opblock").nth(60).waitFor();
      await page.getByRole("button", { name: "Authorize" }).first().click();
      await page.locator(".auth-container", { hasText: "x-api-key" }).locator("input").fill(vault.key);
      await page.locator(".auth-container", { hasText: "x-api-key" }).getByRole("button", { name: /Apply|Authorize/ }).click();
      await page.getByRole("button", { name: "Close" }).first().click();
      const call = page.locator("#operations-control\\:_vault-status, .opblock", { hasText: "/api/admin/v1/status" }).first();
      await call.locator(".opblock-summary-control, .opblock-summary").first().click();
      await call.getByRole("button", { name: "Execute" }).click();
      await call.locator(".live-responses-table").getByText("store_id").first().waitFor();
      if (pictures) await page.screenshot({ path: join(pictures, "reference.png") });
    },
    async "who logs out is out, and so is who uses a key that is revoked"() {
      await at("#/variables");
      const before = await browser.cookies();
      await page.getByRole("button", { name: "Log out" }).click();
      await page.getByText("Log in with an API key that may read.").waitFor();
      await examine("login");
      // The cookie of before opens nothing any more.
      await browser.addCookies(before);
      await page.reload();
      await page.getByText("Log in with an API key that may read.").waitFor();
      const made = await call("POST", "/api-keys", { name: "short", rights: ["read"] });
      await logIn(made.api_key);
      await page.locator(".grid").waitFor();
      // It may only read: what it may not do is not offered.
      assert.equal(await page.getByRole("link", { name: "API keys" }).count(), 0);
      assert.equal(await page.getByRole("button", { name: "New variable" }).count(), 0);
      await call("DELETE", `/api-keys/${made.id}`);
      await page.getByRole("link", { name: "Accounts" }).click();
      await page.getByText("Your session has ended").waitFor();
    },
  };
}

async function logIn(key) {
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Log in" }).click();
}

/** Shows one account beside the org. */
async function one(account) {
  await page.getByLabel("Show one account, by its id").fill(account);
  await page.getByRole("columnheader", { name: account }).waitFor();
  await page.waitForFunction(() => document.querySelectorAll(".grid thead th").length === 3);
}

async function at(place) {
  // Each place is opened afresh, as by a bookmark.
  await page.goto("about:blank");
  await page.goto(`${vault.url}/${place}`);
  await page.locator("main#main h1").first().waitFor({ state: "attached" });
  if (/^#\/(variables|accounts)\/./.test(place)) await page.getByRole("dialog").waitFor();
}

async function text(wanted) {
  await page.getByText(wanted).first().waitFor();
}

async function rows(count) {
  await page.waitForFunction((count) => document.querySelectorAll(".grid tbody tr").length === count, count);
}

async function contains(locator, ...wanted) {
  for (const part of wanted) await locator.getByText(part).first().waitFor();
}

/** Answers as the service does where the row of a value and that of a definition are damaged; what is sent to restore. */
async function spoil(value) {
  const sent = [];
  const [name, query] = value.split("?");
  const account = new URLSearchParams(query).get("linked_account_id");
  const answer = (path, change) => page.route((url) => url.pathname === `/api/admin/v1${path}`, async (route) => {
    if (route.request().method() !== "GET") return route.fallback();
    const response = await route.fetch();
    const body = await response.json();
    await route.fulfill({ response, ...change(body, new URL(route.request().url())) });
  });
  await answer("/matrix", (json) => {
    const column = json.columns.findIndex((column) => column.linked_account_id === account);
    const row = json.rows.find((row) => name === `/values/${row.name}`);
    if (row && column >= 0) row.cells[column] = { state: "unreadable" };
    return { json: { ...json, unreadable: ["the row of variable definition 1 is damaged"] } };
  });
  await answer(name, (json, url) => url.searchParams.get("linked_account_id") === account
    ? { status: 500, json: { message: "the row of the value is damaged", reason: "damaged" } } : { json });
  await answer(`${name}/history`, (json) => {
    json.items[0].state = "unreadable";
    return { json };
  });
  await page.route(`**${name}/restore`, (route) => {
    const body = route.request().postDataJSON();
    sent.push(body);
    // Only the page takes it for damaged: the server does not replace what is whole as if it were.
    return route.continue({ postData: JSON.stringify({ ...body, replace_damaged: false }) });
  });
  return sent;
}

/** Shows the page on a screen of this size and colours, on which nothing moves: what is half faded in has another contrast. */
async function show(screen) {
  await page.setViewportSize(screen);
  await page.emulateMedia({ colorScheme: screen.colorScheme, reducedMotion: "reduce" });
}

async function examineOn(screen, name) {
  await show(screen);
  await examine(`${name} ${screen.width} ${screen.colorScheme}`);
  await show(SCREENS[0]);
}

async function examine(name) {
  if (pictures) {
    mkdirSync(pictures, { recursive: true });
    await page.screenshot({ path: join(pictures, `${name.replace(/[^A-Za-z0-9]+/g, "-")}.png`) });
  }
  // By the browser's own means: the policy of the page lets no other script in.
  await page.evaluate(AXE);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const serious = found.violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const named = serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join("; ")}`);
  assert.deepEqual(named, [], name);
  const [wide, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(wide <= screen, `${name} is ${wide} wide on a screen of ${screen}`);
}

/** Everything that must not happen in a page, whatever flow it is in. */
function watch(page) {
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => {
    wrong.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("console", (message) => {
    // The browser notes every refused call, and the last attack on purpose is refused by the policy.
    if (message.type() === "error" && !/Failed to load resource|TrustedHTML/.test(message.text())) wrong.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${vault.url}/`) && !url.startsWith("about:") && !url.startsWith("data:")) wrong.push(`foreign request: ${url}`);
  });
  return wrong;
}

function fail(message) {
  console.error(`the test of the console cannot run: ${message}`);
  process.exit(2);
}
