// Opens the demo page in Chromium. argv: URL, path of Chromium. Prints what the page shows once it is under way.
import { launch } from "./browser.mjs";
import { print } from "./lib.mjs";

const [url, executablePath] = process.argv.slice(2);
const WAIT = { timeout: 60_000 };
const browser = await launch(executablePath);
const page = await browser.newPage({ ignoreHTTPSErrors: true, viewport: { width: 390, height: 844 } });
const errors = [];
page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
page.on("pageerror", (error) => errors.push(String(error)));

// The figures by id, as numbers: counts as they are, bytes in bytes, delays in milliseconds.
const figures = () =>
  page.evaluate(() => {
    const units = { B: 1, kB: 1e3, MB: 1e6, ms: 1, s: 1e3, "": 1 };
    const read = (id) => {
      const [, digits, unit] = document.getElementById(id).textContent.match(/^([\d.,\s]*)(\D*)$/) ?? [];
      return digits ? Number(digits.replace(/[,\s]/g, "")) * units[unit.trim()] : null;
    };
    const names = ["updates", "bytes", "requests", "delay-p50"];
    return Object.fromEntries(["push", "poll"].flatMap((side) => names.map((name) => [`${side}-${name}`, read(`${side}-${name}`)])));
  });

const atLeast = (updates) =>
  page.waitForFunction(
    (n) => ["push-updates", "poll-updates"].every((id) => parseInt(document.getElementById(id).textContent) >= n),
    updates,
    WAIT,
  );

await page.goto(url, WAIT);
await atLeast(1);
const early = await figures();
const costs = await page.evaluate(() =>
  Object.fromEntries(["push-bytes", "poll-bytes", "poll-requests"].map((id) => [id, document.getElementById(id).textContent])),
);
await atLeast(8);
// Costs come from the app now and then, behind the updates that they belong to.
await page.waitForFunction(
  (before) => Object.entries(before).every(([id, text]) => document.getElementById(id).textContent !== text),
  costs,
  WAIT,
);
const late = await figures();
print({
  early,
  late,
  transport: await page.textContent("#transport"),
  state: await page.textContent("#state"),
  errors,
  scroll: await page.evaluate(() => document.documentElement.scrollWidth),
  width: await page.evaluate(() => document.documentElement.clientWidth),
});
await browser.close();
