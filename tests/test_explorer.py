"""The part of the explorer that takes seconds, and whether it would find anything."""

from __future__ import annotations

import collections.abc as cabc
import logging
import os
import typing as t

import pytest
from explorer.choices import follow
from explorer.operations import Operation
from explorer.operations import OPERATIONS
from explorer.play import alone_on
from explorer.play import explore
from explorer.play import play
from explorer.report import explored
from explorer.report import HEAD
from explorer.report import row
from explorer.report import shown
from explorer.report import Tally
from explorer.request import Request
from explorer.scenarios import families
from explorer.scenarios import Family
from explorer.scenarios import Scenario
from explorer.schedule import FAULTS
from explorer.site import World

from wsgi_redis_session import SessionEvent
from wsgi_redis_session.legacy.inheritance import Inheritance
from wsgi_redis_session.lifetimes import Expiry
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.model.changes import Changes
from wsgi_redis_session.model.record import Record
from wsgi_redis_session.model.record import Tombstone
from wsgi_redis_session.request.successor import Successor
from wsgi_redis_session.store.results import Saved
from wsgi_redis_session.store.sessions import RedisStore

#: What is explored here, of all grounds and of some; the command line does it all.
EVERYWHERE = ("alone", "after")
PAIRS = {"anonymous", "member", "plain", "sums", "rotating", "foreign member", "flask"}
TRIPLES = {"anonymous", "member", "plain", "sums"}

#: Responses that may be overtaken by the answer to a login, by why they give a cookie.
#: That of a touch is what the library says; the others are each a new session id or
#: another kind of session, which a browser has to be told.
OVERTAKEN = {"touch", "kind", "emptied", "renewed", "rotated", "migrated", "began"}


@pytest.fixture(scope="module")
def world() -> cabc.Iterator[World]:
    logger = logging.getLogger("wsgi_redis_session")
    level = logger.level
    # Tens of thousands of lines, which pytest would keep.
    logger.setLevel(logging.CRITICAL)
    # Each worker of pytest-xdist on a processor of its own.
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with alone_on(number), LocalServer() as server, World(server.socket) as world:
        yield world
    logger.setLevel(level)


def is_quick(family: Family) -> bool:
    kind = family.name.removeprefix(f"{family.ground}, ")
    return (
        kind in EVERYWHERE
        or (kind == "pairs" and family.ground in PAIRS)
        or (kind == "triples" and family.ground in TRIPLES)
    )


def quick() -> list[Family]:
    chosen = [family for family in families() if is_quick(family)]
    return [
        family._replace(scenarios=family.scenarios[:: share_of(family)])
        for family in chosen
    ]


def share_of(family: Family) -> int:
    """Of how many scenarios one is played."""
    if family.name == "foreign member, pairs":
        return 8  # each has many commands, and so many orders
    return 3 if family.name.endswith("triples") else 1


def findings(world: World, tally: Tally) -> str:
    """The table's line, and a schedule for each kind of fault."""
    parts = [HEAD, row("here", tally)]
    for (promise, _), example in sorted(tally.examples.items()):
        scenario = Scenario.parse(example.scenario, FAULTS)
        played = play(world, scenario, follow(example.schedule))
        parts.append(f"{promise}: {example.scenario}\n{shown(played)}")
    return "\n\n".join(parts)


@pytest.mark.parametrize("family", quick(), ids=lambda family: family.name)
def test_no_order_of_commands_breaks_a_promise(world: World, family: Family) -> None:
    tally = explored(world, family.scenarios)
    assert not tally.wrong, findings(world, tally)
    assert set(tally.overtaken) <= OVERTAKEN
    assert tally.schedules > len(family.scenarios)
    assert tally.held["errors"] > tally.schedules


