"""What PEP 3333 asks of a middleware that saves a session and sets a cookie."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import gc
import io
import os
import sys
import threading
import typing as t
import weakref
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
import redis
from conftest import Clock
from gateway import Answer
from gateway import changing
from gateway import Gateway
from gateway import Headers
from gateway import Site
from werkzeug.debug import DebuggedApplication
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.middleware.lint import LintMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from wsgi_apps import App
from wsgi_apps import Environ
from wsgi_apps import LazyBody
from wsgi_apps import plain
from wsgi_apps import Shape
from wsgi_apps import SHAPES
from wsgi_apps import TEXT

from wsgi_redis_session import get_session
from wsgi_redis_session import HeadersAlreadySent
from wsgi_redis_session import NotSerializable
from wsgi_redis_session import Session
from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.local_server import LocalServer

MakeManager = cabc.Callable[..., SessionManager]

EVERY_SHAPE = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


class Witness(redis.Redis):
    """A client that notes in the gateway's journal when Redis has answered."""

    journal: list[str]

    def execute_command(self, *args: t.Any, **options: t.Any) -> t.Any:
        reply = super().execute_command(*args, **options)
        if args[0] in ("SET", "EVALSHA", "EVAL"):
            self.journal.append("saved")
        return reply


class Body:
    """A body that runs a step for each part, and notes that it was closed."""

    def __init__(self, environ: Environ, *steps: cabc.Callable[[], t.Any]) -> None:
        self.journal = environ["test.journal"]
        self.steps = steps

    def __iter__(self) -> cabc.Iterator[bytes]:
        for step in self.steps:
            yield step() or b"."

    def close(self) -> None:
        self.journal.append("closed")


@pytest.fixture
def site(manager: SessionManager) -> Site:
    return Site(manager)


def names(events: list[SessionEvent]) -> list[str]:
    return [event.name for event in events]


def commands(db: redis.Redis) -> dict[str, t.Any]:
    """How often each command was called; the one that asks does not count."""
    stats = db.info("commandstats")
    return {name: stats[name]["calls"] for name in stats if name != "cmdstat_info"}


def count(environ: Environ) -> bytes:
    session = get_session(environ)
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"]).encode()


def untouched(environ: Environ) -> bytes:
    return b"public"


@EVERY_SHAPE
def test_session_is_kept_however_the_application_responds(
    site: Site, shape: Shape
) -> None:
    first = site.get(shape(count))
    assert len(first.cookies) == 1
    second = site.get(shape(count))
    assert second.cookies == []
    assert second.status == first.status
    assert second.body == first.body.replace(b"1", b"2")
    assert site.data() == {"visits": 2}


@EVERY_SHAPE
def test_redis_has_answered_before_the_server_learns_anything(
    server: LocalServer, make_manager: MakeManager, shape: Shape
) -> None:
    client = Witness(unix_socket_path=server.socket)
    site = Site(make_manager(client))

    def app(environ: Environ, start_response: t.Any) -> t.Any:
        client.journal = environ["test.journal"]
        return shape(count)(environ, start_response)

    for _ in ("a new session", "a known session"):
        assert site.get(app).journal[:3] == ["saved", "start", "bytes"]


@EVERY_SHAPE
def test_untouched_session_costs_nothing_and_changes_nothing(
    site: Site, db: redis.Redis, shape: Shape
) -> None:
    bare = site.gateway.get(shape(untouched))
    site.login()
    calls = commands(db)
    answer = site.get(shape(untouched))
    assert commands(db) == calls
    assert (answer.status, answer.headers) == (bare.status, bare.headers)
    assert answer.parts == bare.parts


@EVERY_SHAPE
def test_session_that_cannot_be_saved_starts_no_response(
    site: Site, shape: Shape
) -> None:
    def step(environ: Environ) -> bytes:
        get_session(environ).update(fine=1, broken=object())
        return b"."

    site.login()
    with pytest.raises(NotSerializable, match="broken"):
        site.get(shape(step))
    assert site.gateway.answer.journal == []
    assert site.data() == {"user": "ada"}
    assert site.pool_is_idle()


@EVERY_SHAPE
@pytest.mark.parametrize("check", [validator, LintMiddleware])
def test_checkers_on_both_sides_find_nothing(
    site: Site, shape: Shape, check: cabc.Callable[[App], App]
) -> None:
    app = check(site.wrap(check(shape(count))))
    for visits in (1, 2):
        site.gateway.get(app)
        assert site.data() == {"visits": visits}


