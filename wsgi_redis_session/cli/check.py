"""``check``: whether everything is as it should be."""

from __future__ import annotations

import collections.abc as cabc
import contextlib

import click

from ..errors import SessionUnavailable
from ..errors import Undecodable
from ..lifetimes import ENDED_TTL
from ..lifetimes import Expiry
from ..local_server import server_name
from ..model.changes import Changes
from ..model.record import Record
from ..store.survey import Survey
from ..transport.deadline import Deadline
from ..transport.transport import Transport
from .findings import Finding
from .findings import Level
from .findings import of_clock
from .findings import of_cookie
from .findings import of_memory
from .findings import of_persistence
from .findings import of_protection
from .findings import of_replication
from .findings import of_secrets
from .migrate import migration
from .output import Output
from .site import as_json
from .site import Command
from .site import Site

_STYLES = {
    Level.OK: "green",
    Level.NOTE: "blue",
    Level.WARNING: "yellow",
    Level.PROBLEM: "bold red",
}


@click.command(cls=Command)
@click.option("--strict", is_flag=True, help="Let warnings fail it, too.")
@as_json
@click.pass_context
def check(context: click.Context, strict: bool, as_json: bool) -> None:
    """Find out whether everything is as it should be, and what to change.

    It stores a session of its own and ends it. The exit code is 1 if something must
    change.
    """
    site: Site = context.obj
    output, found = Output(as_json=as_json), [*_findings(site)]
    if as_json:
        output.json([_as_dict(one) for one in found])
    for one in found:
        output.say(f"{one.level.value:8} {one.subject}: {one.text}", _STYLES[one.level])
        if one.remedy:
            output.say(f"{'':8} {one.remedy}")
    bad = {Level.PROBLEM, Level.WARNING} if strict else {Level.PROBLEM}
    if any(one.level in bad for one in found):
        context.exit(1)


def _findings(site: Site) -> cabc.Iterator[Finding]:
    sessions = site.sessions
    try:
        yield from _of_redis(site)
    except SessionUnavailable as error:
        remedy = "Is it running, and may this machine and user reach it?"
        yield Finding(Level.PROBLEM, "Redis", str(error), remedy)
    if site.knows_secret:
        yield from of_secrets(sessions.cookie.secret_keys)
    else:
        text = "SECRET_KEY is not set here, so it was not looked at"
        yield Finding(Level.NOTE, "secret key", text)
    yield from of_cookie(sessions.config)


def _as_dict(finding: Finding) -> dict[str, str]:
    return {
        "level": finding.level.value,
        "subject": finding.subject,
        "text": finding.text,
        "remedy": finding.remedy,
    }


def _of_redis(site: Site) -> cabc.Iterator[Finding]:
    sessions, survey = site.sessions, site.survey
    deadline = Deadline(sessions.config.seconds("operation_timeout"))
    sessions.ping()
    yield Finding(Level.OK, "Redis", f"answers after {deadline.spent * 1000:.1f} ms")
    transport = sessions.store.transport
    yield of_protection(transport.protection)
    if transport.is_doubtful:
        text = "it can give one request the reply to another one"
        remedy = "Make it with protocol=2, or give the URL in its place."
        yield Finding(Level.PROBLEM, "client", text, remedy)
    for node in survey.nodes():
        yield from _of_node(site, survey, node)
    yield _of_rights(site)
    with contextlib.suppress(SessionUnavailable):
        yield from _of_others(site)


def _of_node(site: Site, survey: Survey, node: Transport) -> cabc.Iterator[Finding]:
    try:
        info = survey.info(node)
    except SessionUnavailable as error:
        yield Finding(Level.NOTE, node.place, f"it does not say how it is: {error}")
        return
    yield Finding(Level.OK, node.place, server_name(info))
    yield from of_memory(info)
    save: str | None = None
    with contextlib.suppress(SessionUnavailable):
        save = _text(survey.ask(node, "CONFIG", "GET", "save"))
    yield from of_persistence(info, save)
    yield from of_replication(info, site.sessions.config.wait_replicas)
    deadline = Deadline(1.0)
    now = site.sessions.config.clock()
    seconds, microseconds = survey.ask(node, "TIME")
    there = int(seconds) + int(microseconds) / 1_000_000
    yield of_clock(there - now - deadline.spent / 2)


def _text(reply: object) -> str | None:
    """The value of a setting; clients that were given have read the reply."""
    values = [*reply.values()] if isinstance(reply, dict) else reply
    if not isinstance(values, list) or not values:
        return None
    last = values[-1]
    return last.decode() if isinstance(last, bytes) else str(last)


def _of_rights(site: Site) -> Finding:
    """Whether this user may do all that sessions need, by doing it."""
    store, expiry = site.sessions.store, Expiry(ENDED_TTL, ENDED_TTL)
    deadline = Deadline(site.sessions.config.seconds("operation_timeout"))
    record = Record.fresh(site.lifetimes.now()).revised({}, permanent=False)
    try:
        store.create(deadline, record, ENDED_TTL)
        store.load(deadline, record.sid, record.drawn, site.lifetimes.touch())
        later = record.revised({}, permanent=False)
        nothing = Changes({}, [], [])
        store.save(deadline, record, later, nothing, expiry, sets_kind=False)
        store.end(deadline, record.id)
        store.left(deadline, record.id)
        store.discard(deadline, record)
    except (SessionUnavailable, Undecodable) as error:
        remedy = f"ACL SETUSER ... ~{store.key_prefix}* +@read +@write +@scripting"
        return Finding(Level.PROBLEM, "rights", str(error), remedy)
    return Finding(Level.OK, "rights", "may store, load, save and end sessions")


def _of_others(site: Site) -> cabc.Iterator[Finding]:
    """Whether another library has left sessions that nothing adopts."""
    config = site.sessions.config
    if config.migrate_from is not None:
        return
    for step in migration(site, None, pickle=True).run(dry=True):
        if step.migrated:
            text = f"some of Flask-Session are under {config.migrate_prefix!r}"
            remedy = 'Set migrate_from="flask-session", or their users are logged out.'
            yield Finding(Level.WARNING, "other sessions", text, remedy)
            return
