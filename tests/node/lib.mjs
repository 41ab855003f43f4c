// What the scripts share: a result is one JSON object per line on stdout, a failure ends the process.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { WebSocket } from "ws";

export const print = (result) => console.log(JSON.stringify(result));

// The options that make a client trust the authority in this PEM file; "-" for plain connections.
export const trusting = (caFile) => (caFile === "-" ? {} : { ca: readFileSync(caFile) });

// Opens a session and waits for it.
export async function open(url, caFile, protocols = [], options = {}) {
  const socket = new WebSocket(url, protocols, { ...trusting(caFile), ...options });
  await once(socket, "open");
  return socket;
}

// Sends a message and waits for the next one.
export async function exchange(socket, message) {
  const answer = once(socket, "message");
  socket.send(message);
  const [data, isBinary] = await answer;
  return isBinary ? data : data.toString();
}