def test_each_part_is_passed_on_as_soon_as_it_is_made(site: Site) -> None:
    def app(environ: Environ) -> Body:
        def made() -> None:
            environ["test.journal"].append("made")

        return Body(environ, made, made, made)

    part = ["made", "bytes"]
    assert site.get(plain(app)).journal == ["made", "start", "bytes"] + part * 2 + [
        "closed"
    ]


@pytest.mark.parametrize("body", [[], [b"1"], [b"1", b"2"], (), (b"1",)])
def test_complete_body_reaches_the_server_as_the_very_same_object(
    site: Site, body: t.Any
) -> None:
    assert site.get(plain(lambda environ: count(environ) and body)).result is body


def test_length_of_a_body_is_known_to_the_server_if_the_application_knows_it(
    site: Site,
) -> None:
    sized = site.get(plain(lambda environ: LazyBody(lambda: count(environ))))
    assert len(sized.result) == 1
    unsized = site.get(plain(lambda environ: Body(environ, lambda: count(environ))))
    assert not isinstance(unsized.result, cabc.Sized)


def file_function(file: t.BinaryIO, size: int = 8192) -> FileWrapper:
    """A wrapper as uWSGI has it, which knows the file again by its identity."""
    return FileWrapper(file, size)


@pytest.mark.parametrize("wrapper", [FileWrapper, file_function])
def test_file_reaches_the_server_as_the_very_same_object(
    site: Site, wrapper: t.Any
) -> None:
    made = []

    def body(environ: Environ) -> t.Any:
        count(environ)
        made.append(environ["wsgi.file_wrapper"](io.BytesIO(b"content"), 3))
        return made[0]

    environ = site.gateway.environ(**{"wsgi.file_wrapper": wrapper})
    answer = site.get(plain(body), environ)
    assert answer.result is made[0]
    assert answer.parts == [b"con", b"ten", b"t"]
    assert len(answer.cookies) == 1


def test_file_of_the_server_is_known_even_if_an_inner_layer_brought_its_own(
    site: Site,
) -> None:
    file = FileWrapper(io.BytesIO(b"content"))

    def body(environ: Environ) -> FileWrapper:
        environ["wsgi.file_wrapper"] = file_function
        return file

    environ = site.gateway.environ(**{"wsgi.file_wrapper": FileWrapper})
    assert site.get(plain(body), environ).result is file


def test_headers_of_a_response_without_session_are_the_very_same_object(
    site: Site,
) -> None:
    headers = [TEXT]

    def app(environ: Environ, start_response: t.Any) -> list[bytes]:
        start_response("200 OK", headers)
        return [b"public"]

    site.login()
    assert site.get(app).headers is headers


def test_headers_of_the_application_are_not_changed_in_place(site: Site) -> None:
    headers = [TEXT, ("Cache-Control", "public"), ("Set-Cookie", "session=theirs")]
    before = list(headers)

    def app(environ: Environ, start_response: t.Any) -> list[bytes]:
        start_response("200 OK", headers)
        return [count(environ)]

    assert site.get(app).headers != before
    assert headers == before


def test_body_of_the_request_is_left_to_the_application(site: Site) -> None:
    class Untouchable:
        def __getattr__(self, name: str) -> t.NoReturn:
            raise AssertionError(f"wsgi.input.{name}")

    environ = site.gateway.environ(**{"wsgi.input": Untouchable()})
    assert site.get(plain(lambda environ: [count(environ)]), environ).body == b"1"


@pytest.mark.parametrize("first_part", [[], [b""], [b"sent"]])
def test_start_response_may_not_be_called_twice_without_an_error(
    site: Site, first_part: list[bytes]
) -> None:
    def app(environ: Environ, start_response: t.Any) -> cabc.Iterator[bytes]:
        start_response("200 OK", [TEXT])
        yield from first_part
        start_response("200 OK", [TEXT])
        yield b"never"

    with pytest.raises(AssertionError):
        site.get(app)


class Boom(Exception):
    """What goes wrong in an application."""


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


def streaming(*steps: cabc.Callable[[Session], t.Any]) -> App:
    """An application that takes each step after one part of its body."""

    def app(environ: Environ, start_response: t.Any) -> cabc.Iterator[bytes]:
        session = get_session(environ)
        start_response("200 OK", [TEXT])
        yield b"."
        for step in steps:
            step(session)
            yield b"."

    return app


