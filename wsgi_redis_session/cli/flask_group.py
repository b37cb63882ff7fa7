"""``flask sessions``: the same commands for the sessions of a Flask application."""

from __future__ import annotations

import typing as t

import click
from flask import current_app
from flask.cli import with_appcontext

from ..flask import RedisSessionInterface
from ..manager import SessionManager
from .group import Commands
from .site import Site


@click.group("sessions", cls=Commands)
@click.pass_context
@with_appcontext
def sessions(context: click.Context) -> None:
    """Look at this application's sessions, and end them."""
    context.obj = Site(_manager)


def _manager() -> SessionManager:
    app: t.Any = current_app
    interface = app.session_interface
    is_ours = isinstance(interface, RedisSessionInterface)
    manager = interface.manager(app) if is_ours else None
    if manager is None:
        raise click.ClickException(
            "This application has no sessions in Redis: call Session(app), and set "
            "SECRET_KEY."
        )
    found: SessionManager = manager
    return found
