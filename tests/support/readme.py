"""README.rst and docs, whose code blocks have names."""

from __future__ import annotations

import pathlib
import re
import sys
import types
import typing as t

import pytest

from wsgi_redis_session.local_server import LocalServer

PROJECT = pathlib.Path(__file__).parents[2]
README = PROJECT.joinpath("README.rst").read_text()

#: README.rst and every page of the documentation.
PAGES = [README, *(page.read_text() for page in sorted(PROJECT.glob("docs/*.rst")))]

SECRET_KEY = "not a secret, this is a test"


def block(name: str) -> str:
    """The code block of that name."""
    (found,) = re.findall(
        rf"^\.\. code-block:: \w+\n    :name: {re.escape(name)}\n\n((?:    .*\n|\n)+)",
        "\n".join(PAGES),
        re.MULTILINE,
    )
    return re.sub(r"^    ", "", found, flags=re.MULTILINE).rstrip("\n") + "\n"


def run(name: str, monkeypatch: pytest.MonkeyPatch, server: LocalServer) -> t.Any:
    """Execute a block as a module, which the next one can import."""
    monkeypatch.setenv("SESSION_REDIS", server.url)
    monkeypatch.setenv("SECRET_KEY", SECRET_KEY)
    module = types.ModuleType(name.removesuffix(".py"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(block(name), name, "exec"), module.__dict__)
    return module
