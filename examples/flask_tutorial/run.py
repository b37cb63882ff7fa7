"""Start the example, with a Redis server of its own where none is given.

.. code-block:: console

    $ python examples/flask_tutorial/run.py [--port PORT] [--debug]
"""

import contextlib
import os
import pathlib
import secrets
import signal
import sys

from flask.cli import cli

from wsgi_redis_session.local_server import LocalServer


def run():
    os.environ.setdefault("SECRET_KEY", secrets.token_hex())
    with contextlib.ExitStack() as stack:
        if "SESSION_REDIS" not in os.environ:
            os.environ["SESSION_REDIS"] = stack.enter_context(LocalServer()).url
        app = str(pathlib.Path(__file__).parent)
        cli(["--app", app, "run", *sys.argv[1:]])


if __name__ == "__main__":
    # Ended like this or with Ctrl-C, it takes its server with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run()
