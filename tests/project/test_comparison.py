"""The table in README.rst that compares us with others: each mark is what happens."""

from __future__ import annotations

import collections.abc as cabc
import pickle
import re
import typing as t

import flask
import flask_session
import pytest
import redis
from beaker.middleware import SessionMiddleware as BeakerMiddleware
from conftest import SECRET_KEY
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware as DjangoMiddleware
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.test import override_settings
from framework_sites import django_site
from readme import README
from werkzeug.test import Client

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session.local_server import LocalServer

Act = cabc.Callable[[t.Any], object]

#: What a request does with its session, in the WSGI environment.
ACT = "test.act"

WRITES = {"set", "setex", "psetex", "expire", "pexpire", "getex", "eval", "evalsha"}


class Library:
    """A site whose sessions a library keeps in Redis."""

    def __init__(self, app: t.Any, log_out: Act) -> None:
        self.app = app
        self.log_out = log_out

    def ask(self, cookie: str, act: Act) -> str:
        """One request with a ``Cookie`` header; the header of the next one."""
        client = Client(self.app, use_cookies=False)
        environ = {ACT: act, "HTTP_COOKIE": cookie}
        response = client.get("/", environ_overrides=environ)
        given = response.headers.getlist("Set-Cookie")
        return given[-1].partition(";")[0] if given else cookie

    def store(self, **values: t.Any) -> str:
        """The cookie of a visitor who has these values in the session."""
        return self.ask("", lambda session: session.update(dict(values)))

    def look(self, cookie: str) -> dict[str, t.Any]:
        """What a request with this cookie finds."""
        found: dict[str, t.Any] = {}
        self.ask(cookie, lambda session: found.update(dict(session.items())))
        return found


def ours(url: str) -> Library:
    def app(environ: t.Any, start_response: t.Any) -> list[bytes]:
        environ[ACT](get_session(environ))
        start_response("200 OK", [])
        return [b""]

    sessions = SessionManager(url, secret_key=SECRET_KEY)
    return Library(SessionMiddleware(app, sessions), lambda session: session.destroy())


def with_flask_session(url: str) -> Library:
    app = flask.Flask("with_flask_session")
    app.config.update(
        SECRET_KEY=SECRET_KEY,
        SESSION_TYPE="redis",
        SESSION_REDIS=redis.Redis.from_url(url),
    )
    flask_session.Session(app)

    @app.get("/")
    def index() -> str:
        flask.request.environ[ACT](flask.session)
        return ""

    return Library(app, lambda session: session.clear())


def with_beaker(url: str) -> Library:
    def app(environ: t.Any, start_response: t.Any) -> list[bytes]:
        environ[ACT](environ["beaker.session"])
        start_response("200 OK", [])
        return [b""]

    options = {"session.type": "ext:redis", "session.url": url, "session.auto": True}
    return Library(BeakerMiddleware(app, options), lambda session: session.delete())


def with_django(url: str) -> Library:
    def page(request: t.Any) -> HttpResponse:
        request.environ[ACT](request.session)
        return HttpResponse("")

    def app(environ: t.Any, start_response: t.Any) -> list[bytes]:
        try:
            response = middleware(WSGIRequest(environ))
        except SessionInterrupted:  # as its handler answers
            response = HttpResponse(status=400)
        given = response.cookies.values()
        cookies = [("Set-Cookie", str(cookie.OutputString())) for cookie in given]
        start_response(f"{response.status_code} Done", cookies)
        return [response.content]

    middleware = DjangoMiddleware(page)
    return Library(app, lambda session: session.flush())


LIBRARIES = {
    "This library": ours,
    "Flask-Session": with_flask_session,
    "Beaker": with_beaker,
    "Django": with_django,
}


@pytest.fixture
def own_url(own_server: LocalServer) -> cabc.Iterator[str]:
    """The server that Django's sessions are kept in as well."""
    django_site(raises=False)  # it configures Django once for all tests
    backend = "django.core.cache.backends.redis.RedisCache"
    with override_settings(
        SESSION_ENGINE="django.contrib.sessions.backends.cache",
        CACHES={"default": {"BACKEND": backend, "LOCATION": own_server.url}},
    ):
        yield own_server.url


# What is compared: each says whether it is so.


