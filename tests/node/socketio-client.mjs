// A Socket.IO client that starts by polling, as browsers do. argv: URL, CA file or "-". Prints one result.
import { once } from "node:events";
import { io } from "socket.io-client";
import { print, trusting } from "./lib.mjs";

const [url, caFile] = process.argv.slice(2);
const socket = io(url, { ...trusting(caFile), reconnection: false });
socket.on("connect_error", (error) => {
  throw error;
});

// The upgrade may come before "connect" does, so both are awaited from the start.
let first;
const upgraded = new Promise((resolve) => {
  socket.io.on("open", () => {
    const { engine } = socket.io;
    first = engine.transport.name;
    engine.on("upgrade", resolve);
    engine.on("upgradeError", (error) => console.error("upgrade failed", error));
  });
});
await Promise.all([once(socket, "connect"), upgraded]);

const answers = [];
for (const text of ["one", "two", "x".repeat(100_000)]) answers.push(await socket.emitWithAck("say", text));
print({
  first,
  last: socket.io.engine.transport.name,
  seenByServer: answers.map((answer) => answer.transport),
  lengths: answers.map((answer) => answer.text.length),
});
socket.disconnect();
