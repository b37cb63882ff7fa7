"""Changes while a body is streamed, and the end of a body."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import middleware_site
import pytest
import redis
from gateway import Gateway
from gateway import Site
from middleware_site import Body
from middleware_site import Boom
from middleware_site import count
from visitors import names
from wsgi_apps import App
from wsgi_apps import Environ
from wsgi_apps import LazyBody
from wsgi_apps import plain
from wsgi_apps import TEXT

from wsgi_redis_session import get_session
from wsgi_redis_session import HeadersAlreadySent
from wsgi_redis_session import NotSerializable
from wsgi_redis_session import Session
from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager

MakeManager = cabc.Callable[..., SessionManager]

site = middleware_site.site


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
