// The app that is tested, with and without the proxy in front of it: an echo server on `ws`, with permessage-deflate.
// Prints {"port"}.
import { createRequire } from "node:module";

const require = createRequire(new URL("../node/package.json", import.meta.url));
const { WebSocketServer } = require("ws");

// The largest message of the suite is 16 MiB.
const MAX_PAYLOAD_BYTES = 64 << 20;

// The most fragments that a message of the suite has is 65,536.
const MAX_FRAGMENTS = 1 << 17;

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  maxPayload: MAX_PAYLOAD_BYTES,
  maxFragments: MAX_FRAGMENTS,
  // The protocol is tested, not the compressor: a low level is as good, and several times as fast.
  perMessageDeflate: { threshold: 0, zlibDeflateOptions: { level: 1 } },
});

server.on("listening", () => console.log(JSON.stringify({ port: server.address().port })));
server.on("connection", (socket) => {
  socket.on("error", () => {});
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});
