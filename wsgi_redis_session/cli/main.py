"""The command line: ``python -m wsgi_redis_session``."""

from __future__ import annotations

import argparse
import collections.abc as cabc
import sys

from ..demo.runner import DEFAULT_PORT
from ..demo.runner import DemoError
from ..demo.runner import run
from ..errors import SessionError

PROGRAM = "python -m wsgi_redis_session"


def main(arguments: cabc.Sequence[str] | None = None) -> int:
    """Run one command; its exit code is 0, or 1 after a line that says what failed."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (DemoError, SessionError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Server-side sessions in Redis for WSGI."
    )
    commands = parser.add_subparsers(title="commands", required=True)
    _add_demo(commands)
    return parser


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "demo",
        help="serve a page that shows its visitor's session",
        description=(
            "Serve a page that shows its visitor's session, and print what is stored. "
            "It uses the server that the environment variable SESSION_REDIS names; "
            "where that is not set, it starts a private one and ends it again. "
            "SECRET_KEY signs the cookies; where that is not set, a random key does."
        ),
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (%(default)s)"
    )
    parser.add_argument(
        "--port",
        type=_port,
        help=f"port to listen on ({DEFAULT_PORT}, or a free one if it is taken)",
    )
    parser.set_defaults(run=lambda options: run(host=options.host, port=options.port))


def _port(text: str) -> int:
    if text.isdecimal() and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port: give 0 to 65535")
