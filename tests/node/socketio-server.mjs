// A Socket.IO server. Prints {"port"}; echoes "say" with an acknowledgement, and tells the transport it sees.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { print } from "./lib.mjs";

const http = createServer();
const io = new Server(http, { pingInterval: 1000, pingTimeout: 5000 });
io.on("connection", (socket) => {
  socket.on("say", (text, done) => done({ text, transport: socket.conn.transport.name }));
});
http.listen(0, "127.0.0.1", () => print({ port: http.address().port }));
