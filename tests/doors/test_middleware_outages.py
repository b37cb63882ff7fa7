"""The middleware while Redis is away."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import sys
import typing as t

import pytest
import redis
from gateway import Answer
from gateway import changing
from gateway import Gateway
from gateway import Site
from middleware_site import Body
from middleware_site import count
from middleware_site import EVERY_SHAPE
from werkzeug.exceptions import ServiceUnavailable
from wsgi_apps import Environ
from wsgi_apps import plain
from wsgi_apps import Shape
from wsgi_apps import TEXT

from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.local_server import LocalServer

MakeManager = cabc.Callable[..., SessionManager]


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
