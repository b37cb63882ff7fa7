"""README.rst and docs, whose code blocks have names."""

from __future__ import annotations

import collections.abc as cabc
import pathlib
import re
import sys
import textwrap
import types
import typing as t

import pytest

from wsgi_redis_session.local_server import LocalServer

PROJECT = pathlib.Path(__file__).parents[2]
README = PROJECT.joinpath("README.rst").read_text()

#: README.rst and every page of the documentation, by its path.
PAGES = {
    str(path.relative_to(PROJECT)): path.read_text()
    for path in [PROJECT / "README.rst", *sorted(PROJECT.glob("docs/*.rst"))]
}

SECRET_KEY = "not a secret, this is a test"


#: The directive, how far it is indented, its language and its name.
_BLOCK = re.compile(
    r"^( *)\.\. code-block:: (\w+)\n(?:\1 {3,4}:name: (.*)\n)?", re.MULTILINE
)


def blocks() -> cabc.Iterator[tuple[str, str, str]]:
    """Each code block of each page: its language, its name or "", and its text."""
    for page in PAGES.values():
        for found in _BLOCK.finditer(page):
            indent, language, name = found.groups(default="")
            lines = []
            for line in page[found.end() :].split("\n"):
                if line and not line.startswith(f"{indent}   "):
                    break
                lines.append(line)
            text = textwrap.dedent("\n".join(lines)).strip("\n") + "\n"
            yield language, name, text


def block(name: str) -> str:
    """The code block of that name, which is the same wherever it stands."""
    (found,) = {text for _, other, text in blocks() if other == name}
    return found


def run(name: str, monkeypatch: pytest.MonkeyPatch, server: LocalServer) -> t.Any:
    """Execute a block as a module, which the next one can import."""
    monkeypatch.setenv("SESSION_REDIS", server.url)
    monkeypatch.setenv("SECRET_KEY", SECRET_KEY)
    module = types.ModuleType(name.removesuffix(".py"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(block(name), name, "exec"), module.__dict__)
    return module
