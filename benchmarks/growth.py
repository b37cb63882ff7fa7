"""How costs grow: with a session's size, its names, its writers, and with the store."""

from __future__ import annotations

import collections.abc as cabc
import threading
import time
import typing as t

import ormsgpack
import redis
from peers import flask_sessions
from peers import ours_in_flask
from visits import contents
from visits import cookies_of
from visits import gateway
from visits import open_port
from visits import read
from visits import SECRET_KEY
from visits import write

from wsgi_redis_session import SessionManager
from wsgi_redis_session.lifetimes import Expiry
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.model.changes import Changes
from wsgi_redis_session.store.results import Limits
from wsgi_redis_session.store.scripts import merging
from wsgi_redis_session.store.scripts import SAVE

#: What each row is called, and its two figures.
Rows = list[tuple[str, float, float]]

#: So many requests make one figure.
CALLS = 300


def _time(call: cabc.Callable[[], object], number: int = CALLS) -> float:
    for _ in range(number // 10 + 1):
        call()
    start = time.perf_counter_ns()
    for _ in range(number):
        call()
    return (time.perf_counter_ns() - start) / number / 1000


def _request(url: str, values: dict[str, t.Any], use: t.Any) -> float:
    """Microseconds of a request to Flask."""

    def fill(session: t.Any) -> None:
        for name, value in values.items():
            session[name] = value

    options = {"max_bytes": None, "max_names": None}
    sessions = SessionManager(url, secret_key=SECRET_KEY, **options)
    session = sessions.open("")
    fill(session)
    cookie = sessions.commit(session).cookie
    assert cookie is not None
    site = ours_in_flask(url, use)
    return _time(gateway(site, [cookie.partition(";")[0]]))


def by_size(url: str) -> Rows:
    """Of one value of so many bytes, beside the number that is read and written."""
    found = []
    for size in (100, 1_000, 10_000, 100_000, 1_000_000):
        values = {"visits": 1, "text": "x" * size}
        figures = (_request(url, values, use) for use in (read, write))
        found.append((f"{size:,} bytes", *figures))
    return found


def by_names(url: str) -> Rows:
    """Of so many names with small values."""
    found = []
    for number in (1, 10, 100, 1000):
        names = {"visits": 1, **{f"name {n}": n for n in range(number - 1)}}
        found.append(
            (f"{number:,} names", *(_request(url, names, use) for use in (read, write)))
        )
    return found


def by_writers(url: str) -> tuple[Rows, Rows]:
    """Writes a second of so many threads on one session, beside Flask-Session; and how
    many of them find that what they wrote last is not there."""
    rates, lost = [], []
    for number in (1, 4, 16, 64):
        ours, theirs = (
            _contend(site, url, number) for site in (ours_in_flask, flask_sessions)
        )
        rates.append((f"{number} writers", ours[0], theirs[0]))
        lost.append((f"{number} writers", ours[1], theirs[1]))
    return rates, lost


def _contend(site: t.Any, url: str, writers: int) -> tuple[float, int]:
    cookies = cookies_of(site(url, lambda session: session.update(visits=1)), 1)
    last: dict[str, int] = {}
    uses = [_own(f"writer {number}", last) for number in range(writers)]
    calls = [gateway(site(url, use), cookies) for use in uses]
    each = max(1, 600 // writers)

    def run(call: t.Any) -> None:
        for _ in range(each):
            call()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = each * writers / (time.perf_counter() - start)
    found: dict[str, t.Any] = {}
    gateway(site(url, lambda session: found.update(session)), cookies)()
    return rate, sum(found.get(name) != value for name, value in last.items())


def _own(name: str, last: dict[str, int]) -> t.Any:
    def use(session: t.Any) -> None:
        session[name] = last[name] = time.perf_counter_ns()

    return use


def by_user(url: str) -> Rows:
    """A login of a user who is logged in so often already, and the list of where."""
    sessions = SessionManager(url, secret_key=SECRET_KEY, user_key="user")

    def login() -> None:
        session = sessions.open("")
        session["user"] = "Ada"
        sessions.commit(session)

    found = []
    for number in (1, 100, 10_000):
        for _ in range(number):
            login()
        few = CALLS if number < 100 else 3
        listing = _time(lambda: sessions.of_user("Ada"), few)
        found.append((f"{number:,} sessions", _time(login, 30), listing))
        sessions.revoke_user("Ada")
    sessions.disconnect()
    return found


def by_sessions(url: str, numbers: cabc.Iterable[int]) -> Rows:
    """With so many sessions in the store."""
    found = []
    with redis.Redis.from_url(url) as client:
        client.flushall()
        stored = 0
        for number in numbers:
            while stored < number:
                with client.pipeline(transaction=False) as pipe:
                    for _ in range(min(10_000, number - stored)):
                        pipe.set(f"wsgi-session:{stored:024}", b"x" * 300, px=86400_000)
                        stored += 1
                    pipe.execute()
            figures = (_request(url, contents(1000), use) for use in (read, write))
            found.append((f"{number:,} sessions", *figures))
        client.flushall()
    return found


def in_redis(url: str) -> Rows:
    """Microseconds of Redis' own time for a save and for a merge, by ``INFO
    commandstats``; SET alone takes one or two."""
    found = []
    with redis.Redis.from_url(url) as client:
        sha = client.script_load(SAVE.source)
        for size in (1_000, 20_000, 180_000):
            names = {f"name {n}": b"v" * (size // 5) for n in range(5)}
            head = b"\1\0" + b"s" * 32 + b"b" * 8 + bytes(8) + b"d" * 8
            stored = head + ormsgpack.packb(names)
            ours = head.replace(b"s" * 8, b"o" * 8, 1) + ormsgpack.packb(
                names | {"name 0": b"w" * (size // 5)}
            )
            day, changes = 86400_000, Changes({}, ["name 0"], [])
            limits = Limits(max_bytes=0, max_names=0)
            once, _ = merging(
                Expiry(day, day), 60_000, limits, changes, sets_kind=False
            )
            row, ttl = [], b"86400000"
            for revision in (b"s" * 8, b"x" * 8):
                client.config_resetstat()
                for _ in range(500):
                    client.set("session", stored, px=86400_000)
                    client.evalsha(
                        sha, 1, "session", revision, ours, ttl, once, b"name 0"
                    )
                stats: t.Any = client.info("commandstats")
                row.append(float(stats["cmdstat_evalsha"]["usec_per_call"]))
            found.append((f"{size:,} bytes", *row))
    return found


def memory(number: int) -> Rows:
    """Bytes of Redis' memory for a session of about 1 KB, ours and Flask-Session's, and
    the bytes that a replica gets for reads. Each has a server of its own."""
    figures = []
    for site in (ours_in_flask, flask_sessions):

        def fill(session: t.Any) -> None:
            for name, value in contents(1000).items():
                session[name] = value

        with LocalServer() as server, redis.Redis.from_url(server.url) as client:
            cookies_of(site(server.url, fill), 1)  # what a connection takes
            before = client.info("memory")["used_memory"]
            cookies = cookies_of(site(server.url, fill), number)
            used = (client.info("memory")["used_memory"] - before) / number
            figures.append((used, _traffic(client, site, server.url, cookies[:200])))
    ours, theirs = figures
    return [
        ("bytes of memory for a session", ours[0], theirs[0]),
        ("bytes to a replica for 200 reads", ours[1], theirs[1]),
    ]


def _traffic(client: t.Any, site: t.Any, url: str, cookies: list[str]) -> float:
    """The bytes that a replica gets of reads."""
    with LocalServer() as replica, redis.Redis.from_url(replica.url) as other:
        other.replicaof("127.0.0.1", str(open_port(client)))
        while other.info("replication")["master_link_status"] != "up":
            time.sleep(0.05)
        call = gateway(site(url, read), cookies)
        before = client.info("replication")["master_repl_offset"]
        for _ in cookies:
            call()
        return float(client.info("replication")["master_repl_offset"] - before)


def text(title: str, heads: tuple[str, str], rows: Rows) -> str:
    """One table."""
    lines = [title, "", f"{'':32}{heads[0]:>16}{heads[1]:>16}"]
    lines += [f"{name:32}{one:16,.1f}{other:16,.1f}" for name, one, other in rows]
    return "\n".join(lines)
