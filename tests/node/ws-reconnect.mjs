// Clients on `ws` that come back when their session ends. argv: URL, CA file or "-", how many. Prints {"open"}, then
// {"closed": codes} when every session has ended, then {"echoed", "failures"} when every client is back.
import { once } from "node:events";
import { WebSocket } from "ws";
import { exchange, open, print, trusting } from "./lib.mjs";

const [url, caFile, count] = process.argv.slice(2);
const failures = [];

// One attempt, told apart from a session that ends later.
async function comeBack() {
  const socket = new WebSocket(url, trusting(caFile));
  socket.on("unexpected-response", (_, response) => failures.push(response.statusCode));
  socket.on("error", (error) => failures.push(error.message));
  await Promise.race([once(socket, "open"), once(socket, "close")]);
  return socket.readyState === WebSocket.OPEN ? socket : comeBack();
}

const sockets = await Promise.all(Array.from({ length: Number(count) }, () => open(url, caFile)));
await Promise.all(sockets.map((socket, n) => exchange(socket, `hello from ${n}`)));
const ends = sockets.map((socket) => once(socket, "close"));
print({ open: sockets.length });

// Each comes back the moment it hears of its end.
const back = ends.map((end) => end.then(comeBack));
print({ closed: (await Promise.all(ends)).map(([code]) => code) });

const again = await Promise.all(back);
const answers = await Promise.all(again.map((socket, n) => exchange(socket, `back: ${n}`)));
print({ echoed: answers.filter((answer, n) => answer === `back: ${n}`).length, failures });
again.forEach((socket) => socket.terminate());
