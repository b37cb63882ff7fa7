"""``python -m wsgi_redis_session`` and ``wsgi-redis-session``."""

from __future__ import annotations

import sys

try:
    from .cli.main import main
    from .cli.main import PROGRAM
except ModuleNotFoundError as missing:
    sys.exit(
        f"The command line needs {missing.name}: "
        "pip install 'wsgi-redis-session[cli]', or [demo] for the demo."
    )


def run() -> int:
    """The program."""
    return main(program="wsgi-redis-session")


if __name__ == "__main__":
    sys.exit(main(program=PROGRAM))
