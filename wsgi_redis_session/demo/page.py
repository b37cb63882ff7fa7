"""What the demo's page looks like. Every value that goes into it is escaped."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
from importlib import resources

from markupsafe import Markup


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
    visits: int
    age: float
    #: What is left by Redis' own count, or ``None`` where nothing is stored yet.
    left: float | None
    idle_timeout: float
    permanent_lifetime: float
    lifetime: float
    cookie_name: str
    #: What the visitor has stored.
    values: cabc.Mapping[str, object]
    key_prefix: str
    #: How many bytes are stored.
    size: int
    #: The names that are stored, and how many bytes each value takes.
    names: cabc.Mapping[str, int]


def duration(seconds: float) -> str:
    """A length of time in its two largest units, as ``23 h 59 min``."""
    rest = max(round(seconds), 0)
    counts = []
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        counts.append((count, "day" if (unit, count) == ("days", 1) else unit))
    while len(counts) > 1 and not counts[0][0]:
        del counts[0]
    words = [f"{count} {unit}" for count, unit in counts[:2] if count]
    return " ".join(words) or "0 s"


def render(view: View) -> Markup:
    """The whole page."""
    body = Markup("").join(
        [_head(view), _session(view), _login(view), _values(view), _redis(view)]
    )
    return _document(_greeting(view), body + _second_visitor(view))


def render_error(code: int, title: str, text: str) -> Markup:
    """A page that says what did not work."""
    return _document(title, _ERROR.format(code=code, title=title, text=text))


def plain(view: View) -> str:
    """The same for a command line."""
    user = view.user or "nobody"
    state = f"new={view.new} permanent={view.permanent}"
    return (
        f"visits      {view.visits}\n"
        f"logged in   {user}\n"
        f"session.id  {view.session_id}\n"
        f"flags       {state}\n"
        f"time left   {_time_left(view)}\n"
        f"names       {', '.join(['visits', *view.values])}\n"
    )


def _document(title: str, body: Markup) -> Markup:
    return _DOCUMENT.format(title=title, body=body)


def _greeting(view: View) -> str:
    return f"Hello, {view.user}" if view.user else "Hello, stranger"


def _time_left(view: View) -> str:
    if view.left is None:
        return f"{duration(_timeout(view))} from now"
    return duration(view.left)


def _timeout(view: View) -> float:
    return view.permanent_lifetime if view.permanent else view.idle_timeout


def _head(view: View) -> Markup:
    return _HEAD.format(
        greeting=_greeting(view),
        server=view.server,
        visits=view.visits,
        counted="visit so far" if view.visits == 1 else "visits so far",
    )


def _session(view: View) -> Markup:
    stored = "this response stores it" if view.new else f"it was in {view.server}"
    kept = (
        "outlives the browser, but ends"
        if view.permanent
        else "ends with the browser, or"
    )
    return _SESSION.format(
        session_id=view.session_id,
        new=view.new,
        stored=stored,
        permanent=view.permanent,
        kept=f"{kept} {duration(_timeout(view))} after the last visit",
        age=duration(view.age),
        left=_time_left(view),
        anew="each visit starts it anew"
        if view.new
        else "by the server's count; this visit starts it anew",
        lifetime=duration(view.lifetime),
        keep="" if view.permanent else "1",
        button="End with the browser" if view.permanent else "Remember me",
        other=duration(
            view.idle_timeout if view.permanent else view.permanent_lifetime
        ),
    )


def _login(view: View) -> Markup:
    if view.user is None:
        return _LOGGED_OUT.format(session_id=view.session_id)
    ids = Markup("")
    if view.id_before_login:
        ids = _NEW_ID.format(before=view.id_before_login, now=view.session_id)
    return _LOGGED_IN.format(user=view.user, ids=ids)


def _values(view: View) -> Markup:
    rows = [
        _VALUE.format(name=name, value=value, number=number)
        for number, (name, value) in enumerate(view.values.items())
    ]
    return _VALUES.format(rows=Markup("").join(rows) or _NO_VALUES)


def _redis(view: View) -> Markup:
    if view.new:
        return _REDIS.format(content=_NOTHING_STORED, server=view.server)
    rows = [
        _NAME.format(name=name, size=size, unit="byte" if size == 1 else "bytes")
        for name, size in view.names.items()
    ]
    content = _STORED.format(
        prefix=view.key_prefix,
        session_id=view.session_id,
        size=view.size,
        left=_time_left(view),
        rows=Markup("").join(rows),
    )
    return _REDIS.format(content=content, server=view.server)


def _second_visitor(view: View) -> Markup:
    return _SECOND_VISITOR.format(url=view.url, cookie_name=view.cookie_name)


_DOCUMENT = Markup("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · wsgi-redis-session</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/style.css">
</head>
<body>
<main>
{body}
</main>
</body>
</html>
""")

_ERROR = Markup("""\
<section class="card error">
<p class="brand">{code}</p>
<h1>{title}</h1>
<p>{text}</p>
<p><a href="/">Back to the page</a></p>
</section>
""")

