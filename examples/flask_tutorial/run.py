"""Start the example, with a Redis server of its own where none is given.

.. code-block:: console

    $ python examples/flask_tutorial/run.py [--port PORT] [--debug]

What that server holds when it ends, and the key that signs the cookies, are kept in
``instance/``, so that whoever was logged in still is when the example starts again.
"""

import contextlib
import os
import pathlib
import secrets
import shutil
import signal
import sys

import redis
from flask.cli import cli

from wsgi_redis_session.local_server import LocalServer

HERE = pathlib.Path(__file__).parent


def run():
    instance = pathlib.Path(os.environ.setdefault("INSTANCE_PATH", f"{HERE}/instance"))
    instance.mkdir(parents=True, exist_ok=True)
    if "SECRET_KEY" not in os.environ:
        os.environ["SECRET_KEY"] = kept_key(instance / "secret_key")
    with contextlib.ExitStack() as stack:
        if "SESSION_REDIS" not in os.environ:
            server = kept_server(instance / "sessions.rdb")
            os.environ["SESSION_REDIS"] = stack.enter_context(server)
        cli(["--app", str(HERE), "run", *sys.argv[1:]])


def kept_key(file):
    """The key of the first start; a file that only its owner can read has it."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex())
    return file.read_text()


@contextlib.contextmanager
def kept_server(file):
    """The URL of a server that begins with what the last one held at its end."""
    server = LocalServer()
    dump = pathlib.Path(server.directory, "dump.rdb")
    if file.exists():
        shutil.copy(file, dump)
    with server:
        try:
            yield server.url
        finally:
            # It may have been ended by hand, to see what the pages say then.
            with contextlib.suppress(redis.ConnectionError):
                with redis.Redis.from_url(server.url) as client:
                    client.save()
                shutil.copy(dump, file)


if __name__ == "__main__":
    # Ended like this or with Ctrl-C, it takes its server with it; a closed terminal
    # counts, but for those who chose to ignore it (nohup).
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    run()
