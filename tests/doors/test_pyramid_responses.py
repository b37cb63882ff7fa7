"""What Pyramid's responses depend on, and what runs after a view."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pyramid_sites
import pytest
import redis
from conftest import Clock
from pyramid.config import Configurator
from pyramid.events import NewResponse
from pyramid.httpexceptions import HTTPFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.testing import DummyRequest
from pyramid_sites import Site
from pyramid_sites import View
from visitors import names

from wsgi_redis_session import get_session
from wsgi_redis_session import HeadersAlreadySent
from wsgi_redis_session import SessionClosed
from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.pyramid import SessionFactory

MakeManager = cabc.Callable[..., SessionManager]

way = pyramid_sites.way
site = pyramid_sites.site


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_cookie_is_secure_where_the_request_was(site: Site, scheme: str) -> None:
    response = site.get(
        lambda request: request.session.flash("one"), **{"wsgi.url_scheme": scheme}
    )
    assert ("Secure" in response.headers["Set-Cookie"]) == (scheme == "https")


def test_session_in_use_keeps_its_cookie_alive_but_not_in_shared_caches(
    way: str, make_manager: MakeManager, clock: Clock
) -> None:
    site = Site(way, make_manager(clock=clock))
    site.store(user="ada")
    clock.move(3600)

    def shared(request: t.Any) -> Response:
        len(request.session)
        return Response("for all", cache_control="public, max-age=60")

    assert "Set-Cookie" not in site.get(shared).headers
    assert "Set-Cookie" in site.get(lambda request: len(request.session)).headers


def test_headers_of_the_view_stay(site: Site) -> None:
    def view(request: t.Any) -> Response:
        request.session["a"] = 1
        response = Response("done", headers={"Vary": "Accept"})
        response.headers["Cache-Control"] = "public, max-age=60"
        response.set_cookie("other", "1")
        return response

    headers = site.get(view).headers
    assert headers["Vary"] == "Accept, Cookie"
    assert headers["Cache-Control"] == "max-age=60, private"
    names = [value.partition("=")[0] for value in headers.getlist("Set-Cookie")]
    assert sorted(names) == ["other", "session"]


@pytest.mark.parametrize("is_raised", [True, False])
def test_redirect_after_a_login_sets_the_cookie(site: Site, is_raised: bool) -> None:
    def log_in(request: t.Any) -> Response:
        request.session["user"] = "ada"
        if is_raised:
            raise HTTPFound("/home")
        return HTTPFound("/home")

    response = site.get(log_in)
    assert response.status_code == 302
    assert "Set-Cookie" in response.headers
    assert site.look() == {"user": "ada"}


# When something goes wrong.


def fail(request: t.Any) -> None:
    request.session["half"] = "done"
    raise ZeroDivisionError


def test_unhandled_exception_saves_nothing(site: Site, db: redis.Redis) -> None:
    with pytest.raises(ZeroDivisionError):
        site.get(fail)
    assert db.dbsize() == 0
    site.store(user="ada")
    with pytest.raises(ZeroDivisionError):
        site.get(fail)
    assert site.look() == {"user": "ada"}


def test_exception_view_may_use_the_session_and_all_is_saved(
    way: str, manager: SessionManager
) -> None:
    def apologise(error: ZeroDivisionError, request: t.Any) -> Response:
        request.session.flash("sorry")
        return Response("sorry", status=500)

    def configure(config: Configurator) -> None:
        config.add_exception_view(apologise, context=ZeroDivisionError)

    site = Site(way, manager, configure)
    response = site.get(fail)
    assert (response.status_code, response.text) == (500, "sorry")
    assert site.look() == {"half": "done", "_f_": ["sorry"]}


def test_without_redis_pages_that_need_no_session_work(
    way: str, own_server: LocalServer, make_manager: MakeManager
) -> None:
    site = Site(way, make_manager(own_server.url, answer_unavailable=False))
    site.store(user="ada")
    cookie = site.cookie
    own_server.stop()
    assert site.get(lambda request: request.session).status_code == 200
    with pytest.raises(SessionUnavailable):
        site.look()
    assert site.cookie == cookie


def test_logout_that_did_not_happen_is_not_reported_as_one(
    way: str, own_server: LocalServer, make_manager: MakeManager
) -> None:
    site = Site(way, make_manager(own_server.url, answer_unavailable=False))
    site.store(user="ada")
    cookie = site.cookie

    def log_out(request: t.Any) -> None:
        request.session.invalidate()
        own_server.stop()

    with pytest.raises(SessionUnavailable):
        site.get(log_out)
    assert site.cookie == cookie


# What runs after the view.


def test_response_callback_may_change_the_session(site: Site) -> None:
    def view(request: t.Any) -> None:
        request.session["view"] = 1
        request.add_response_callback(first)

    def first(request: t.Any, response: t.Any) -> None:
        request.session["first"] = 1
        request.add_response_callback(second)

    def second(request: t.Any, response: t.Any) -> None:
        request.session["second"] = 1

    site.get(view)
    assert set(site.look()) == {"view", "first", "second"}
    site.get(lambda request: request.add_response_callback(lambda *args: None))
    assert set(site.look()) == {"view", "first", "second"}


def test_session_that_begins_too_late_is_an_error(
    manager: SessionManager, db: redis.Redis
) -> None:
    def late(event: NewResponse) -> None:
        event.request.session["late"] = 1

    def configure(config: Configurator) -> None:
        config.add_subscriber(late, NewResponse)

    site = Site("factory", manager, configure)
    with pytest.raises(HeadersAlreadySent, match="needs a cookie"):
        site.get(lambda request: request.session.get("user"))
    assert db.dbsize() == 0
    # The middleware is not that early.
    site = Site("middleware", manager, configure)
    site.get(lambda request: request.session.get("user"))
    assert site.look()["late"] == 1


def streaming(*steps: View, looks: bool = True) -> View:
    """A view whose body takes one step after each of its parts but the last."""

    def view(request: t.Any) -> Response:
        if looks:
            len(request.session)

        def body() -> cabc.Iterator[bytes]:
            yield b"0"
            for number, step in enumerate(steps, 1):
                step(request)
                yield b"%d" % number

        return Response(app_iter=body())

    return view


def test_middleware_saves_what_a_streaming_body_changes(
    manager: SessionManager,
) -> None:
    site = Site("middleware", manager)

    def stream(request: t.Any) -> Response:
        def body() -> cabc.Iterator[bytes]:
            for part in (b"1", b"2", b"3"):
                request.session["sent"] = part
                yield part

        return Response(app_iter=body())

    assert site.get(stream).text == "123"
    assert site.look() == {"sent": b"3"}


def test_stored_session_may_change_while_the_body_streams(site: Site) -> None:
    site.store(cart=["apple"])
    put = streaming(
        lambda request: request.session["cart"].append("pear"),
        lambda request: request.session.update(sent=True),
    )
    assert site.get(put).text == "012"
    assert site.look() == {"cart": ["apple", "pear"], "sent": True}


def test_change_is_saved_of_a_stream_that_nobody_reads_to_its_end(
    site: Site,
) -> None:
    site.store(sent=0)

    def count(request: t.Any) -> None:
        request.session["sent"] += 1

    response = site.get(streaming(count, count))
    parts = iter(response.response)
    assert [next(parts), next(parts)] == [b"0", b"1"]
    response.close()
    assert site.look() == {"sent": 1}


@pytest.mark.parametrize("looks_before", [True, False])
def test_stored_session_may_change_after_the_response_callbacks(
    way: str, manager: SessionManager, looks_before: bool
) -> None:
    def late(event: NewResponse) -> None:
        if "look" in event.request.environ:
            event.request.session["late"] = 1

    site = Site(way, manager, lambda config: config.add_subscriber(late, NewResponse))
    site.store(user="ada")
    site.get(lambda request: looks_before and len(request.session), look=True)
    assert site.look() == {"user": "ada", "late": 1}


def test_first_look_while_the_body_streams_reads_and_refuses_to_change(
    manager: SessionManager,
) -> None:
    site = Site("factory", manager)
    site.store(user="ada")
    found: list[t.Any] = []
    body = site.get(
        streaming(lambda request: found.append(request.session["user"]), looks=False)
    )
    assert body.text == "01"
    assert found == ["ada"]
    with pytest.raises(SessionClosed):
        site.get(
            streaming(lambda request: request.session.update(late=1), looks=False)
        ).get_data()
    assert site.look() == {"user": "ada"}


def test_what_needs_a_cookie_while_the_body_streams_is_an_error_and_an_event(
    site: Site, events: list[SessionEvent]
) -> None:
    begin = streaming(lambda request: request.session.update(late=1))
    with pytest.raises(HeadersAlreadySent, match="needs a cookie"):
        site.get(begin).get_data()
    assert names(events) == ["late"]
    site.store(user="ada")
    with pytest.raises(HeadersAlreadySent, match="a new session id"):
        site.get(streaming(lambda request: request.session.regenerate())).get_data()
    assert names(events)[-1] == "late"
    assert site.look() == {"user": "ada"}


@pytest.mark.parametrize(
    "change",
    [
        lambda session: session.update(a=1),
        lambda session: session.invalidate(),
        lambda session: session.regenerate(),
    ],
    ids=["write", "invalidate", "regenerate"],
)
@pytest.mark.parametrize("body", [list, iter])
def test_change_when_the_request_is_over_is_an_error(
    site: Site, change: View, body: cabc.Callable[[list[bytes]], t.Any]
) -> None:
    site.store(user="ada")
    kept: list[t.Any] = []

    def keep(request: t.Any) -> Response:
        kept.append(request.session)
        return Response(app_iter=body([b"done"]))

    site.get(keep).close()
    with pytest.raises(SessionClosed):
        change(kept[0])
    assert site.look() == {"user": "ada"}


def test_subrequest_and_request_keep_each_other_s_changes(site: Site) -> None:
    site.store(user="ada")

    def inner(request: t.Any) -> None:
        request.session["inner"] = 1

    def outer(request: t.Any) -> None:
        len(request.session)
        sub = Request.blank("/", headers={"Cookie": request.headers["Cookie"]})
        sub.environ["test.view"] = inner
        request.invoke_subrequest(sub)
        request.session["outer"] = 1

    site.get(outer)
    assert site.look() == {"user": "ada", "inner": 1, "outer": 1}


def test_inside_the_middleware_it_is_the_middleware_s_session(
    manager: SessionManager,
) -> None:
    def view(request: t.Any) -> None:
        assert request.session.session is get_session(request.environ)
        get_session(request.environ)["a"] = 1
        assert request.session["a"] == 1

    site = Site("middleware", manager)
    response = site.get(view)
    assert len(response.headers.getlist("Set-Cookie")) == 1
    assert site.look() == {"a": 1}


def test_middleware_with_another_cookie_has_another_session(
    manager: SessionManager, make_manager: MakeManager
) -> None:
    site = Site("factory", manager)
    site.client.application = SessionMiddleware(
        site.app, make_manager(cookie_name="outer")
    )

    def view(request: t.Any) -> None:
        get_session(request.environ)["outer"] = 1
        request.session["inner"] = 1

    names = site.get(view).headers.getlist("Set-Cookie")
    assert sorted(name.partition("=")[0] for name in names) == ["outer", "session"]
    assert site.look() == {"inner": 1}


def test_factory_serves_pyramid_s_dummy_request(manager: SessionManager) -> None:
    session = SessionFactory(manager)(DummyRequest())
    session.flash("one")
    assert session.pop_flash() == ["one"]


def test_dummy_request_saves_its_session_and_finds_it_by_its_cookies(
    manager: SessionManager,
) -> None:
    factory, request = SessionFactory(manager), DummyRequest()
    factory(request)["user"] = "ada"
    response = Response()
    request._process_response_callbacks(response)
    name, _, value = response.headers["Set-Cookie"].partition(";")[0].partition("=")
    assert factory(DummyRequest(cookies={name: value})).copy() == {"user": "ada"}
