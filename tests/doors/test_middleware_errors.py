"""The middleware when an application fails, or is taken over by the server."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import gc
import sys
import typing as t
import weakref

import middleware_site
import pytest
import redis
from gateway import changing
from gateway import Site
from middleware_site import Body
from middleware_site import Boom
from middleware_site import count
from visitors import names
from werkzeug.debug import DebuggedApplication
from wsgi_apps import App
from wsgi_apps import Environ
from wsgi_apps import plain
from wsgi_apps import SHAPES
from wsgi_apps import TEXT

from wsgi_redis_session import get_session
from wsgi_redis_session import NotSerializable
from wsgi_redis_session import SessionEvent

site = middleware_site.site


@pytest.mark.parametrize("first_part", [[], [b""]])
def test_error_page_replaces_a_head_that_has_not_left_and_keeps_the_cookie(
    site: Site, first_part: list[bytes]
) -> None:
    errors = []

    def app(environ: Environ, start_response: t.Any) -> cabc.Iterator[bytes]:
        count(environ)
        start_response("200 OK", [TEXT, ("X-First", "1")])
        yield from first_part
        try:
            raise Boom
        except Boom as error:
            errors.append(weakref.ref(error))
            start_response("500 Sorry", [TEXT], sys.exc_info())
        # Nobody keeps the exception and its frames alive.
        assert errors[0]() is None
        yield b"sorry"

    answer = site.get(app)
    assert (answer.status, answer.body) == ("500 Sorry", b"sorry")
    assert len(answer.cookies) == 1
    assert answer.all("x-first") == []
    assert site.data() == {"visits": 1}


@pytest.fixture
def _no_garbage_collection() -> cabc.Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_garbage_collection")
def test_error_is_raised_again_when_the_head_has_left(site: Site) -> None:
    errors = []

    def app(environ: Environ, start_response: t.Any) -> cabc.Iterator[bytes]:
        count(environ)
        start_response("200 OK", [TEXT])
        yield b"sent"
        try:
            raise Boom
        except Boom as error:
            errors.append(weakref.ref(error))
            start_response("500 Sorry", [TEXT], sys.exc_info())
        yield b"never"

    is_the_same = False
    try:
        site.get(app)
    except Boom as error:
        is_the_same = error is errors[0]()
    assert is_the_same
    # Nobody keeps the exception and its frames alive.
    assert errors[0]() is None
    answer = site.gateway.answer
    assert (answer.status, answer.body) == ("200 OK", b"sent")
    assert len(answer.cookies) == 1


def test_error_page_for_a_session_that_cannot_be_saved_can_be_written(
    site: Site, db: redis.Redis
) -> None:
    def app(environ: Environ, start_response: t.Any) -> list[bytes]:
        get_session(environ)["broken"] = object()
        try:
            start_response("200 OK", [TEXT])(b"welcome")
        except NotSerializable:
            start_response("500 Sorry", [TEXT], sys.exc_info())(b"sorry")
        return []

    answer = site.get(app)
    assert (answer.status, answer.body) == ("500 Sorry", b"sorry")
    assert answer.cookies == []
    assert db.keys() == []


class Timeout(BaseException):
    """As gevent raises it in the middle of whatever runs."""


def fail_at_once(environ: Environ, start_response: t.Any) -> t.NoReturn:
    fail(environ)


def fail_after_start(environ: Environ, start_response: t.Any) -> t.NoReturn:
    start_response("200 OK", [TEXT])
    fail(environ)


def fail_after_write(environ: Environ, start_response: t.Any) -> t.NoReturn:
    start_response("200 OK", [TEXT])(b"sent")
    fail(environ)


def fail_before_first_part(
    environ: Environ, start_response: t.Any
) -> cabc.Iterator[bytes]:
    start_response("200 OK", [TEXT])
    yield fail(environ)


def fail_before_iteration(environ: Environ, start_response: t.Any) -> t.Any:
    class Body:
        def __iter__(self) -> t.NoReturn:
            fail(environ)

    start_response("200 OK", [TEXT])
    return Body()


def fail_in_mid_stream(environ: Environ, start_response: t.Any) -> cabc.Iterator[bytes]:
    start_response("200 OK", [TEXT])
    yield b"sent"
    fail(environ)


def fail(environ: Environ) -> t.NoReturn:
    get_session(environ)["half"] = True
    raise environ["test.error"]


WITHOUT_BYTES = [
    fail_at_once,
    fail_after_start,
    fail_before_first_part,
    fail_before_iteration,
]
AFTER_BYTES = [fail_after_write, fail_in_mid_stream]


@pytest.mark.parametrize("app", [*WITHOUT_BYTES, *AFTER_BYTES])
@pytest.mark.parametrize(
    "error", [Boom(), KeyboardInterrupt(), SystemExit(), GeneratorExit(), Timeout()]
)
def test_error_is_passed_on_unchanged_and_nothing_is_saved(
    site: Site, app: App, error: BaseException
) -> None:
    site.login()
    environ = site.gateway.environ(**{"test.error": error})
    with pytest.raises(type(error)) as caught:
        site.get(app, environ)
    assert caught.value is error
    assert site.gateway.answer.body == (b"sent" if app in AFTER_BYTES else b"")
    assert ("start" in site.gateway.answer.journal) == (app in AFTER_BYTES)
    assert site.data() == {"user": "ada"}
    assert site.pool_is_idle()


def test_timeout_in_close_is_passed_on_and_nothing_more_is_saved(site: Site) -> None:
    class Interrupted(Body):
        def close(self) -> None:
            raise Timeout

    def body(environ: Environ) -> Body:
        return Interrupted(environ, bytes, lambda: count(environ))

    site.login()
    site.gateway.parts = 2
    with pytest.raises(Timeout):
        site.get(plain(body))
    assert site.data() == {"user": "ada"}


@pytest.mark.parametrize("app", WITHOUT_BYTES)
def test_layer_around_can_answer_in_place_of_an_application_that_failed(
    site: Site, app: App
) -> None:
    environ = site.gateway.environ(**{"test.error": Boom("went wrong")})
    answer = site.gateway.get(DebuggedApplication(site.wrap(app)), environ)
    assert answer.status == "500 INTERNAL SERVER ERROR"
    assert b"went wrong" in answer.body
    assert answer.cookies == []


@pytest.mark.parametrize("app", WITHOUT_BYTES)
def test_layer_around_can_try_a_failed_application_again(site: Site, app: App) -> None:
    attempts = []

    def inner(environ: Environ, start_response: t.Any) -> t.Any:
        attempts.append(get_session(environ))
        if len(attempts) == 1:
            return app(environ, start_response)
        return plain(lambda environ: [count(environ)])(environ, start_response)

    def retrying(environ: Environ, start_response: t.Any) -> t.Any:
        body: t.Any = ()
        try:
            body = wrapped(environ, start_response)
            return [*body]
        except Boom:
            getattr(body, "close", bool)()
            return wrapped(environ, start_response)

    wrapped = site.wrap(inner)
    environ = site.gateway.environ(**{"test.error": Boom()})
    answer = site.gateway.get(retrying, environ)
    assert answer.body == b"1"
    assert len(answer.cookies) == 1
    assert site.data() == {"visits": 1}


def taken_over_by_exception(environ: Environ, start_response: t.Any) -> t.NoReturn:
    count(environ)
    raise environ["test.stop"]


def taken_over_after_start(environ: Environ, start_response: t.Any) -> t.NoReturn:
    start_response("101 Switching Protocols", [])
    count(environ)
    raise environ["test.stop"]


@pytest.mark.parametrize("app", [taken_over_by_exception, taken_over_after_start])
def test_taken_over_connection_saves_and_passes_the_very_same_exception_on(
    site: Site, app: App
) -> None:
    site.login()
    environ = site.gateway.environ(**{"test.stop": StopIteration("taken over")})
    with pytest.raises(StopIteration) as caught:
        site.get(app, environ)
    assert caught.value is environ["test.stop"]
    assert site.gateway.answer.journal == []
    assert site.data() == {"user": "ada", "visits": 1}
    assert site.pool_is_idle()


@pytest.mark.parametrize("body", [[], (), object(), None])
def test_taken_over_connection_saves_and_passes_the_very_same_object_on(
    site: Site, body: t.Any
) -> None:
    def app(environ: Environ, start_response: t.Any) -> t.Any:
        count(environ)
        return body

    site.login()
    site.gateway.iterates = False
    answer = site.get(app)
    assert answer.result is body
    assert answer.journal == []
    assert site.data() == {"user": "ada", "visits": 1}


def test_taken_over_connection_whose_body_is_iterated_over_saves(site: Site) -> None:
    def app(environ: Environ, start_response: t.Any) -> cabc.Iterator[bytes]:
        count(environ)
        yield from ()

    site.login()
    with pytest.raises(AssertionError, match=r"before start_response"):
        site.get(app)
    assert site.data() == {"user": "ada", "visits": 1}


def test_new_session_of_a_taken_over_connection_is_reported(
    site: Site, events: list[SessionEvent], db: redis.Redis
) -> None:
    environ = site.gateway.environ(**{"test.stop": StopIteration()})
    with pytest.raises(StopIteration) as caught:
        site.get(taken_over_by_exception, environ)
    assert caught.value is environ["test.stop"]
    assert names(events) == ["late"]
    assert db.keys() == []


@pytest.mark.parametrize(
    "first",
    [
        SHAPES["list_"](count),
        SHAPES["generator"](count),
        SHAPES["sized"](count),
        fail_at_once,
        fail_after_start,
        fail_in_mid_stream,
        taken_over_after_start,
        changing(lambda session: session.update(broken=object())),
    ],
)
def test_reused_environment_never_brings_another_visitors_session(
    site: Site, first: App
) -> None:
    site.login(user="ada")
    environ = site.gateway.environ(
        **{"test.error": Boom(), "test.stop": StopIteration()}
    )
    with contextlib.suppress(Boom, StopIteration, NotSerializable):
        site.get(first, environ)
    site.gateway.jar.clear()
    del environ["HTTP_COOKIE"]
    site.get(changing(lambda session: session.update(seen=dict(session))), environ)
    assert site.data() == {"seen": {}}
