"""The sessions that a command is about: of an application, or as the environment
configures them."""

from __future__ import annotations

import collections.abc as cabc
import functools
import os
import pkgutil
import secrets
import sys
import typing as t

import click

from ..errors import ConfigurationError
from ..errors import SessionUnavailable
from ..lifetimes import Lifetimes
from ..manager import SessionManager
from ..model.record import is_digest
from ..store.survey import Survey

#: How long a command waits for a reply, in seconds: no page does.
_PATIENCE = 10


class Site:
    """Makes the manager when a command needs it."""

    def __init__(
        self, make: cabc.Callable[..., SessionManager], *, knows_secret: bool = True
    ) -> None:
        self._make = make
        #: Whether the secret key is that of the application.
        self.knows_secret = knows_secret

    @functools.cached_property
    def sessions(self) -> SessionManager:
        """Whose sessions they are."""
        return self._make()

    @functools.cached_property
    def users(self) -> SessionManager:
        """The same, where users are looked up: by what name a session knows its user
        makes no difference to that."""
        is_known = self.sessions.parts.directory is not None
        return self.sessions if is_known else self._make(user_key="user")

    @functools.cached_property
    def survey(self) -> Survey:
        """Looks at what is stored."""
        store, config = self.sessions.store, self.sessions.config
        seconds = config.seconds("operation_timeout")
        return Survey(store.transport, store.key_prefix, seconds)

    @functools.cached_property
    def lifetimes(self) -> Lifetimes:
        """How long they live."""
        return Lifetimes(self.sessions.config)


def configured(
    target: str | None, redis: str | None, key_prefix: str | None, **options: t.Any
) -> SessionManager:
    """The manager that ``package.module:name`` is, or else one that the environment
    configures, with a server and a prefix that were given."""
    if target is None:
        given = {"key_prefix": key_prefix, "redis": redis, **options}
        given = {name: given[name] for name in given if given[name] is not None}
        for name in ("operation_timeout", "read_timeout"):
            if f"SESSION_{name.upper()}" not in os.environ:
                given[name] = _PATIENCE
        if not os.environ.get("SECRET_KEY"):
            # Nothing is signed here; a cookie is only told from others by it.
            given["secret_key"] = secrets.token_hex()
        return SessionManager.from_env(**given)
    if redis is not None or key_prefix is not None:
        raise click.UsageError("--sessions has its own server and prefix")
    sys.path.insert(0, "")  # as servers find an application
    try:
        found = pkgutil.resolve_name(target)
    except (ImportError, AttributeError, ValueError) as error:
        raise Wrong(f"--sessions {target}: {error}") from error
    if not isinstance(found, SessionManager):
        kind = type(found).__qualname__
        raise Wrong(f"--sessions {target} is a {kind}, no SessionManager")
    return found


class Wrong(click.ClickException):
    """What was given does not exist, or cannot work."""

    exit_code = 2


class Command(click.Command):
    """A command whose failures are one line: exit code 1 for a Redis that does not
    answer, 2 for what was given wrongly."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See :class:`click.Command`; one session id of 64 begins as options do."""
        options = (one for one in self.params if isinstance(one, click.Option))
        valued = {name for one in options if not one.is_flag for name in one.opts}
        for at, word in enumerate(args):
            if word == "--":
                break
            is_value = at > 0 and args[at - 1] in valued
            if word.startswith("-") and is_digest(word) and not is_value:
                args = [*args[:at], *args[at + 1 :], "--", word]
                break
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> t.Any:
        """See :class:`click.Command`."""
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            raise Wrong(str(error)) from error
        except SessionUnavailable as error:
            raise click.ClickException(str(error)) from error


class SessionId(click.ParamType[str]):
    """What ``session.id`` is."""

    name = "id"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """See :class:`click.ParamType`."""
        if not is_digest(value):
            self.fail(
                f"{value!r} is no id of a session: that has 24 letters, digits, - and "
                "_, as `list` and the log show it.",
                param,
                ctx,
            )
        return value


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
