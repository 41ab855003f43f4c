"""An echo server on `websockets`. Prints {"port"}."""

import asyncio
import json

from websockets.asyncio.server import serve


async def echo(connection):
    async for message in connection:
        if message == "please close":
            await connection.close(4001, "asked to")
            return
        else:
            await connection.send(message)


async def main():
    async with serve(echo, "127.0.0.1", 0, ping_interval=None) as server:
        print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