@pytest.mark.parametrize("parts", [None, 2], ids=["exhausted", "content complete"])
def test_change_while_streaming_is_saved_at_the_end(
    site: Site, parts: int | None
) -> None:
    site.login(cart=["apple"])
    site.gateway.parts = parts
    site.get(streaming(lambda session: session["cart"].append("pear")))
    assert site.data() == {"cart": ["apple", "pear"]}


def test_change_at_the_very_end_of_a_stream_that_nobody_reads_is_saved(
    site: Site,
) -> None:
    def app(environ: Environ, start_response: t.Any) -> cabc.Iterator[bytes]:
        start_response("200 OK", [TEXT])
        try:
            yield b"."
            yield b"."
        finally:
            get_session(environ)["left"] = True

    site.login()
    site.gateway.parts = 1
    site.get(app)
    assert site.data() == {"user": "ada", "left": True}


@pytest.mark.parametrize(
    "step",
    [lambda session: session.update(late=1), lambda session: session.regenerate()],
    ids=["store", "regenerate"],
)
def test_new_session_while_streaming_is_refused_and_reported(
    site: Site,
    events: list[SessionEvent],
    db: redis.Redis,
    step: cabc.Callable[[Session], t.Any],
) -> None:
    with pytest.raises(HeadersAlreadySent):
        site.get(streaming(step))
    assert names(events) == ["late"]
    assert db.keys() == []
    assert site.gateway.answer.body == b"."


def test_new_session_id_while_streaming_is_refused_and_the_old_one_stands(
    site: Site, events: list[SessionEvent], db: redis.Redis
) -> None:
    site.login()
    keys = db.keys()
    with pytest.raises(HeadersAlreadySent):
        site.get(streaming(lambda session: session.regenerate()))
    assert names(events) == ["created", "late"]
    assert db.keys() == keys
    assert site.data() == {"user": "ada"}


def test_login_while_streaming_is_refused_and_not_saved(
    make_manager: MakeManager, events: list[SessionEvent]
) -> None:
    site = Site(make_manager(user_key="user"))
    site.login(theme="dark")
    with pytest.raises(HeadersAlreadySent):
        site.get(streaming(lambda session: session.update(user="ada")))
    assert names(events) == ["created", "late"]
    assert site.data() == {"theme": "dark"}


def test_logout_while_streaming_ends_the_session(site: Site, db: redis.Redis) -> None:
    site.login()
    site.get(streaming(lambda session: session.destroy()))
    assert list(map(db.get, db.keys())) == [b"\0e"]
    assert site.data() == {}


@pytest.mark.parametrize("parts", [None, 2], ids=["exhausted", "content complete"])
def test_value_that_cannot_be_saved_while_streaming_is_raised_at_the_end(
    site: Site, parts: int | None
) -> None:
    site.login()
    site.gateway.parts = parts
    with pytest.raises(NotSerializable):
        site.get(streaming(lambda session: session.update(late=object())))
    assert site.data() == {"user": "ada"}


@pytest.mark.parametrize(
    "gateway",
    [Gateway(), Gateway(parts=1), Gateway(parts=2), Gateway(iterates=False)],
    ids=["exhausted", "client gone", "content complete", "never iterated"],
)
@pytest.mark.parametrize("base", [(), (LazyBody,), (list,)])
def test_body_is_closed_exactly_once(
    site: Site, gateway: Gateway, base: tuple[type, ...]
) -> None:
    class AnyBody(Body, *base):
        pass

    site.gateway = gateway
    answer = site.get(
        plain(lambda environ: AnyBody(environ, lambda: count(environ), bytes))
    )
    assert answer.journal.count("closed") == 1


def test_body_is_closed_once_by_two_layers_that_close(site: Site) -> None:
    def closing(app: App) -> App:
        def layer(environ: Environ, start_response: t.Any) -> t.Any:
            body = app(environ, start_response)
            try:
                return [*body]
            finally:
                body.close()
                body.close()

        return layer

    app = site.wrap(plain(lambda environ: Body(environ, bytes)))
    assert site.gateway.get(closing(app)).journal.count("closed") == 1


