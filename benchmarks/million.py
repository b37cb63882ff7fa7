"""What the command line takes for a million sessions.

.. code-block:: console

    $ python benchmarks/million.py [COUNT]

It makes so many sessions, half of them permanent and of all ages, then as many of
Flask-Session in MessagePack, in a private server, and runs ``stats``, ``list`` and
``migrate`` over them. Each row says how long the command took, how much memory it had
at most, and how long the server was busy with its longest single command, as its own
SLOWLOG says.
"""

from __future__ import annotations

import collections.abc as cabc
import os
import random
import re
import resource
import subprocess
import sys
import time
import typing as t

import ormsgpack
import redis
from visits import SECRET_KEY

from wsgi_redis_session import SessionManager
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.model.record import Record
from wsgi_redis_session.store import layout

_CHUNK = 1000
_DAY = 86_400_000

Pair = tuple[str, bytes, int]


def ours(count: int, sessions: SessionManager) -> cabc.Iterator[Pair]:
    """Keys, values and TTLs in milliseconds of sessions of ours."""
    now, prefix = int(time.time() * 1000), sessions.store.key_prefix
    packed = {
        name: sessions.serializer.dumps(value)
        for name, value in {
            "_user_id": "4711",
            "csrf": "x" * 40,
            "cart": [1, 2],
        }.items()
    }
    for number in range(count):
        permanent = number % 2 == 0
        record = Record.fresh(now - random.randrange(60 * _DAY), permanent)
        filled = {**packed, "notes": sessions.serializer.dumps("x" * (number % 400))}
        value = layout.write(record.revised(filled, permanent))
        longest = 31 * _DAY if permanent else _DAY
        yield prefix + record.id, value, random.randrange(1000, longest)


def theirs(count: int) -> cabc.Iterator[Pair]:
    """The same of Flask-Session."""
    for number in range(count):
        values = {"_permanent": True, "_user_id": f"{number}", "csrf": "x" * 40}
        key = f"session:{random.randbytes(32).hex()[:43]}"
        yield key, ormsgpack.packb(values), random.randrange(_DAY, 31 * _DAY)


def fill(client: redis.Redis, pairs: cabc.Iterable[Pair]) -> None:
    """Store them all."""
    pipeline = client.pipeline(transaction=False)
    for key, value, ttl in pairs:
        pipeline.set(key, value, px=ttl)
        if len(pipeline) >= _CHUNK:
            pipeline.execute()
    pipeline.execute()


def run(client: redis.Redis, url: str, *words: str) -> str:
    """Run a command; its row of the table."""
    client.execute_command("SLOWLOG", "RESET")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    began = time.monotonic()
    measured = (
        "import resource, sys; from wsgi_redis_session.cli.main import main; "
        "code = main(); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); "
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", measured, *words],
        env={**os.environ, "SESSION_REDIS": url, "SECRET_KEY": SECRET_KEY},
        check=True,
        capture_output=True,
        text=True,
    )
    seconds = time.monotonic() - began
    own = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    longest, name = slowest(client)
    megabytes = int(re.findall(r"\d+", done.stderr)[-1]) / 1024
    return (
        f"{' '.join(words):24}{seconds:9.1f}{own:9.1f}{megabytes:9.0f}"
        f"{longest / 1000:9.2f}  {name}"
    )


def slowest(client: redis.Redis) -> tuple[int, str]:
    """The longest command in microseconds, and which it was."""
    log: t.Any = client.slowlog_get(10_000)
    rows = [(row["duration"], row["command"].split()[0].decode()) for row in log]
    return max(rows, default=(0, "none"))


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rows = []
    with LocalServer() as server:
        sessions = SessionManager(server.url, secret_key=SECRET_KEY)
        client = redis.Redis.from_url(server.url)
        client.config_set("slowlog-log-slower-than", 500)
        client.config_set("slowlog-max-len", 10_000)
        print(f"{server.describe()}, {count:,} sessions of each kind", flush=True)
        fill(client, ours(count, sessions))
        for words in (["stats"], ["list"], ["list", "--json", "--limit", "10000"]):
            rows.append(run(client, server.url, *words)[:10_000])
        client.flushall()
        fill(client, theirs(count))
        for words in (["migrate"], ["migrate", "--apply"], ["stats"]):
            rows.append(run(client, server.url, *words))
        sessions.disconnect()
    head = f"{'command':24}{'seconds':>9}{'own CPU':>9}{'MB':>9}{'longest ms':>12}"
    print("\n".join([head, *rows]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
