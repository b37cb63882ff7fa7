"""The code behind the buttons, read from the functions that run."""

from __future__ import annotations

import collections.abc as cabc
import inspect
import keyword
import re
import textwrap
import typing as t

from markupsafe import escape
from markupsafe import Markup

_KEYWORDS = "|".join(keyword.kwlist)

#: What is coloured; the name of each group is a class in the style sheet.
_TOKEN = re.compile(
    r"(?P<c>#[^\n]*)"
    r'|(?P<s>"""(?s:.*?)"""|\b[bfr]"[^"\n]*"|"[^"\n]*")'
    r"|(?<=def )(?P<d>\w+)"
    rf"|\b(?P<k>{_KEYWORDS})\b"
    r"|\b(?P<b>self|str|None)\b"
    r"|\b(?P<n>\d+)\b"
)


def shown(function: cabc.Callable[..., t.Any]) -> Markup:
    """The source of a function, with what a style sheet needs to colour it."""
    text = textwrap.dedent(inspect.getsource(function)).rstrip("\n")
    parts, end = [], 0
    for token in _TOKEN.finditer(text):
        parts.append(escape(text[end : token.start()]))
        name, end = token.lastgroup, token.end()
        parts.append(Markup('<span class="{}">{}</span>').format(name, token[0]))
    return Markup("").join([*parts, escape(text[end:])])
