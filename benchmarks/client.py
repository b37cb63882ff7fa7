"""A small client for where wrk is not installed: connections that are kept alive, each
sending its next request when the reply to the last one is complete.

.. code-block:: console

    $ python benchmarks/client.py PORT CONNECTIONS SECONDS FILE_WITH_COOKIES
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time


async def visit(
    port: int, cookies: list[str], end: float, latencies: list[float]
) -> int:
    """Send requests until it is over; how many failed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    errors = 0
    while time.perf_counter() < end:
        start = time.perf_counter()
        cookie = random.choice(cookies)
        writer.write(f"GET / HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(
            line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2]
        )
        await reader.readexactly(int(fields[b"content-length"]))
        latencies.append(time.perf_counter() - start)
        errors += not head.startswith(b"HTTP/1.1 200")
    writer.close()
    return errors


async def main() -> None:
    port, connections = int(sys.argv[1]), int(sys.argv[2])
    seconds, file = float(sys.argv[3]), sys.argv[4]
    with open(file) as lines:
        cookies = lines.read().split("\n")
    latencies: list[float] = []
    start = time.perf_counter()
    visits = (
        visit(port, cookies, start + seconds, latencies) for _ in range(connections)
    )
    errors = sum(await asyncio.gather(*visits))
    taken = time.perf_counter() - start
    latencies.sort()

    def percentile(share: float) -> float:
        return latencies[min(int(len(latencies) * share), len(latencies) - 1)] * 1000

    report = {
        "requests_per_second": len(latencies) / taken,
        "latencies": {
            "p50": percentile(0.5),
            "p99": percentile(0.99),
            "p99.9": percentile(0.999),
        },
        "errors": errors,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    asyncio.run(main())