def test_iterable_is_closed_and_not_its_iterator(site: Site) -> None:
    class Iterator:
        def __init__(self) -> None:
            self.parts = [b"."]

        def __iter__(self) -> Iterator:
            return self

        def __next__(self) -> bytes:
            if not self.parts:
                raise StopIteration
            return self.parts.pop()

        def close(self) -> None:
            raise AssertionError

    class Iterable(Body):
        def __iter__(self) -> t.Any:
            return Iterator()

    assert site.get(plain(Iterable)).journal[-1] == "closed"


def test_body_that_cannot_be_saved_is_closed_exactly_once(site: Site) -> None:
    def step(environ: Environ) -> None:
        get_session(environ)["broken"] = object()

    def file(environ: Environ) -> File:
        step(environ)
        return File(environ)

    class File(Body):
        pass

    environ = site.gateway.environ(**{"wsgi.file_wrapper": File})
    for body in (lambda environ: Body(environ, lambda: step(environ)), file):
        with pytest.raises(NotSerializable):
            site.get(plain(body), environ)
        assert site.gateway.answer.journal == ["closed"]


def test_session_is_saved_even_if_the_application_fails_to_close(site: Site) -> None:
    class Failing(Body):
        def close(self) -> None:
            raise Boom

    def body(environ: Environ) -> Body:
        return Failing(environ, bytes, lambda: count(environ))

    site.login()
    site.gateway.parts = 2
    with pytest.raises(Boom):
        site.get(plain(body))
    assert site.data() == {"user": "ada", "visits": 1}


def test_change_on_closing_is_saved(site: Site) -> None:
    class Counting(Body):
        def __init__(self, environ: Environ, *steps: t.Any) -> None:
            super().__init__(environ, *steps)
            self.environ = environ

        def close(self) -> None:
            count(self.environ)

    site.login()
    site.get(plain(lambda environ: Counting(environ, bytes)))
    assert site.data() == {"user": "ada", "visits": 1}


def test_body_that_nobody_iterates_over_has_its_session_saved(site: Site) -> None:
    def body(environ: Environ) -> Body:
        count(environ)
        return Body(environ)

    site.gateway.iterates = False
    assert site.get(plain(body)).journal == ["closed", "start"]
    assert site.data() == {"visits": 1}


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


def with_headers(
    *headers: tuple[str, str],
    status: str = "200 OK",
    step: cabc.Callable[[Environ], t.Any] = count,
) -> App:
    def app(environ: Environ, start_response: t.Any) -> list[bytes]:
        step(environ)
        start_response(status, list(headers))
        return []

    return app


@pytest.mark.parametrize(
    ("theirs", "merged"),
    [
        ([], "Cookie"),
        (["Accept-Encoding"], "Accept-Encoding, Cookie"),
        (["Accept-Encoding", "Origin"], "Accept-Encoding, Origin, Cookie"),
        (["Accept, COOKIE"], "Accept, COOKIE"),
        (["*"], "*"),
    ],
)
def test_response_that_depends_on_the_session_varies_with_the_cookie(
    site: Site, theirs: list[str], merged: str
) -> None:
    site.login()
    reading = with_headers(*[("vary", value) for value in theirs], step=look)
    assert site.get(reading).all("vary") == [merged]


def look(environ: Environ) -> None:
    get_session(environ).get("user")


@pytest.mark.parametrize(
    ("theirs", "merged"),
    [
        ([], "no-store"),
        (["no-store"], "no-store"),
        (["public, max-age=60"], "max-age=60, private"),
        (["public", "s-maxage=60, max-age=30"], "max-age=30, private"),
        (["private"], "private"),
    ],
)
def test_response_with_the_cookie_is_for_no_shared_cache(
    site: Site, theirs: list[str], merged: str
) -> None:
    headers = [("cache-control", value) for value in theirs]
    answer = site.get(with_headers(*headers))
    assert answer.all("cache-control") == [merged]
    assert len(answer.cookies) == 1


def test_cookie_of_the_same_name_is_replaced_and_others_are_kept(site: Site) -> None:
    answer = site.get(
        with_headers(
            ("Set-Cookie", "session=theirs; Path=/"),
            ("set-cookie", "theme=session=dark"),
            ("Set-Cookie", "sessions=7"),
        )
    )
    assert answer.cookies[:2] == ["theme=session=dark", "sessions=7"]
    assert len(answer.cookies) == 3
    assert "theirs" not in answer.cookies[2]
    assert site.data() == {"visits": 1}


