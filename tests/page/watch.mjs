// The page in Chromium, against a running agent and a pretend Twilio: signing in, a rollback that is seen live and
// approved, hold, release and restore, the keyboard alone, a lost connection, both widths and both schemes, and axe.
//
//     node watch.mjs BASE_URL TOKEN AGENT_PID PICTURES
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [base, token, pid, pictures] = process.argv.slice(2);
const axe = readFileSync(new URL("./node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
const faults = [];

const open = async (width, height, colorScheme) => {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme });
  const page = await context.newPage();
  page.on("pageerror", (e) => faults.push(`script: ${e.message}`));
  page.on("console", (m) => m.type() === "error" && !/ERR_|status of 40|status of 42/.test(m.text()) && faults.push(m.text()));
  page.on("request", (r) => r.url().startsWith(base) || r.url().startsWith("data:") || faults.push(`asks ${r.url()}`));
  return page;
};

// What an assistive technology would stumble over, and what does not fit the width.
const look = async (page, name) => {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  for (const v of found.violations) {
    faults.push(`${name}: axe ${v.id}: ${v.help}: ${v.nodes.map((n) => n.target.join(" ")).slice(0, 3).join("; ")}`);
  }
  const [is, may] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  if (is > may) faults.push(`${name}: ${is} wide where ${may} are`);
  await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
};

// By the keyboard alone: on to the element that says so, and Enter.
const press = async (page, text) => {
  for (let i = 0; i < 200; i++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => document.activeElement?.textContent.trim() ?? "");
    if (at.startsWith(text)) return page.keyboard.press("Enter");
  }
  throw new Error(`the keyboard does not reach ${text}`);
};

const signIn = async (page) => {
  await page.goto(`${base}/sign-in`);
  // The field has the keyboard by itself.
  await page.waitForFunction(() => document.activeElement?.id === "token");
  await page.keyboard.type(token);
  await page.keyboard.press("Enter");
  await page.waitForURL(`${base}/`);
};

const page = await open(1920, 1080, "light");
await page.goto(`${base}/`);
await press(page, "Sign in to act");
await page.waitForURL(/sign-in/);
await page.keyboard.type("a-guess");
await page.keyboard.press("Enter");
await page.waitForSelector("[role=alert]:has-text('no token of this agent')");
await look(page, "sign-in");
await signIn(page);
const [cookie] = await page.context().cookies();
assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
console.log("- signed in, by the keyboard");

// The page is not loaded again: what comes, comes by itself.
await page.evaluate(() => { globalThis.isTheSame = true; });
await page.waitForSelector("a:has-text('Approve D')", { timeout: 120_000 });
assert.equal(await page.evaluate(() => globalThis.isTheSame), true);
await page.waitForSelector(".verdict.bad", { timeout: 20_000 });
await look(page, "failing");
console.log("- seen to fail");

await press(page, "Approve D");
await page.waitForURL(/act\/approve/);
await look(page, "approve");
await page.focus("#reason");
await page.keyboard.type("seen it");
await page.keyboard.press("Enter");
await page.waitForURL(/decisions\/D/);
await page.evaluate(() => { globalThis.isTheSame = true; });
await page.waitForSelector("li:has-text('read back')", { timeout: 30_000 });
assert.equal(await page.evaluate(() => globalThis.isTheSame), true);
await look(page, "decision");
await page.goto(`${base}/`);
await page.waitForSelector(".chip.on-fallback, .chip.unproven", { timeout: 30_000 });
await look(page, "rolled-back");
console.log("- approved, and seen to be done");

const act = async (path, button, fill = {}) => {
  await page.goto(`${base}${path}`);
  await page.waitForSelector("main form.act");
  for (const [id, value] of Object.entries(fill)) await page.fill(`#${id}`, value);
  await page.fill("#reason", "the page's test");
  await press(page, button);
  await page.waitForSelector("[role=status]");
};
await act("/act/hold?group=sales", "Hold group sales", { minutes: "5" });
await page.waitForSelector("#part-holds :text('group sales')", { timeout: 10_000 });
await act("/act/release?group=sales", "Release group sales");
await page.goto(`${base}/act/restore?group=support`);
await page.check("[name=at_once]");
await look(page, "restore");
await page.fill("#reason", "the page's test");
await press(page, "Restore group support");
await page.waitForURL(/decisions\/D/);
await page.waitForSelector("li:has-text('restored and read back')", { timeout: 30_000 });
console.log("- held, released and restored");

for (const [name, width, height, scheme] of [["phone-dark", 400, 800, "dark"], ["phone-light", 400, 800, "light"], ["wide-dark", 1920, 1080, "dark"]]) {
  const other = await open(width, height, scheme);
  await signIn(other);
  for (const [at, path] of [["overview", "/"], ["all", "/?all"], ["number", "/numbers/+12125550100"], ["group", "/groups/support"], ["decision", "/decisions/D1"], ["journal", "/journal"], ["act", "/act/rollback?group=support"]]) {
    await other.goto(`${base}${path}`);
    await look(other, `${at}-${name}`);
  }
  await other.close();
}
console.log("- both widths and both schemes");

// Without a script all of it is there.
const plain = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
await plain.goto(`${base}/`);
assert.match(await plain.textContent("main"), /support/);

await page.goto(`${base}/`);
process.kill(Number(pid), "SIGSTOP");
await page.waitForSelector("#clock.stale", { timeout: 30_000 });
assert.match(await page.textContent("#alarm"), /says nothing of now/);
process.kill(Number(pid), "SIGCONT");
await page.waitForSelector("#clock:not(.stale)", { timeout: 30_000 });
process.kill(Number(pid), "SIGTERM");
await page.waitForSelector("#alarm:has-text('Disconnected')", { timeout: 40_000 });
await page.screenshot({ path: `${pictures}/disconnected.png` });
console.log("- a lost connection is told");

await browser.close();
if (faults.length) {
  console.log([...new Set(faults)].join("\n"));
  process.exit(1);
}
