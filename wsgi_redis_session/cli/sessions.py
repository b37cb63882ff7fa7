"""``list``, ``show``, ``revoke`` and ``stats``."""

from __future__ import annotations

import typing as t

import click

from ..demo.window import duration
from ..model.info import SessionInfo
from ..model.record import Stored
from ..model.record import Tombstone
from ..store.survey import Entry
from ..store.survey import Glance
from ..transport.transport import SCAN_COUNT
from .output import moment
from .output import Output
from .output import size
from .site import as_json
from .site import Command
from .site import SessionId
from .site import Site
from .site import Wrong
from .statistics import Most
from .statistics import Statistics

_GONE = "Gone or renewed: list again."


@click.command("list", cls=Command)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="So many at most.",
)
@click.option("--user", help="Those of one user, the one first that was seen last.")
@as_json
@click.pass_obj
def list_sessions(site: Site, limit: int, user: str | None, as_json: bool) -> None:
    """List the newest sessions, the newest first."""
    output, newest, count = Output(as_json=as_json), Most(limit), 0
    if user is not None:
        _list_devices(site, output, user)
        return
    with output.progress("Looking", site.survey.keys) as advance:
        for batch in site.survey.batches():
            for session in batch.sessions:
                newest.add(session.head.created, session)
            count += len(batch.sessions)
            advance(SCAN_COUNT)
    found = newest.sessions
    if as_json:
        output.json([_as_dict(site, session) for session in found])
        return
    output.rows((_row(site, session) for session in found), right=["Size"])
    output.say(f"{len(found)} of {count} sessions" if count else "No sessions.")


@click.command(cls=Command)
@click.argument("session_id", metavar="ID", type=SessionId())
@click.option("--values", is_flag=True, help="Show the values as well.")
@as_json
@click.pass_obj
def show(site: Site, session_id: str, values: bool, as_json: bool) -> None:
    """Show what is stored of one session.

    Values are shown only with --values: they are the user's. With encrypt=True nobody
    can read names or values without the user's cookie.
    """
    entry = site.survey.entry(session_id)
    if entry is None:
        raise Wrong(f"There is no session {session_id}. {_GONE}")
    facts = _facts(site, session_id, entry, values=values)
    output = Output(as_json=as_json)
    if as_json:
        output.json(facts)
        return
    names = facts.pop("names", {})
    output.facts(facts)
    if names:
        output.say("")
        output.rows(_names(names), right=["Size"])


@click.command(cls=Command)
@click.argument("session_id", metavar="[ID]", type=SessionId(), required=False)
@click.option("--user", help="End all sessions of a user.")
@click.option("--device", help="Only the one on this device, as `list --user` has it.")
@as_json
@click.pass_obj
def revoke(
    site: Site,
    session_id: str | None,
    user: str | None,
    device: str | None,
    as_json: bool,
) -> None:
    """End a session, or those of a user.

    That it has ended before is no error. Where Redis fails in the middle, the same
    command once more finishes it.
    """
    output = Output(as_json=as_json)
    if user is not None and session_id is None:
        _revoke_user(site, output, user, device)
        return
    if session_id is None or user is not None or device is not None:
        raise click.UsageError("Give either an ID or --user, and --device with --user.")
    ended = site.sessions.revoke(session_id)
    if as_json:
        output.json({"id": session_id, "ended": ended})
    output.say("Ended." if ended else _GONE)


@click.command(cls=Command)
@as_json
@click.pass_obj
def stats(site: Site, as_json: bool) -> None:
    """Count sessions, and tell how old and how large they are."""
    output, found = Output(as_json=as_json), Statistics(site.lifetimes)
    with output.progress("Counting", 2 * site.survey.keys) as advance:
        for batch in site.survey.batches():
            found.add(batch)
            advance(SCAN_COUNT)
        for users in site.survey.users():
            found.users += users
            advance(SCAN_COUNT)
    if as_json:
        output.json(found.as_dict())
        return
    output.facts(
        {
            "Sessions": f"{found.sessions:,}, of which {found.permanent:,} permanent",
            "Users": f"{found.users:,}",
            "Size": f"{size(found.bytes)}, {size(_mean(found))} on average",
            "Moved or ended lately": f"{found.tombstones:,}",
            "No sessions": f"{found.others:,}",
        }
    )
    if found.sessions:
        _show_histograms(output, found)
        for title, sessions in (("Largest", found.largest), ("Oldest", found.oldest)):
            output.say("")
            output.say(title, "bold")
            rows = (_row(site, session) for session in sessions.sessions)
            output.rows(rows, right=["Size"])


