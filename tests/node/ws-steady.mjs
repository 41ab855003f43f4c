// Sessions on `ws` that talk all the time. argv: URL, CA file or "-", how many. Prints {"open"}; when stdin ends,
// {"closed": codes, "sent", "wrong"}: sessions that ended before, messages sent, and answers that were not the next.
import { once } from "node:events";
import { open, print } from "./lib.mjs";

const PERIOD_MS = 20;
const [url, caFile, count] = process.argv.slice(2);
const closed = [];
let [sent, wrong] = [0, 0];

async function talk(socket, until) {
  const end = once(socket, "close");
  for (let n = 0; !until.stop && socket.readyState === socket.OPEN; n += 1) {
    const answer = new Promise((resolve) => socket.once("message", resolve));
    socket.send(`message ${n}`);
    sent += 1;
    const data = await Promise.race([answer, end.then(() => "no answer")]);
    wrong += data.toString() === `message ${n}` ? 0 : 1;
    await new Promise((resolve) => setTimeout(resolve, PERIOD_MS));
  }
}

const sockets = await Promise.all(Array.from({ length: Number(count) }, () => open(url, caFile)));
sockets.forEach((socket) => socket.on("close", (code) => closed.push(code)));
print({ open: sockets.length });
const until = { stop: false };
const talks = sockets.map((socket) => talk(socket, until));
process.stdin.resume();
await once(process.stdin, "end");
until.stop = true;
await Promise.all(talks);
print({ closed: [...closed], sent, wrong });
sockets.forEach((socket) => socket.terminate());
