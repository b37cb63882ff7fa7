"""The middleware between other layers, in threads, and beside itself."""

from __future__ import annotations

import collections.abc as cabc
import threading
import typing as t

import middleware_site
import pytest
import redis
from gateway import Gateway
from gateway import Headers
from gateway import Site
from middleware_site import Body
from middleware_site import count
from wsgi_apps import App
from wsgi_apps import Environ
from wsgi_apps import plain
from wsgi_apps import TEXT

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware

MakeManager = cabc.Callable[..., SessionManager]

site = middleware_site.site


def copying(app: App) -> App:
    return lambda environ, start_response: app(dict(environ), start_response)


def rebinding(app: App) -> App:
    def layer(environ: Environ, start_response: t.Any) -> t.Any:
        for part in app(environ, start_response):
            environ["wsgi_redis_session.session"] = "something else"
            yield part
        environ.clear()

    return layer


@pytest.mark.parametrize("layer", [copying, rebinding])
def test_session_is_kept_whatever_an_inner_layer_does_with_the_environment(
    site: Site, layer: cabc.Callable[[App], App]
) -> None:
    for visits in (1, 2):
        site.get(layer(plain(lambda environ: [count(environ)])))
        assert site.data() == {"visits": visits}


def test_call_iteration_and_close_may_be_in_different_threads(site: Site) -> None:
    class Elsewhere:
        """A body that is handled in a new thread each time."""

        def __init__(self, body: t.Any) -> None:
            self.body = body

        def __iter__(self) -> Elsewhere:
            return self

        def __next__(self) -> bytes:
            return in_new_thread(lambda: next(self.body))

        def close(self) -> None:
            in_new_thread(self.body.close)

    def in_new_threads(app: App) -> App:
        return lambda environ, start_response: Elsewhere(
            in_new_thread(lambda: app(environ, start_response))
        )

    def body(environ: Environ) -> Body:
        return Body(environ, *[lambda: count(environ)] * 3)

    for visits in (3, 6):
        site.gateway.get(in_new_threads(site.wrap(plain(body))))
        assert site.data() == {"visits": visits}


def in_new_thread(call: cabc.Callable[[], t.Any]) -> t.Any:
    done: list[t.Any] = []

    def run() -> None:
        try:
            done.append(call())
        except BaseException as error:
            done.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(done[0], BaseException):
        raise done[0]
    return done[0]


def test_requests_that_alternate_in_one_thread_keep_apart(site: Site) -> None:
    def body(environ: Environ) -> cabc.Iterator[bytes]:
        for _ in range(3):
            get_session(environ).setdefault("mine", environ["test.visitor"])
            yield environ["test.visitor"].encode()

    app = site.wrap(plain(body))
    heads: dict[str, Headers] = {}

    def begin(visitor: str) -> t.Any:
        def start_response(status: str, headers: Headers) -> None:
            heads[visitor] = headers

        return app(site.gateway.environ(**{"test.visitor": visitor}), start_response)

    bodies = {visitor: begin(visitor) for visitor in ("ada", "eve")}
    parts = [next(bodies[visitor]) for _ in range(3) for visitor in bodies]
    assert parts == [b"ada", b"eve"] * 3
    for visitor, stream in bodies.items():
        stream.close()
        cookie = dict(heads[visitor])["Set-Cookie"].partition(";")[0]
        site.gateway.jar = dict([cookie.split("=", 1)])
        assert site.data() == {"mine": visitor}


def test_inner_layer_of_the_same_cookie_leaves_the_session_to_the_outer_one(
    site: Site, db: redis.Redis
) -> None:
    def between(environ: Environ, start_response: t.Any) -> t.Any:
        get_session(environ)["between"] = True
        return inner(environ, start_response)

    inner = site.wrap(plain(lambda environ: [count(environ)]))
    assert len(site.get(between).cookies) == 1
    assert site.get(between).cookies == []
    assert site.data() == {"between": True, "visits": 2}
    assert len(db.keys()) == 1


def test_layers_of_two_cookies_are_two_sessions(
    site: Site, make_manager: MakeManager
) -> None:
    key = "wsgi_redis_session.admin"

    def body(environ: Environ) -> list[bytes]:
        get_session(environ)["who"] = "visitor"
        get_session(environ, key)["who"] = "admin"
        return [b"."]

    admin = Site(make_manager(cookie_name="admin", key_prefix="admin:"))
    app = SessionMiddleware(plain(body), admin.sessions, environ_key=key)
    answer = site.get(app)
    assert {cookie.partition("=")[0] for cookie in answer.cookies} == {
        "session",
        "admin",
    }
    assert answer.all("cache-control") == ["no-store"]
    assert answer.all("vary") == ["Cookie"]
    admin.gateway = site.gateway
    assert site.data() == {"who": "visitor"}
    assert admin.data() == {"who": "admin"}


def test_request_that_the_application_makes_to_its_own_site_has_the_same_session(
    site: Site,
) -> None:
    def app(environ: Environ, start_response: t.Any) -> list[bytes]:
        count(environ)
        if environ["PATH_INFO"] == "/":
            inner = Gateway().get(whole, environ | {"PATH_INFO": "/part"})
            assert inner.cookies == []
        start_response("200 OK", [TEXT])
        return [count(environ)]

    whole = site.wrap(app)
    answer = site.gateway.get(whole, site.gateway.environ(PATH_INFO="/"))
    assert len(answer.cookies) == 1
    assert site.data() == {"visits": 4}


def test_missing_middleware_is_named(site: Site) -> None:
    with pytest.raises(LookupError, match="SessionMiddleware"):
        site.gateway.get(plain(lambda environ: [count(environ)]))
