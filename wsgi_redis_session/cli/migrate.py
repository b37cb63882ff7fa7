"""``migrate``: all sessions of Flask-Session at once."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import signal

import click

from ..legacy.migration import Migration
from ..legacy.migration import Tally
from ..legacy.reader import LegacyReader
from ..transport.transport import SCAN_COUNT
from .output import Output
from .site import as_json
from .site import Command
from .site import Site
from .site import Wrong


@click.command(cls=Command)
@click.option("--apply", is_flag=True, help="Migrate; without it, only look.")
@click.option("--prefix", help="What the keys begin with: SESSION_MIGRATE_PREFIX.")
@click.option(
    "--pickle", is_flag=True, help="Read pickles, too, as far as they hold plain data."
)
@as_json
@click.pass_context
def migrate(
    context: click.Context, apply: bool, prefix: str | None, pickle: bool, as_json: bool
) -> None:
    """Make all sessions of Flask-Session ours.

    Without --apply nothing is changed: it tells what would be. Every browser comes
    back with its old cookie, as long as the application has
    migrate_from="flask-session". Run it when no process of the old application writes
    sessions any more. It may be broken off, and goes on when it is started again.
    """
    site: Site = context.obj
    output, tally = Output(as_json=as_json), Tally()
    found = migration(site, prefix, pickle=pickle)
    what = "Migrating" if apply else "Looking"
    with output.progress(what, site.survey.keys) as advance, _caught() as signals:
        for step in found.run(dry=not apply):
            tally.add(step)
            if not step.keys:
                advance(SCAN_COUNT)
            if signals:
                break
    _show(output, tally, applied=apply, broken_off=bool(signals))
    if signals:
        context.exit(130)


def migration(site: Site, prefix: str | None, *, pickle: bool) -> Migration:
    """What goes through the sessions of Flask-Session."""
    sessions, config = site.sessions, site.sessions.config
    if config.encrypt and not site.knows_secret:
        raise Wrong(
            "SESSION_ENCRYPT needs the application's SECRET_KEY, or nobody could read "
            "what is migrated."
        )
    directory = sessions.parts.directory
    reader = LegacyReader(
        (),
        allow_pickle=pickle or config.migrate_pickle,
        max_bytes=config.max_bytes,
    )
    return Migration(
        reader,
        sessions.serializer,
        sessions.store,
        site.lifetimes,
        admit=None if directory is None else directory.admit,
        prefix=prefix or config.migrate_prefix,
        seconds=config.seconds("operation_timeout"),
    )


def _show(output: Output, tally: Tally, *, applied: bool, broken_off: bool) -> None:
    if output.as_json:
        output.json({**vars(tally), "applied": applied, "broken_off": broken_off})
        return
    facts = {
        "Found": f"{tally.keys:,}",
        "Migrated" if applied else "Would be migrated": f"{tally.migrated:,}",
        "Without a value, left to expire": f"{tally.empty:,}",
    }
    if tally.settled:
        facts["Migrated or ended before"] = f"{tally.settled:,}"
    for reason, count in tally.unreadable.most_common():
        facts[f"Left as they are: {reason}"] = f"{count:,}"
    output.facts(facts)
    if broken_off:
        output.say("Broken off. Start it again to go on.")
    elif not applied and tally.migrated:
        output.say("Nothing was changed. With --apply they become ours.")


@contextlib.contextmanager
def _caught() -> cabc.Iterator[list[int]]:
    """The signals to end that have come: nothing is interrupted by them."""
    caught: list[int] = []
    before = {
        number: signal.signal(number, lambda found, frame: caught.append(found))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield caught
    finally:
        for number, found in before.items():
            signal.signal(number, found)
