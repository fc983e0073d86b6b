// A person at the console: what its script does, which no request shows.
//
//     node console.mjs ORIGIN KEY TENANT        needs Chromium
//
// TIDINGS_BROWSER_MODULES names a `node_modules` with the packages of `package.json` beside this.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join } from "node:path";

const { default: puppeteer } = createRequire(join(process.env.TIDINGS_BROWSER_MODULES, "x"))("puppeteer-core");
const [origin, key, tenant] = process.argv.slice(2);
const home = `${origin}/console/${tenant}`;

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
const page = await browser.newPage();
page.setDefaultTimeout(20_000);
const complaints = [];
page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
page.on("pageerror", (error) => complaints.push(String(error)));

async function api(path, body) {
  const answer = await fetch(`${origin}/v1${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
}

const shows = (text) => page.waitForFunction((text) => document.body.innerText.includes(text), {}, text);

// The link that `tidings dev` prints signs in, and the key is in the address no more.
await page.goto(`${origin}/console#${key}`);
await page.waitForFunction((home) => location.href === home, {}, home);
await shows("Nothing has been attempted yet");

// What happens is shown without a reload.
await page.goto(`${home}/events`);
await page.evaluate(() => (window.isTheSame = true));
await api("/events", { type: "seen.live", data: 1 });
await shows("seen.live");
assert.equal(await page.evaluate(() => window.isTheSame), true, "it was reloaded");

// What somebody types stays, and so does the place that somebody has reached in what is shown.
await page.type("input[name=type]", "half a wo");
await api("/events", { type: "seen.later", data: 1 });
await shows("seen.later");
assert.equal(await page.$eval("input[name=type]", (input) => input.value), "half a wo");
await page.focus("tbody a");
await api("/events", { type: "seen.last", data: 1 });
await new Promise((resolve) => setTimeout(resolve, 3_000));
assert.equal(await page.evaluate(() => document.activeElement.tagName), "A");

// What somebody has opened or closed stays so while more is shown.
const retry = { max_attempts: 20, initial_seconds: 1, factor: 1, max_seconds: 1, jitter: 0 };
await api("/webhooks", { url: "http://127.0.0.1:9/", events: ["seen.often"], retry });
const { id } = await api("/events", { type: "seen.often", data: 1 });
await page.goto(`${home}/events/${id}`);
await Promise.all([page.waitForNavigation(), page.click("a[href*='/deliveries/']")]);
const attempts = (least) =>
  page.waitForFunction((least) => document.querySelectorAll("details").length >= least, {}, least);
await attempts(2);
await page.click("details:last-of-type summary");
const isFirstOpen = () => page.$eval("#attempt-1", (details) => details.open);
const wasOpen = await isFirstOpen();
await page.click("h2");
await attempts(4);
assert.equal(await isFirstOpen(), wasOpen);

// A page that answers a form with a secret is not read again, which would make another one.
await page.goto(`${home}/webhooks/new`);
await page.type("input[name=url]", "http://127.0.0.1:9/once");
await Promise.all([page.waitForNavigation(), page.click("form[action$='/webhooks'] button")]);
await shows("not shown again");
await page.reload();
await shows("Newest deliveries");
assert.match(page.url(), /\/webhooks\/wh_/);

// Where somebody has signed in, a key in the address is taken out, too.
await page.goto(`${home}/events#${key}`);
await page.waitForFunction((place) => location.href === place, {}, `${home}/events`);

// What cannot be undone is asked for, and "no" leaves all as it is.
const webhook = await api("/webhooks", { url: "http://127.0.0.1:9/", events: ["*"] });
const answers = [];
let answer = "dismiss";
page.on("dialog", async (dialog) => {
  answers.push(dialog.message());
  await dialog[answer]();
});
await page.goto(`${home}/webhooks/${webhook.id}`);
await page.click("form[action$='/delete'] button");
await shows(webhook.id);
answer = "accept";
await Promise.all([page.waitForNavigation(), page.click("form[action$='/delete'] button")]);
await shows("The webhook is deleted");
assert.deepEqual(answers.map((text) => text.startsWith("Delete this webhook?")), [true, true]);

// Signing out ends it, also for the page that goes on looking.
await Promise.all([page.waitForNavigation(), page.click("form[action$='/sign-out'] button")]);
await page.goto(home);
assert.ok(page.url().startsWith(`${origin}/console/sign-in?to=`), page.url());

assert.deepEqual(complaints, [], "the browser complains");
await browser.close();
console.log("all is as it should be");