@pytest.mark.parametrize(
    ("status", "method"),
    [
        ("200 OK", "HEAD"),
        ("204 No Content", "POST"),
        ("304 Not Modified", "GET"),
        ("200 OK", "GET"),
    ],
)
def test_response_without_a_body_gets_its_cookie_and_nothing_else(
    site: Site, status: str, method: str
) -> None:
    environ = site.gateway.environ(REQUEST_METHOD=method)
    answer = site.get(with_headers(("ETag", '"1"'), status=status), environ)
    assert [name for name, _ in answer.headers] == [
        "ETag",
        "Vary",
        "Cache-Control",
        "Set-Cookie",
    ]
    assert answer.body == b""
    assert site.data() == {"visits": 1}


@pytest.mark.parametrize(
    ("status", "control", "cookies"),
    [
        ("200 OK", "private", 1),
        ("200 OK", "public, max-age=60", 0),
        ("200 OK", "s-maxage=60", 0),
        ("200 OK", "immutable", 0),
        ("304 Not Modified", "private", 0),
    ],
)
def test_cookie_is_not_renewed_where_a_shared_cache_would_keep_it(
    make_manager: MakeManager, clock: Clock, status: str, control: str, cookies: int
) -> None:
    site = Site(make_manager(clock=clock))
    site.login()
    clock.move(3600)
    headers = [("Cache-Control", control)]
    answer = site.get(with_headers(*headers, status=status, step=look))
    assert len(answer.cookies) == cookies
    assert answer.all("cache-control") == [control]
    # A cookie that the browser needs is another matter.
    site.gateway.jar.clear()
    assert len(site.get(with_headers(*headers, status=status)).cookies) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_cookie_is_secure_where_the_request_came_over_https(
    site: Site, scheme: str
) -> None:
    environ = site.gateway.environ(**{"wsgi.url_scheme": scheme})
    (cookie,) = site.get(with_headers(), environ).cookies
    assert ("; Secure" in cookie) == (scheme == "https")


def test_cookie_is_secure_where_an_inner_layer_knows_that_https_was_used(
    site: Site,
) -> None:
    environ = site.gateway.environ(HTTP_X_FORWARDED_PROTO="https")
    (cookie,) = site.get(ProxyFix(with_headers()), environ).cookies
    assert "; Secure" in cookie


@contextlib.contextmanager
def away(server: LocalServer) -> cabc.Iterator[None]:
    """Redis cannot be reached, but does not forget."""
    with redis.Redis(unix_socket_path=server.socket) as client:
        client.ping()
        os.rename(server.socket, f"{server.socket}.away")
        client.client_kill_filter(_type="normal", skipme=True)
    try:
        yield
    finally:
        os.rename(f"{server.socket}.away", server.socket)


def test_page_that_does_not_look_at_the_session_works_without_redis(
    make_manager: MakeManager, own_server: LocalServer
) -> None:
    site = Site(make_manager(own_server.url))
    site.login()
    with away(own_server):
        answer = site.get(plain(lambda environ: [b"public"]))
    assert (answer.body, answer.headers) == (b"public", [TEXT])


def test_page_that_looks_at_the_session_is_unavailable_without_redis(
    make_manager: MakeManager, own_server: LocalServer
) -> None:
    site = Site(make_manager(own_server.url, answer_unavailable=False))
    site.login()
    with away(own_server):
        with pytest.raises(SessionUnavailable) as caught:
            site.get(plain(lambda environ: [count(environ)]))
        assert isinstance(caught.value, ServiceUnavailable)
        assert isinstance(caught.value.__cause__, redis.ConnectionError)
    assert site.pool_is_idle()


def assert_apology(answer: Answer) -> None:
    assert answer.status.startswith("503 ")
    assert answer.journal.count("start") == 1
    assert answer.cookies == []
    assert answer.all("vary") == ["Cookie"]
    assert answer.all("cache-control") == ["no-store"]
    assert b"Please try again in a moment." in answer.body
    assert answer.all("content-length") == [str(len(answer.body))]


