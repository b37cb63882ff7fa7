"""A proxy to Redis that takes its time, as a network does.

.. code-block:: console

    $ python benchmarks/delay.py SOCKET MILLISECONDS

It prints the port that it listens on. Half of the time passes on the way there.
"""

from __future__ import annotations

import asyncio
import sys


async def carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float
) -> None:
    """Hand on what comes, each part after its time; parts may overtake nothing."""
    loop = asyncio.get_running_loop()
    while data := await reader.read(65536):
        loop.call_later(seconds, writer.write, data)
    loop.call_later(seconds, writer.close)


async def main() -> None:
    path, seconds = sys.argv[1], float(sys.argv[2]) / 2000

    async def accept(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(path)
        await asyncio.gather(
            carry(reader, far_writer, seconds), carry(far_reader, writer, seconds)
        )

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
