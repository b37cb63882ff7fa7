"""What PEP 3333 asks of a middleware that saves a session and sets a cookie."""

from __future__ import annotations

import collections.abc as cabc
import io
import typing as t
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import middleware_site
import pytest
import redis
from gateway import Site
from middleware_site import Body
from middleware_site import count
from middleware_site import EVERY_SHAPE
from werkzeug.middleware.lint import LintMiddleware
from wsgi_apps import App
from wsgi_apps import Environ
from wsgi_apps import LazyBody
from wsgi_apps import plain
from wsgi_apps import Shape
from wsgi_apps import TEXT

from wsgi_redis_session import get_session
from wsgi_redis_session import NotSerializable
from wsgi_redis_session import SessionManager
from wsgi_redis_session.local_server import LocalServer

MakeManager = cabc.Callable[..., SessionManager]

site = middleware_site.site


class Witness(redis.Redis):
    """A client that notes in the gateway's journal when Redis has answered."""

    journal: list[str]

    def execute_command(self, *args: t.Any, **options: t.Any) -> t.Any:
        reply = super().execute_command(*args, **options)
        if args[0] in ("SET", "EVALSHA", "EVAL"):
            self.journal.append("saved")
        return reply


def commands(db: redis.Redis) -> dict[str, t.Any]:
    """How often each command was called; the one that asks does not count."""
    stats = db.info("commandstats")
    return {name: stats[name]["calls"] for name in stats if name != "cmdstat_info"}


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