def _list_devices(site: Site, output: Output, user: str) -> None:
    found = site.users.of_user(user)
    if not found:
        raise Wrong(f"User {user!r} is not there, or has no sessions.")
    if output.as_json:
        output.json([_device_as_dict(info) for info in found])
        return
    output.rows((_device_row(site, info) for info in found), right=[])


def _revoke_user(site: Site, output: Output, user: str, device: str | None) -> None:
    try:
        ended = site.users.revoke_user(user, device=device)
    except ValueError as error:
        raise Wrong(str(error)) from error
    if output.as_json:
        output.json({"user": user, "device": device, "ended": ended})
    output.say(f"Ended: {ended}" if ended else "There was none to end.")


def _device_as_dict(info: SessionInfo) -> dict[str, t.Any]:
    seen = None if info.last_seen is None else int(info.last_seen * 1000)
    return {
        "id": info.id,
        "created": moment(int(info.created * 1000)),
        "last_seen": moment(seen),
        "permanent": info.permanent,
        "device": info.device,
        "address": info.address,
        "user_agent": info.user_agent,
    }


def _device_row(site: Site, info: SessionInfo) -> dict[str, str]:
    now, seen = site.lifetimes.now() / 1000, info.last_seen
    return {
        "ID": info.id,
        "Device": info.device,
        "Began": f"{duration(now - info.created)} ago",
        "Last seen": "" if seen is None else f"{duration(now - seen)} ago",
        "Address": info.address or "",
        "Browser": info.user_agent or "",
    }


def _show_histograms(output: Output, found: Statistics) -> None:
    output.say("")
    rows = [
        {
            "": name,
            "Began": f"{began:,}",
            "Last used": f"{found.idle.counts[name]:,}",
            " ": "#" * (30 * found.idle.counts[name] // found.sessions),
        }
        for name, began in found.ages.counts.items()
    ]
    output.rows(rows, right=["Began", "Last used"])


def _mean(found: Statistics) -> float:
    return found.bytes / found.sessions if found.sessions else 0.0


def _as_dict(site: Site, session: Glance) -> dict[str, t.Any]:
    head, lifetimes = session.head, site.lifetimes
    used = lifetimes.last_used(head.created, head.permanent, session.ttl)
    return {
        "id": session.id,
        "created": moment(head.created),
        "last_used": moment(used),
        "ends": moment(lifetimes.now() + session.ttl),
        "bytes": session.size,
        "permanent": head.permanent,
        "device": head.device.hex(),
    }


def _row(site: Site, session: Glance) -> dict[str, str]:
    head, now = session.head, site.lifetimes.now()
    used = site.lifetimes.last_used(head.created, head.permanent, session.ttl)
    return {
        "ID": session.id,
        "Began": f"{duration((now - head.created) / 1000)} ago",
        "Last used": "" if used is None else f"{duration((now - used) / 1000)} ago",
        "Ends in": duration(session.ttl / 1000),
        "Size": size(session.size),
        "Kind": "permanent" if head.permanent else "browser",
    }


def _facts(
    site: Site, session_id: str, entry: Entry, *, values: bool
) -> dict[str, t.Any]:
    found = entry.read()
    ends = moment(site.lifetimes.now() + entry.ttl)
    facts: dict[str, t.Any] = {"id": session_id, "ends": ends, "bytes": entry.size}
    if isinstance(found, Tombstone):
        successor = found.successor or None
        return {**facts, "state": found.state.name.lower(), "successor": successor}
    if found is None:
        return {**facts, "state": "undecodable"}
    used = site.lifetimes.last_used(found.created, found.permanent, entry.ttl)
    names = _values(site, found) if values else entry.names
    return {
        **facts,
        "state": "live",
        "created": moment(found.created),
        "last_used": moment(used),
        "permanent": found.permanent,
        "device": found.device.hex(),
        "sealed": bool(found.envelope),
        "names": {} if found.envelope else names,
    }


def _values(site: Site, found: Stored) -> dict[str, t.Any]:
    serializer = site.sessions.serializer
    values: dict[str, t.Any] = {}
    for name, packed in found.packed.items():
        try:
            values[name] = repr(serializer.loads(packed))
        except Exception as error:  # whatever a serializer makes of damaged bytes
            values[name] = f"unreadable: {type(error).__name__}"
    return values


def _names(names: dict[str, t.Any]) -> list[dict[str, str]]:
    return [
        {"Name": name, "Size": size(known)}
        if isinstance(known, int)
        else {"Name": name, "Value": known}
        for name, known in names.items()
    ]