_HEAD = Markup("""\
<header>
<div>
<p class="brand">wsgi-redis-session</p>
<h1 id="greeting">{greeting}</h1>
<p class="lead">This page remembers you. Your browser holds nothing but a signed
cookie; the rest is in <span id="server">{server}</span>.</p>
</div>
<p class="count"><strong id="visits">{visits}</strong> <span>{counted}</span></p>
</header>
""")

_SESSION = Markup("""\
<section class="card session">
<h2>Your session</h2>
<dl>
<div><dt>session.id</dt><dd><code id="session-id">{session_id}</code>
<small>a one-way digest of the secret in your cookie: safe to show</small></dd></div>
<div><dt>session.new</dt><dd><b id="new">{new}</b> <small>{stored}</small></dd></div>
<div><dt>session.permanent</dt><dd><b id="permanent">{permanent}</b>
<small>{kept}</small></dd></div>
<div><dt>Age</dt><dd><b id="age">{age}</b>
<small>it ends at {lifetime}, however much it is used</small></dd></div>
<div><dt>Time left</dt><dd><b id="left">{left}</b>
<small>{anew}</small></dd></div>
</dl>
<form method="post" action="/permanent" class="line">
<input type="hidden" name="keep" value="{keep}">
<button class="quiet">{button}</button> <small>for {other} after each visit</small>
</form>
</section>
""")

_LOGGED_OUT = Markup("""\
<section class="card login">
<h2>Log in</h2>
<p>As anybody: there is no password here. Watch <code>session.id</code>: logging in
changes it, so an id that somebody planted in your browser is worth nothing.</p>
<form method="post" action="/login" class="line">
<input name="user" aria-label="Your name" placeholder="Your name" required
 maxlength="40" autocomplete="username">
<button>Log in</button>
</form>
</section>
""")

_LOGGED_IN = Markup("""\
<section class="card login">
<h2>Logged in as <span id="user">{user}</span></h2>
{ids}
<form method="post" action="/logout" class="line">
<button>Log out</button> <small>ends the session: its cookie never works again</small>
</form>
<form method="post" action="/login" class="line">
<input name="user" aria-label="Another name" placeholder="Another name" required
 maxlength="40" autocomplete="off">
<button class="quiet">Switch</button>
</form>
</section>
""")

_NEW_ID = Markup("""\
<dl>
<div><dt>Before</dt><dd><del><code id="id-before">{before}</code></del></dd></div>
<div><dt>Since</dt><dd><code>{now}</code></dd></div>
</dl>
<p>The data came along; the old cookie is dead.</p>
""")

_VALUES = Markup("""\
<section class="card values">
<h2>Your values</h2>
{rows}
<form method="post" action="/store" class="line new">
<input name="name" aria-label="Name" placeholder="Name" required maxlength="40"
 autocomplete="off" autocapitalize="off">
<input name="value" aria-label="Value" placeholder="Value" maxlength="1000"
 autocomplete="off">
<button>Store</button>
</form>
</section>
""")

_NO_VALUES = Markup("""\
<p>Nothing yet. What you store here is <code>session["name"] = "value"</code> in the
application.</p>
""")

_VALUE = Markup("""\
<form method="post" action="/store" class="line value">
<input type="hidden" name="name" value="{name}">
<label for="value-{number}">{name}</label>
<input id="value-{number}" name="value" value="{value}" maxlength="1000"
 autocomplete="off">
<button class="quiet">Change</button>
<button class="quiet" formaction="/delete">Delete</button>
</form>
""")

_REDIS = Markup("""\
<section class="card stored">
<h2>In {server}</h2>
{content}
</section>
""")

_NOTHING_STORED = Markup("""\
<p>Nothing of yours yet: the first value that the application stores makes the key,
and the response that carries it sets the cookie. Load this page again to see it.</p>
""")

_STORED = Markup("""\
<dl>
<div><dt>Key</dt>
<dd><code id="key"><span>{prefix}</span><wbr><span>{session_id}</span></code>
<small>ends in session.id: no usable cookie is in there</small></dd></div>
<div><dt>Size</dt><dd><b>{size} bytes</b>
<small>these names and their packed values</small></dd></div>
<div><dt>Expires in</dt><dd><b>{left}</b></dd></div>
</dl>
<ul>
{rows}</ul>
""")

_NAME = Markup("<li><code>{name}</code> {size} {unit}</li>\n")

_SECOND_VISITOR = Markup("""\
<section class="card second">
<h2>A second visitor</h2>
<p>Open the page in a private window, or be another browser on the command line. It has
its own cookie, so its own counter, and its id changes with the login as yours does:</p>
<pre><code>curl -c jar -b jar {url}plain
curl -c jar -b jar -d user=ada {url}login
curl -c jar -b jar {url}plain
curl -c jar -b jar -X POST {url}logout</code></pre>
<p>The file <code>jar</code> then holds all that a browser has: the cookie
<code>{cookie_name}</code>, a signed session id. Change one letter of it, and you are
a stranger again.</p>
</section>
""")

ICON = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect width="32" height="32" rx="8" fill="#0f766e"/>
<circle cx="13" cy="16" r="5" fill="none" stroke="#fff" stroke-width="3"/>
<path d="M18 16h9m-3 0v5" fill="none" stroke="#fff" stroke-width="3"/>
</svg>
"""

STYLE = resources.files(__package__).joinpath("static", "demo.css").read_text("utf-8")
