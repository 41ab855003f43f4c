// Opens reports in Chromium, at the width of a phone and of a desk, light and dark. argv: path of Chromium, folder for
// screenshots or "-", files. Prints one line for each file, width and scheme: what is drawn, fetched and said.
import { basename } from "node:path";
import { pathToFileURL } from "node:url";
import { launch } from "./browser.mjs";
import { print } from "./lib.mjs";

const [executablePath, shots, ...files] = process.argv.slice(2);
const browser = await launch(executablePath);

// What is drawn, as a person sees it: charts with their words, heat maps cell by cell, maps, diagrams.
const drawn = (page) =>
  page.evaluate(() => {
    const all = (selector) => [...document.querySelectorAll(selector)];
    const texts = (selector) => all(selector).map((element) => element.textContent.trim());
    const named = (svg) => svg.getAttribute("aria-label") || svg.querySelector("title")?.textContent;
    const luminance = getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0);
    return {
      title: document.querySelector("h1").textContent.trim(),
      headings: texts("h2, h3, h4"),
      captions: texts("figcaption"),
      nameless: all("svg[role=img]").filter((svg) => !named(svg)).length,
      behind: all("figure.chart:not(.map):not(.wide)").filter((figure) => !figure.querySelector("details table")).length,
      heat: all("table.heat").map((table) => [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent))),
      bars: all(".bar").map((bar) => Number(bar.getAttribute("width"))),
      lines: all("polyline.line").length,
      boxes: all("rect.box").length,
      regions: texts(".region .name"),
      lates: all("rect.late").length,
      ways: texts(".way-name"),
      faults: texts(".fault-name"),
      sessions: all("rect.session").length,
      messages: all("line.message").length,
      marks: all("circle.event").length,
      rows: all(".events tbody tr").length,
      labels: all("text.label").length,
      broke: texts(".broke li"),
      minded: texts(".mind"),
      notes: all(".minded").length,
      dark: luminance < 200,
      scroll: document.documentElement.scrollWidth,
      width: document.documentElement.clientWidth,
    };
  });

// What happens when somebody uses it, by keyboard where that makes a difference.
async function used(page) {
  const result = {};
  const view = page.locator(".view").first();
  if (await view.count()) {
    const box = page.locator(".spacetime").first();
    const ticks = () => box.locator(".axis text").allTextContents();
    result.before = await ticks();
    await box.getByRole("button", { name: "Next event" }).click();
    result.now = await box.locator(".now").textContent();
    result.here = await page.locator(".events tr.here").first().textContent();
    await view.focus();
    for (let i = 0; i < 12; i++) await page.keyboard.press("+");
    result.zoomed = await ticks();
    result.readable = await box.locator("text.label").allTextContents();
    await page.keyboard.press("0");
    result.all = await ticks();
  }
  const slider = page.locator(".map input").first();
  if (await slider.count()) {
    const told = () => page.locator(".map").first().locator(".late-text, output").allTextContents();
    result.step = await told();
    await slider.focus();
    await page.keyboard.press("Home");
    result.first = await told();
  }
  await page.locator("h1").click();
  return result;
}

for (const file of files) {
  for (const width of [390, 1440]) {
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
      const page = await context.newPage();
      const [errors, fetched] = [[], []];
      page.on("console", (message) => ["error", "warning"].includes(message.type()) && errors.push(message.text()));
      page.on("pageerror", (error) => errors.push(String(error)));
      const url = pathToFileURL(file).href;
      page.on("request", (request) => request.url() !== url && !request.url().startsWith("data:") && fetched.push(request.url()));
      const began = performance.now();
      await page.goto(url);
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      const ms = Math.round(performance.now() - began);
      const found = await drawn(page);
      if (shots !== "-") await page.screenshot({ path: `${shots}/${basename(file, ".html")}-${width}-${colorScheme}.png` });
      print({ file: basename(file), colorScheme, ms, ...found, used: await used(page), errors, fetched });
      await context.close();
    }
  }
}
await browser.close();
