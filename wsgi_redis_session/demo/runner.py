"""Runs the demo: Redis, a web server and what ends them.

.. code-block:: console

    $ python -m wsgi_redis_session demo

It uses the server that ``SESSION_REDIS`` names, or starts a private one and ends it.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import errno
import io
import os
import secrets
import signal
import socket
import sys
import threading
import typing as t

from werkzeug.serving import make_server
from werkzeug.serving import WSGIRequestHandler

from ..errors import SessionUnavailable
from ..local_server import LocalServer
from ..manager import SessionManager
from .server import Switch
from .window import Trail
from .window import Window

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

DEFAULT_PORT = 8000

#: What a manager of the demo is given. Key and cookie have names of their own, so that
#: the sessions of an application on the same server, or the same host, stay out of it.
OPTIONS: dict[str, t.Any] = {
    "key_prefix": "wsgi-session-demo:",
    "cookie_name": "wsgi_session_demo",
    "user_key": "user",
}


class DemoError(Exception):
    """Why the demo cannot run, and what to do about it."""


def run(*, host: str, port: int | None) -> None:
    """Serve the demo until SIGINT or SIGTERM; ``port`` ``None`` is 8000 or a free one.

    Raises :exc:`DemoError` or :exc:`~wsgi_redis_session.ConfigurationError`.
    """
    try:
        from .app import Demo  # needs Jinja2, without which the command line works
    except ModuleNotFoundError as error:
        raise DemoError(
            f"The demo needs {error.name}: pip install 'wsgi-redis-session[demo]'"
        ) from error
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    with contextlib.ExitStack() as stack:
        signals = stack.enter_context(_caught_signals())
        listener = stack.enter_context(_listen(host, port))
        local = None if "SESSION_REDIS" in os.environ else _started(stack)
        events = Trail()
        sessions = SessionManager(
            local.url if local else None,
            secret_key=os.environ.get("SECRET_KEY") or secrets.token_hex(),
            on_event=events.add,
            **OPTIONS,
        )
        server = _server(sessions)
        program = local.program if local else None
        _show(_welcome(_url(listener), server, program))
        switch = _switch(stack, local, sessions) if local else None
        _serve(listener, Demo(sessions, _show, events=events, switch=switch), signals)
    _show(f"\nThe demo has ended{f', and {server} with it' if local else ''}.")


def _show(text: str) -> None:
    print(text, flush=True)


def _welcome(url: str, server: str, program: str | None) -> str:
    origin = f"started for this demo: {program}" if program else "from SESSION_REDIS"
    lines = [
        "The demo of wsgi-redis-session",
        "",
        f"  page      {url}",
        f"  sessions  in {server}, {origin}",
        f"  keys      {OPTIONS['key_prefix']}<session.id>",
    ]
    if not os.environ.get("SECRET_KEY"):
        lines.append("  cookies   signed with a random key, as SECRET_KEY is not set:")
        lines.append("            all sessions end with this run")
    elif program:
        lines.append("  cookies   signed with SECRET_KEY, but what is stored ends with")
        lines.append("            this run")
    ended = "demo and server" if program else "the demo"
    return "\n".join(
        [*lines, "", f"Ctrl-C ends {ended}. What is stored, as it changes:"]
    )


@contextlib.contextmanager
def _caught_signals() -> cabc.Iterator[list[int]]:
    """The signals to end that have come.

    Nothing is interrupted by them, so whatever was started is ended in order. A closed
    terminal counts, but for those who chose to ignore it (nohup).
    """
    caught: list[int] = []
    before = {}
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        before[number] = signal.signal(number, lambda n, frame: caught.append(n))
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wanted = DEFAULT_PORT if port is None else port
    try:
        return socket.create_server((host, wanted), family=family, backlog=128)
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        if is_taken and port is None:
            _show(f"Port {DEFAULT_PORT} is taken, so the demo takes a free one.")
            return _listen(host, 0)
        remedy = " Choose another --port, or leave it out." if is_taken else ""
        raise DemoError(
            f"Cannot listen on {host}, port {wanted}: {error.strerror}.{remedy}"
        ) from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    # What listens on all addresses is reached by this one, too.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _started(stack: contextlib.ExitStack) -> LocalServer:
    try:
        return stack.enter_context(LocalServer())
    except (OSError, RuntimeError) as error:
        raise DemoError(str(error)) from error


def _switch(
    stack: contextlib.ExitStack, local: LocalServer, sessions: SessionManager
) -> Switch:
    switch = Switch(local, sessions)
    stack.callback(switch.close)
    return switch


def _server(sessions: SessionManager) -> str:
    try:
        return Window(sessions).server
    except SessionUnavailable as error:
        cause = error.__cause__
        raise DemoError(f"SESSION_REDIS cannot be used: {cause}") from error


class _QuietHandler(WSGIRequestHandler):
    """Leaves the terminal to the report."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def _serve(listener: socket.socket, app: WSGIApplication, signals: list[int]) -> None:
    """Answer requests until there is a signal."""
    host, port = listener.getsockname()[:2]
    server = make_server(
        host,
        port,
        app,
        threaded=True,
        request_handler=_QuietHandler,
        fd=listener.fileno(),
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    # In short steps: on Windows a signal does not wake a thread that waits.
    while not signals and thread.is_alive():
        thread.join(0.1)
    server.shutdown()
    thread.join()
