"""Writes the table of options in docs/options.rst anew, from what config.py says of
them and what the Flask extension makes of them.

.. code-block:: console

    $ python tests/support/options_table.py
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import textwrap
import typing as t
from datetime import timedelta

import flask

from wsgi_redis_session import SessionConfig
from wsgi_redis_session.environment import FLASK_KEYS
from wsgi_redis_session.environment import VARIABLES
from wsgi_redis_session.flask import EXTENSION
from wsgi_redis_session.flask import Session
from wsgi_redis_session.options import quoted

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "options.rst"

HEAD = """\
.. list-table::
    :header-rows: 1
    :widths: 20 14 22 44

    * - Option
      - Default
      - In Flask
      - Meaning
"""


def table() -> str:
    flasks = flask_config()
    rows = [
        f"    * - ``{field.name}``\n"
        f"      - {shown(field.default)}\n"
        f"      -{in_flask(field, getattr(flasks, field.name))}\n"
        f"{meaning(field)}\n"
        for field in dataclasses.fields(SessionConfig)
    ]
    return HEAD + "".join(rows)


def flask_config() -> SessionConfig:
    """What an application has that configures nothing."""
    app = flask.Flask("options_table")
    app.config["SECRET_KEY"] = "a secret"
    Session(app)
    return t.cast(SessionConfig, app.extensions[EXTENSION].config)


def in_flask(field: dataclasses.Field[t.Any], default: t.Any) -> str:
    """Flask's key and its default, where they are not as one would think."""
    key = FLASK_KEYS[field.name]
    parts = [f"``{key}``"] if key != VARIABLES[field.name] else []
    parts += [shown(default)] if default != field.default else []
    return "".join(f" {part}" for part in [", ".join(parts)] if part)


def shown(default: t.Any) -> str:
    if isinstance(default, timedelta):
        return f"{default.days} day{'s' * (default.days != 1)}"
    if callable(default):
        return f"``{default.__module__}.{default.__name__}``"
    if type(default) in (int, float):
        return str(default).removesuffix(".0")
    return f"``{quoted(default)}``"


def meaning(field: dataclasses.Field[t.Any]) -> str:
    return textwrap.fill(
        field.metadata["doc"],
        width=88,
        initial_indent="      - ",
        subsequent_indent="        ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def renewed(page: str) -> str:
    """The text with the table as it should be."""
    old = re.escape(HEAD) + r"(?:    .*\n)+"
    text, count = re.subn(old, lambda found: table(), page)
    assert count == 1
    return text


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))
