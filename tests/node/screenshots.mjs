// Takes the pictures of docs/images. argv: path of Chromium, of outrigger, a folder with the reports `ways`, `who-cuts` and
// `failing`, the folder for the pictures. Started by tests/tools/screenshots.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { launch } from "./browser.mjs";

const [executablePath, outrigger, reports, output] = process.argv.slice(2);
const browser = await launch(executablePath);

async function taken(name, { url, width, height, colorScheme = "light" }, prepare = async () => {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, reducedMotion: "reduce" });
  const page = await context.newPage();
  await page.goto(url);
  await prepare(page);
  await page.screenshot({ path: `${output}/${name}.png`, animations: "disabled" });
  await context.close();
}

const report = (name) => pathToFileURL(`${reports}/${name}/report.html`).href;

await taken("report-ways", { url: report("ways"), width: 1100, height: 720 });
await taken("report-who-cuts", { url: report("who-cuts"), width: 1100, height: 560, colorScheme: "dark" });
await taken("report-phone", { url: report("failing"), width: 390, height: 844, colorScheme: "dark" });
// Zoomed until events bear their words, to the time in which the far clients are without a session.
await taken("report-failing-seed", { url: report("failing"), width: 1100, height: 900 }, async (page) => {
  await page.locator(".view").first().focus();
  for (const key of ["+", "+", "ArrowLeft"]) await page.keyboard.press(key);
  await page.locator(".scenario").first().evaluate((section) => section.scrollIntoView());
});

// The demo, until there is something to compare.
const demo = spawn(outrigger, ["demo", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
try {
  let url;
  for await (const line of createInterface({ input: demo.stdout })) {
    url = line.match(/http:\/\/\S+/)?.[0];
    if (url) break;
  }
  await taken("demo", { url, width: 1280, height: 900 }, (page) =>
    page.waitForFunction(() => parseInt(document.getElementById("poll-updates").textContent) >= 29, undefined, { timeout: 120_000 }),
  );
} finally {
  demo.kill("SIGTERM");
  await browser.close();
}
