// An echo server on `ws`. argv: host and port, or none. Prints {"port"}, then {"closed": [code, reason]} for every session's end.
import { WebSocketServer } from "ws";
import { print } from "./lib.mjs";

const [host = "127.0.0.1", port = "0"] = process.argv.slice(2);
const server = new WebSocketServer({
  host,
  port: Number(port),
  perMessageDeflate: { threshold: 64 },
  handleProtocols: (offered) => (offered.has("v2.chat") ? "v2.chat" : false),
});

server.on("listening", () => print({ port: server.address().port }));
server.on("connection", (socket) => {
  socket.on("error", () => {});
  socket.on("close", (code, reason) => print({ closed: [code, reason.toString()] }));
  socket.on("message", (data, isBinary) => {
    if (!isBinary && data.toString() === "please close") socket.close(4001, "asked to");
    else if (!isBinary && data.toString() === "please ping") socket.ping("are you there");
    else socket.send(data, { binary: isBinary });
  });
  // The peer's own pongs are what a ping is for: they pass through to here.
  socket.on("pong", (data) => socket.send(`pong ${data}`));
});
