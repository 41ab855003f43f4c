// A session of Chromium that talks all the time. argv: URL of a page at the same origin, URL of the session, path of
// Chromium. Prints {"open"}; when stdin ends, {"closed": codes, "sent", "wrong"}, as ws-steady.mjs does.
import { once } from "node:events";
import { launch } from "./browser.mjs";
import { print } from "./lib.mjs";

const [page_url, url, executablePath] = process.argv.slice(2);
const browser = await launch(executablePath);
const page = await browser.newPage({ ignoreHTTPSErrors: true });
await page.goto(page_url);
await page.evaluate(async (url) => {
  const PERIOD_MS = 20;
  const state = (globalThis.steady = { closed: [], sent: 0, wrong: 0, stop: false });
  const socket = new WebSocket(url);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error("the session does not open"));
  });
  socket.onclose = (event) => state.closed.push(event.code);
  const say = () => {
    if (!state.stop && socket.readyState === WebSocket.OPEN) socket.send(`message ${(state.sent += 1)}`);
  };
  socket.onmessage = (event) => {
    state.wrong += event.data === `message ${state.sent}` ? 0 : 1;
    state.answered = state.sent;
    setTimeout(say, PERIOD_MS);
  };
  say();
}, url);
print({ open: 1 });
process.stdin.resume();
await once(process.stdin, "end");
await page.evaluate(() => (globalThis.steady.stop = true));
await page.waitForFunction(() => globalThis.steady.answered === globalThis.steady.sent || globalThis.steady.closed.length > 0);
print(await page.evaluate(() => ({ closed: steady.closed, sent: steady.sent, wrong: steady.wrong })));
await browser.close();