def test_outage_that_the_application_lets_through_is_answered_and_logged(
    make_manager: MakeManager,
    own_server: LocalServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Site(make_manager(own_server.url))
    site.login()
    with away(own_server):
        for _ in range(2):
            assert_apology(site.get(plain(lambda environ: [count(environ)])))
    (line,) = caplog.messages
    assert line.startswith("session -: unavailable Redis at ")
    assert site.pool_is_idle()
    assert site.data() == {"user": "ada"}


def test_outage_that_no_event_has_told_of_is_logged_when_it_is_answered(
    make_manager: MakeManager,
    own_server: LocalServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    manager = make_manager(own_server.url)
    site = Site(manager)
    with away(own_server):
        revoking = plain(lambda environ: [b"%d" % manager.revoke("A" * 24)])
        for _ in range(2):
            assert site.get(revoking).status.startswith("503 ")
    (line,) = caplog.messages
    assert line.startswith("503 Service Unavailable: Redis at ")


@EVERY_SHAPE
def test_outage_while_saving_is_answered_where_no_head_has_left(
    make_manager: MakeManager, own_server: LocalServer, shape: Shape
) -> None:
    outage = contextlib.ExitStack()

    def step(environ: Environ) -> bytes:
        count(environ)
        outage.enter_context(away(own_server))
        return b"."

    site = Site(make_manager(own_server.url))
    site.login()
    with outage:
        assert_apology(site.get(shape(step)))
    assert site.data() == {"user": "ada"}


def test_body_of_a_response_that_is_answered_for_is_closed(
    make_manager: MakeManager, own_server: LocalServer
) -> None:
    outage = contextlib.ExitStack()

    def body(environ: Environ) -> Body:
        return Body(
            environ,
            lambda: count(environ),
            lambda: outage.enter_context(away(own_server)) and b"never sent",
        )

    site = Site(make_manager(own_server.url))
    site.login()
    with outage, away(own_server):
        answer = site.get(plain(body))
    assert_apology(answer)
    assert answer.journal[-1] == "closed"


def test_answer_to_a_head_request_has_no_body(
    make_manager: MakeManager, own_server: LocalServer
) -> None:
    site = Site(make_manager(own_server.url))
    with away(own_server):
        environ = site.gateway.environ(REQUEST_METHOD="HEAD", HTTP_COOKIE="")
        answer = site.get(changing(lambda session: session.update(a=1)), environ)
    assert answer.status.startswith("503 ")
    assert answer.body == b""


def test_middleware_alone_may_leave_the_answer_to_others(
    make_manager: MakeManager, own_server: LocalServer
) -> None:
    manager = make_manager(own_server.url)
    app = changing(lambda session: session.update(a=1))
    with away(own_server):
        with pytest.raises(SessionUnavailable):
            Gateway().get(SessionMiddleware(app, manager, answer_unavailable=False))
        assert_apology(Gateway().get(SessionMiddleware(app, manager)))


def unavailable_page(environ: Environ, start_response: t.Any) -> t.Any:
    """An application that answers with the error, as Werkzeug and Flask do."""
    try:
        return plain(lambda environ: [count(environ)])(environ, start_response)
    except SessionUnavailable as error:
        return error(environ, lambda *head: start_response(*head, sys.exc_info()))


def test_outage_deletes_no_cookie_and_the_login_stands_when_redis_is_back(
    make_manager: MakeManager, own_server: LocalServer
) -> None:
    site = Site(make_manager(own_server.url))
    site.login()
    with away(own_server):
        answer = site.get(unavailable_page)
    assert answer.status == "503 SERVICE UNAVAILABLE"
    assert answer.cookies == []
    assert answer.all("vary") == ["Cookie"]
    assert site.data() == {"user": "ada"}


@EVERY_SHAPE
def test_redis_that_is_gone_before_the_first_byte_starts_no_response(
    make_manager: MakeManager, own_server: LocalServer, shape: Shape
) -> None:
    outage = contextlib.ExitStack()

    def step(environ: Environ) -> bytes:
        count(environ)
        outage.enter_context(away(own_server))
        return b"."

    site = Site(make_manager(own_server.url, answer_unavailable=False))
    site.login()
    with outage, pytest.raises(SessionUnavailable):
        site.get(shape(step))
    assert site.gateway.answer.journal == []
    assert site.data() == {"user": "ada"}


def test_redis_that_is_gone_while_streaming_is_raised_at_the_end(
    make_manager: MakeManager, own_server: LocalServer
) -> None:
    outage = contextlib.ExitStack()

    def body(environ: Environ) -> Body:
        return Body(
            environ,
            bytes,
            lambda: count(environ),
            lambda: outage.enter_context(away(own_server)) and None,
        )

    site = Site(make_manager(own_server.url))
    site.login()
    with outage, pytest.raises(SessionUnavailable):
        site.get(plain(body))
    assert site.gateway.answer.journal[-1] == "closed"
    assert site.data() == {"user": "ada"}
