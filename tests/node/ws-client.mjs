// A client on `ws`. argv: URL, CA file or "-", scenario. Prints one result.
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import { exchange, open, print } from "./lib.mjs";

const [url, caFile, scenario] = process.argv.slice(2);

const scenarios = {
  // Text and binary of many sizes, compressible or not, come back as they were.
  async echo() {
    const socket = await open(url, caFile);
    const sizes = [0, 1, 125, 126, 65_535, 65_536, 200_000];
    const wrong = [];
    for (const size of sizes) {
      const text = "ä€𝄞x".repeat(size).slice(0, size);
      if ((await exchange(socket, text)) !== text) wrong.push(`text ${size}`);
      const binary = randomBytes(size);
      if (!binary.equals(await exchange(socket, binary))) wrong.push(`binary ${size}`);
    }
    socket.close(1000);
    const [code] = await once(socket, "close");
    return { messages: 2 * sizes.length, wrong, extensions: socket.extensions, code };
  },

  async uncompressed() {
    const socket = await open(url, caFile, [], { perMessageDeflate: false });
    const echoed = await exchange(socket, "x".repeat(200_000));
    socket.close(1000);
    return { length: echoed.length, extensions: socket.extensions };
  },

  async protocol() {
    const socket = await open(url, caFile, ["v1.chat", "v2.chat"]);
    socket.close(1000);
    return { protocol: socket.protocol };
  },

  // A ping of ours is answered by the server, and one of the server's by us.
  async ping() {
    const socket = await open(url, caFile);
    const pong = once(socket, "pong");
    socket.ping("hello");
    const [ours] = await pong;
    const theirs = await exchange(socket, "please ping");
    socket.close(1000);
    return { ours: ours.toString(), theirs };
  },

  async closeByClient() {
    const socket = await open(url, caFile);
    socket.close(4001, "had enough");
    const [code, reason] = await once(socket, "close");
    return { code, reason: reason.toString() };
  },

  async closeByApp() {
    const socket = await open(url, caFile);
    socket.send("please close");
    const [code, reason] = await once(socket, "close");
    return { code, reason: reason.toString() };
  },

  // Says when it is there, and stays until the other side closes.
  async stay() {
    const socket = await open(url, caFile);
    print({ open: true });
    const [code, reason] = await once(socket, "close");
    return { code, reason: reason.toString() };
  },

  // Every session talks while all the others are open.
  async hundred() {
    const sockets = await Promise.all(Array.from({ length: 100 }, () => open(url, caFile)));
    const rounds = 5;
    const echoes = await Promise.all(
      sockets.map(async (socket, n) => {
        let right = 0;
        for (let round = 0; round < rounds; round++) {
          const message = `${n}/${round} ${"y".repeat(1000)}`;
          if ((await exchange(socket, message)) === message) right++;
        }
        socket.close(1000);
        const [code] = await once(socket, "close");
        return code === 1000 ? right : 0;
      }),
    );
    return { right: echoes.reduce((a, b) => a + b, 0) };
  },
};

print(await scenarios[scenario]());
