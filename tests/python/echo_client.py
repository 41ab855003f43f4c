"""A client on `websockets`. argv: URL, CA file or "-". Prints one result."""

import asyncio
import json
import os
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

SIZES = [0, 1, 125, 126, 65_535, 65_536, 200_000]


async def main(url, ca_file):
    context = None if ca_file == "-" else ssl.create_default_context(cafile=ca_file)
    wrong = []
    async with connect(url, ssl=context, proxy=None) as connection:
        for size in SIZES:
            for message in ("€" * size, os.urandom(size)):
                await connection.send(message)
                if await connection.recv() != message:
                    wrong.append(f"{type(message).__name__} {size}")
        # A fragmented message arrives as one.
        await connection.send(["frag", "men", "ted"])
        if await connection.recv() != "fragmented":
            wrong.append("fragmented")
        pong = await connection.ping("are you there")
        await asyncio.wait_for(pong, 30)
        extensions = [extension.name for extension in connection.protocol.extensions]
        await connection.send("please close")
        try:
            await connection.recv()
        except ConnectionClosed as closed:
            close = [closed.rcvd.code, closed.rcvd.reason]
    print(json.dumps({"wrong": wrong, "extensions": extensions, "close": close}))


asyncio.run(main(*sys.argv[1:]))
