"""The command line: ``wsgi-redis-session`` and ``python -m wsgi_redis_session``."""

from __future__ import annotations

import collections.abc as cabc
import functools
import os

import click

from ..demo.runner import DEFAULT_PORT
from ..demo.runner import DemoError
from ..demo.runner import run
from ..errors import SessionError
from .group import Commands
from .site import configured
from .site import Site

PROGRAM = "python -m wsgi_redis_session"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--sessions",
    "target",
    metavar="MODULE:NAME",
    help="The application's SessionManager, with all its options.",
)
@click.option("--redis", metavar="URL", help="The server, in place of SESSION_REDIS.")
@click.option("--key-prefix", help="What keys begin with: SESSION_KEY_PREFIX.")
@click.pass_context
def group(
    context: click.Context,
    target: str | None,
    redis: str | None,
    key_prefix: str | None,
) -> None:
    """Server-side sessions in Redis for WSGI.

    Without --sessions, the environment says which sessions are meant, as for
    SessionManager.from_env(): SESSION_REDIS and SESSION_<OPTION>.

    Exit codes: 0, 1 for what failed or was found wrong, 2 for what was given wrongly.
    """
    make = functools.partial(configured, target, redis, key_prefix)
    knows_secret = target is not None or bool(os.environ.get("SECRET_KEY"))
    context.obj = Site(make, knows_secret=knows_secret)


@group.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"Port to listen on.  [default: {DEFAULT_PORT}, or a free one]",
)
def demo(host: str, port: int | None) -> None:
    """Serve a page that shows its visitor's session.

    It uses the server that the environment variable SESSION_REDIS names; where that is
    not set, it starts a private one and ends it again. SECRET_KEY signs the cookies;
    where that is not set, a random key does.
    """
    try:
        run(host=host, port=port)
    except (DemoError, SessionError) as error:
        raise click.ClickException(str(error)) from error


def main(arguments: cabc.Sequence[str] | None = None, program: str = PROGRAM) -> int:
    """Run one command; its exit code is 0, 1 after a line that says what failed, or 2
    after one that says what was given wrongly."""
    try:
        found = group.main(arguments, prog_name=program, standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        click.echo(f"{program}: {error.format_message()}", err=True)
        return error.exit_code
    except click.Abort:
        return 130
    return found if isinstance(found, int) else 0