def outcomes(world: World, text: str, *, every_order: bool) -> tuple[int, set[str]]:
    """How many schedules there are, and all that they come to."""
    results = set()
    number = 0
    for played in explore(world, Scenario.parse(text), every_order=every_order):
        number += 1
        views = [found.view for found in played.history.found.values()]
        told = [
            (deed.request.seen, deed.dropped, bool(deed.given), deed.failed)
            for deed in played.history.deeds
        ]
        results.add(f"{views} {told} {sorted(played.verdict.overtaken)}")
    return number, results


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("anonymous: read | read", 2),
        ("anonymous: read | note", 3),
        ("anonymous: note | note", 6),
        ("anonymous: note | note | read", 30),
        ("anonymous: note | note | note", 90),
        ("anonymous: note > note", 1),
        ("anonymous: note > +6s > note", 1),
        ("anonymous: read | read | +6s", 6),
    ],
)
def test_all_orders_are_played(world: World, text: str, number: int) -> None:
    assert outcomes(world, text, every_order=True)[0] == number


@pytest.mark.parametrize(
    "pair",
    [
        "write | write",
        "login | note",
        "login | login",
        "login | destroy",
        "note | clear",
    ],
)
@pytest.mark.parametrize("ground", ["anonymous", "due"])
def test_orders_that_are_left_out_come_to_nothing_else(
    world: World, ground: str, pair: str
) -> None:
    every, all_results = outcomes(world, f"{ground}: {pair}", every_order=True)
    fewer, results = outcomes(world, f"{ground}: {pair}", every_order=False)
    assert results == all_results
    assert fewer <= every


def test_schedule_that_was_printed_can_be_played_again(world: World) -> None:
    scenario = Scenario.parse("anonymous: login | note", FAULTS)
    for number, played in enumerate(explore(world, scenario)):
        again = play(world, scenario, follow(played.schedule))
        assert again.schedule == played.schedule
        assert shown(again).splitlines()[0] == shown(played).splitlines()[0]
        if number == 100:
            return


def fail(request: Request) -> None:
    raise RuntimeError("this is no promise")


def forget(request: Request) -> None:
    """Say that something was stored which was not."""
    request.look()
    request.assigned["x"] = request.name


def undo(request: Request) -> None:
    """Bring back a name that it says it has removed."""
    request.look()
    request.removed.add("old")


def deny(request: Request) -> None:
    """Store something and say that it was dropped."""
    request.look()
    request.assign(request.name)
    request.events.append(SessionEvent("lost"))


def add_twice(request: Request) -> None:
    request.look()
    request.assign(request.name)
    request.session["sum"] = request.session.get("sum", 0) + 2


def store(request: Request) -> None:
    request.look()
    request.assign(request.name)


def renew_secretly(request: Request) -> None:
    request.look()
    request.session.regenerate()


def renew_in_words(request: Request) -> None:
    """Store something under the old session id and say that it is under a new one."""
    request.look()
    request.assign(request.name)
    request.regenerated = True


def end_in_words(request: Request) -> None:
    request.look()
    request.destroyed = True


def log_out_secretly(request: Request) -> None:
    request.look()
    del request.session[request.user]


@pytest.mark.parametrize(
    ("promise", "text", "name", "lie"),
    [
        ("errors", "anonymous: lie | read", "lie", fail),
        ("nothing is lost", "anonymous: lie | note", "lie", forget),
        ("nothing is lost", "anonymous: lie | note", "lie", undo),
        ("nothing is lost", "foreign: lie | read", "lie", forget),
        ("what is told is true", "anonymous: lie | read", "lie", deny),
        ("sums", "sums: add | add", "add", add_twice),
        ("commands", "anonymous: read", "read", store),
        ("cookies", "anonymous: lie | note", "lie", renew_secretly),
        ("shut out", "anonymous: lie | read", "lie", renew_in_words),
        ("shut out", "plain: lie > read late", "lie", renew_in_words),
        ("old cookies", "member: lie > read", "lie", renew_in_words),
        ("old cookies", "member: lie > note", "lie", end_in_words),
        ("ended", "member: lie | note", "lie", end_in_words),
        ("logged in", "member: lie | read", "lie", log_out_secretly),
        ("open", "foreign: lie | read", "lie", renew_secretly),
    ],
)
def test_broken_promise_is_found(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    promise: str,
    text: str,
    name: str,
    lie: cabc.Callable[[Request], None],
) -> None:
    monkeypatch.setitem(OPERATIONS, name, Operation(name, lie))
    tally = explored(world, [Scenario.parse(text)])
    assert promise in {broken for broken, _ in tally.kinds}


