"""What the page is made of: what it shows of one visitor, and its templates."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime
import functools
import json
import typing as t
import zlib
from importlib import resources

import jinja2
from markupsafe import Markup

from ..events import SessionEvent
from ..store.survey import Entry
from . import acts
from .forgery import forged
from .naive import NaiveStore
from .server import Switch
from .source import shown
from .window import content
from .window import duration

_STATIC = resources.files(__package__).joinpath("static")

#: What never changes while the demo runs, by path: the type, and the text.
ASSETS = {
    f"/{name}": (mimetype, _STATIC.joinpath(name).read_text("utf-8"))
    for name, mimetype in (
        ("demo.css", "text/css"),
        ("experiments.css", "text/css"),
        ("demo.js", "text/javascript"),
        ("experiments.js", "text/javascript"),
        ("favicon.svg", "image/svg+xml"),
    )
}
ASSETS["/favicon.ico"] = ASSETS["/favicon.svg"]


class Part(t.NamedTuple):
    """One part of the cookie, between two dots."""

    name: str
    text: str
    meaning: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
    """What the page shows of one visitor's session. Times are in seconds."""

    #: The server behind the page, as ``Valkey 9.1.2``.
    server: str
    #: The page's own address, with a slash at its end.
    url: str
    session_id: str
    #: The session's id before the visitor logged in.
    id_before_login: str | None
    new: bool
    permanent: bool
    user: str | None
    #: Where the user is logged in: what calls itself so, its address, whether it is
    #: this one.
    devices: cabc.Sequence[cabc.Mapping[str, t.Any]]
    visits: int
    age: float
    #: What is stored, or ``None`` where that is nothing yet.
    entry: Entry | None
    #: What everybody's sessions are, by key.
    entries: cabc.Mapping[str, Entry]
    events: cabc.Sequence[SessionEvent]
    idle_timeout: float
    permanent_lifetime: float
    lifetime: float
    cookie_name: str
    #: The value of the visitor's cookie, "" where there is none of ours.
    cookie: str
    #: All that is in the session, as the application sees it.
    session: cabc.Mapping[str, t.Any]
    #: What the visitor has stored.
    values: cabc.Mapping[str, t.Any]
    key_prefix: str
    #: Whether the demo may stop the server, because it has started it.
    has_switch: bool

    @property
    def product(self) -> str:
        """The server without its version."""
        return self.server.split(" ")[0]

    @property
    def others(self) -> dict[str, Entry]:
        """What is stored beside the visitor's own session."""
        own = self.entry.key if self.entry else ""
        return {key: entry for key, entry in self.entries.items() if key != own}

    @property
    def greeting(self) -> str:
        """Who the visitor is."""
        return f"Hello, {self.user}" if self.user else "Hello, stranger"

    @property
    def timeout(self) -> float:
        """How long the session lives after the last visit."""
        return self.permanent_lifetime if self.permanent else self.idle_timeout

    @property
    def left(self) -> str:
        """How long it still lives, by the server's own count."""
        if self.entry is None:
            return f"{duration(self.timeout)} from now"
        return duration(self.entry.ttl / 1000)

    @property
    def cookie_parts(self) -> list[Part]:
        """The cookie taken apart. What is secret in it is not shown."""
        if not self.cookie:
            return []
        sid, created, kind, drawn, issued, signature = self.cookie.split(".")
        kinds = {"p": "outlives the browser", "s": "ends with the browser"}
        return [
            Part("id", f"{sid[:4]}…", "the secret: 256 random bits"),
            Part("began", created, f"the session began {_time(created)}"),
            Part("kind", kind, kinds[kind]),
            Part("drawn", drawn, f"this id was drawn {_time(drawn)}"),
            Part("issued", issued, "when this cookie was written"),
            Part("signed", f"{signature[:6]}…", "HMAC-SHA256 of all the rest"),
        ]


@functools.cache
def code() -> dict[str, Markup]:
    """The code that the page shows, by the name that its templates use."""
    functions = (
        acts.save_setting,
        acts.write_draft,
        acts.poll,
        acts.log_in,
        acts.log_out,
        acts.log_out_elsewhere,
        acts.look,
        forged,
        NaiveStore.answer,
        Switch.stop,
    )
    return {function.__name__: shown(function) for function in functions}


def render(view: View) -> str:
    """The whole page."""
    return _TEMPLATES.get_template("page.html").render(view=view, code=code())


def render_live(view: View) -> str:
    """The parts of the page that change while it is open."""
    return _TEMPLATES.get_template("live.html").render(view=view)


def render_error(status: int, title: str, text: str) -> str:
    """A page that says what did not work."""
    template = _TEMPLATES.get_template("error.html")
    return template.render(status=status, title=title, text=text)


def plain(view: View) -> str:
    """The same for a command line."""
    user = view.user or "nobody"
    state = f"new={view.new} permanent={view.permanent}"
    return (
        f"visits      {view.visits}\n"
        f"logged in   {user}\n"
        f"session.id  {view.session_id}\n"
        f"flags       {state}\n"
        f"time left   {view.left}\n"
        f"names       {', '.join(['visits', *view.values])}\n"
    )


def as_json(value: object, indent: int | None = None) -> str:
    """A value as people read it; what JSON does not have, as Python writes it."""
    return json.dumps(value, indent=indent, ensure_ascii=False, default=repr)


def as_text(value: object) -> str:
    """A value as it was entered."""
    return value if isinstance(value, str) else as_json(value)


def _time(milliseconds: str) -> str:
    seconds = int(milliseconds, 16) / 1000
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%H:%M:%S} UTC"


_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader(__package__),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {
    "as_json": as_json,
    "as_text": as_text,
    "content": content,
    "duration": duration,
    "fingerprint": lambda entry: f"{zlib.crc32(entry.value):x}",
}
