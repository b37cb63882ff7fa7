"""Writes the table of options in README.rst anew, from what config.py says of them.

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

from wsgi_redis_session import SessionConfig
from wsgi_redis_session.options import quoted

README = pathlib.Path(__file__).parents[2] / "README.rst"

HEAD = """\
.. list-table::
    :header-rows: 1

    * - Option
      - Default
      - Meaning
"""


def table() -> str:
    rows = [
        f"    * - ``{field.name}``\n      - {shown(field.default)}\n{meaning(field)}\n"
        for field in dataclasses.fields(SessionConfig)
    ]
    return HEAD + "".join(rows)


def shown(default: t.Any) -> str:
    if isinstance(default, timedelta):
        return f"{default.days} day{'s' * (default.days != 1)}"
    if callable(default):
        return f"``{default.__module__}.{default.__name__}``"
    if type(default) in (int, float):
        return str(default).removesuffix(".0")
    return f"``{quoted(default)}``"


def meaning(field: dataclasses.Field[t.Any]) -> str:
    key = field.metadata["flask"]
    return textwrap.fill(
        field.metadata["doc"] + (f" In Flask ``{key}``." if key else ""),
        width=88,
        initial_indent="      - ",
        subsequent_indent="        ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def renewed(readme: str) -> str:
    """The text with the table as it should be."""
    old = re.escape(HEAD) + r"(?:    .*\n)+"
    text, count = re.subn(old, lambda found: table(), readme)
    assert count == 1
    return text


if __name__ == "__main__":
    README.write_text(renewed(README.read_text()))
