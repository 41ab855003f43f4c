// A Socket.IO client that starts by polling, as browsers do. argv: URL, CA file or "-". Prints one result.
import { once } from "node:events";
import { io } from "socket.io-client";
import { print, trusting } from "./lib.mjs";

const [url, caFile] = process.argv.slice(2);
const socket = io(url, { ...trusting(caFile), reconnection: false });
socket.on("connect_error", (error) => {
  throw error;
});
socket.io.on("open", () => socket.io.engine.on("upgradeError", (error) => console.error("upgrade failed", error)));

await once(socket, "connect");
const engine = socket.io.engine;
const first = engine.transport.name;
if (first === "polling") await once(engine, "upgrade");
const answers = [];
for (const text of ["one", "two", "x".repeat(100_000)]) answers.push(await socket.emitWithAck("say", text));
print({
  first,
  last: engine.transport.name,
  seenByServer: answers.map((answer) => answer.transport),
  lengths: answers.map((answer) => answer.text.length),
});
socket.disconnect();