def keeps_both_changes(library: Library, server: LocalServer) -> bool:
    cookie = library.store(user="ada")

    def slow(session: t.Any) -> None:
        assert session["user"] == "ada"
        library.ask(cookie, lambda session: session.update({"fast": 1}))
        session["slow"] = 1

    library.ask(cookie, slow)
    return library.look(cookie).keys() >= {"fast", "slow"}


def stays_logged_out(library: Library, server: LocalServer) -> bool:
    cookie = library.store(user="ada")

    def slow(session: t.Any) -> None:
        assert session["user"] == "ada"
        library.ask(cookie, library.log_out)
        session["slow"] = 1

    library.ask(cookie, slow)
    return "user" not in library.look(cookie)


def saves_nested_changes(library: Library, server: LocalServer) -> bool:
    cookie = library.store(cart={"items": [1]})
    library.ask(cookie, lambda session: session["cart"]["items"].append(2))
    return bool(library.look(cookie)["cart"] == {"items": [1, 2]})


def writes_nothing_when_it_reads(library: Library, server: LocalServer) -> bool:
    cookie = library.store(user="ada")
    with redis.Redis(unix_socket_path=server.socket) as db:
        db.config_resetstat()
        library.look(cookie)
        done = {name.removeprefix("cmdstat_") for name in db.info("commandstats")}
    return not done & WRITES


def works_without_redis(library: Library, server: LocalServer) -> bool:
    cookie = library.store(user="ada")
    server.stop()
    seen = []
    try:
        library.ask(cookie, lambda session: seen.append(1))
    except redis.exceptions.RedisError:
        return False
    return seen == [1]


def keeps_no_usable_cookie(library: Library, server: LocalServer) -> bool:
    _, _, value = library.store(user="ada").partition("=")
    with redis.Redis(unix_socket_path=server.socket) as db:
        stored = b" ".join(key + b" " + db.dump(key) for key in db.scan_iter())
    parts = [part for part in re.split(r"[^\w-]", value) if len(part) >= 20]
    return not any(part.encode() in stored for part in parts)


def executes_no_pickle(library: Library, server: LocalServer) -> bool:
    cookie = library.store(user="ada")
    executed.clear()
    with redis.Redis(unix_socket_path=server.socket) as db:
        for key in db.scan_iter():
            db.set(key, pickle.dumps(Bomb()))
    library.look(cookie)
    return executed == []


executed: list[str] = []


class Bomb(dict[str, t.Any]):
    """What somebody who can write to Redis may leave there."""

    def __reduce__(self) -> t.Any:
        return go_off, ()


def go_off() -> dict[str, t.Any]:
    executed.append("the pickle")
    return {}


#: Each row of the table, by how it begins.
ROWS: dict[str, cabc.Callable[[Library, LocalServer], bool]] = {
    "Two requests at once": keeps_both_changes,
    "Logged out": stays_logged_out,
    "A change inside": saves_nested_changes,
    "A request that only reads": writes_nothing_when_it_reads,
    "Pages that do not use": works_without_redis,
    "What is in Redis": keeps_no_usable_cookie,
    "No pickle": executes_no_pickle,
}

MARKS = {"yes": True, "no": False}


def table() -> dict[str, dict[str, str]]:
    """The marks of README.rst: by row, and by the library at the head of the column."""
    found = re.findall(r"^    \* - (.+\n(?:      .+\n)+)", README, re.MULTILINE)
    rows = [re.split(r"\s+- ", row.strip()) for row in found]
    (head,) = [row for row in rows if row[1:] == list(LIBRARIES)]
    rows = [row for row in rows if len(row) == len(head) and row != head]
    return {
        " ".join(text.split()): dict(zip(LIBRARIES, marks, strict=True))
        for text, *marks in rows
    }


def test_every_row_of_the_table_is_tested() -> None:
    begins = sorted(begin for begin in ROWS for row in table() if row.startswith(begin))
    assert begins == sorted(ROWS)
    assert len(table()) == len(ROWS)


@pytest.mark.filterwarnings("ignore::beaker.exceptions.BeakerWarning")
@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize("begin", ROWS)
def test_mark_is_what_happens(
    own_url: str, own_server: LocalServer, begin: str, name: str
) -> None:
    (marks,) = [row for text, row in table().items() if text.startswith(begin)]
    library = LIBRARIES[name](own_url)
    assert ROWS[begin](library, own_server) is MARKS[marks[name]]