def test_key_without_ttl_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def persist(request: Request) -> None:
        for key in world.wire.lifetimes():
            world.wire.ask("PERSIST", key)

    operation = Operation("persist", persist, outside=persist)
    monkeypatch.setitem(OPERATIONS, "persist", operation)
    tally = explored(world, [Scenario.parse("anonymous: note > persist")])
    assert "keys expire" in {broken for broken, _ in tally.kinds}


# Whether it finds what was wrong before.


def open_a_login(patch: pytest.MonkeyPatch) -> None:
    """The old cookie leads to the session of whoever has logged in with it."""

    def succeed(
        self: Successor, seen: Record, user: t.Any, predecessor: t.Any
    ) -> Record | Tombstone | None:
        return self.follow(seen, predecessor, Expiry(60_000, 60_000))

    patch.setattr(Successor, "succeed", succeed)


def retire_blindly(patch: pytest.MonkeyPatch) -> None:
    """What others have saved just before a renewal does not matter to it."""
    retire = RedisStore.retire

    def blindly(self: RedisStore, *args: t.Any, **options: t.Any) -> t.Any:
        return retire(self, *args, **(options | {"whatever": True}))

    patch.setattr(RedisStore, "retire", blindly)


def write_every_name(patch: pytest.MonkeyPatch) -> None:
    """Who catches up with others writes all that it had loaded."""

    def onto(self: Changes, theirs: cabc.Mapping[str, bytes]) -> dict[str, bytes]:
        return {**theirs, **self.packed}

    patch.setattr(Changes, "onto", onto)


def always_give_the_cookie(patch: pytest.MonkeyPatch) -> None:
    """Each response that has saved something gives its cookie again."""
    save = RedisStore.save

    def revived(self: RedisStore, *args: t.Any, **options: t.Any) -> t.Any:
        result = save(self, *args, **options)
        return result._replace(revived=True) if isinstance(result, Saved) else result

    patch.setattr(RedisStore, "save", revived)


def delete_before_the_claim(patch: pytest.MonkeyPatch) -> None:
    """Another library's session is gone before it is known which one it became."""
    claim = Inheritance.claim

    def late(self: Inheritance, deadline: t.Any, sid: str, *args: t.Any) -> t.Any:
        self.delete(deadline, sid)
        return claim(self, deadline, sid, *args)

    patch.setattr(Inheritance, "claim", late)


def end_only_what_is_named(patch: pytest.MonkeyPatch) -> None:
    """A logout with the old cookie ends nothing that came of its session."""
    patch.setattr("wsgi_redis_session.store.sessions.MAX_LINKS", 1)


def keep_what_comes_to_nothing(patch: pytest.MonkeyPatch) -> None:
    """A session that has ended goes on where somebody was renewing it."""
    patch.setattr(RedisStore, "retire", lambda *args, **options: None)


@pytest.mark.parametrize(
    ("put_back", "promise", "text"),
    [
        (open_a_login, "shut out", "anonymous: login | eve note"),
        (open_a_login, "shut out", "anonymous: login | eve login"),
        (open_a_login, "shut out", "anonymous: login | eve regenerate"),
        (retire_blindly, "nothing is lost", "anonymous: login | note"),
        (retire_blindly, "nothing is lost", "anonymous: regenerate | delete"),
        (write_every_name, "nothing is lost", "anonymous: login | write"),
        (always_give_the_cookie, "cookies", "anonymous: note | read"),
        (always_give_the_cookie, "logged in", "anonymous: login | note"),
        (delete_before_the_claim, "open", "foreign member: read | read"),
        (delete_before_the_claim, "logged in", "foreign member: read"),
        (end_only_what_is_named, "ended", "member: regenerate | destroy"),
        (keep_what_comes_to_nothing, "ended", "member: regenerate | destroy"),
    ],
)
def test_old_fault_is_found_when_it_is_put_back(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    put_back: cabc.Callable[[pytest.MonkeyPatch], None],
    promise: str,
    text: str,
) -> None:
    # Where one request is enough, something has to go wrong with it.
    scenario = [Scenario.parse(text, () if "|" in text else FAULTS)]
    assert not explored(world, scenario).wrong
    put_back(monkeypatch)
    tally = explored(world, scenario)
    assert promise in {broken for broken, _ in tally.kinds}
