"""Everything that Pyramid documents of its session, with the middleware and without."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
import redis
from conftest import Clock
from conftest import SECRET_KEY
from pyramid.config import Configurator
from pyramid.csrf import get_csrf_token
from pyramid.csrf import LegacySessionCSRFStoragePolicy
from pyramid.csrf import SessionCSRFStoragePolicy
from pyramid.events import NewResponse
from pyramid.httpexceptions import HTTPFound
from pyramid.interfaces import ISession
from pyramid.interfaces import ISessionFactory
from pyramid.request import Request
from pyramid.response import Response
from pyramid.testing import DummyRequest
from werkzeug.test import Client
from werkzeug.test import TestResponse
from zope.interface.verify import verifyClass
from zope.interface.verify import verifyObject

from wsgi_redis_session import ConfigurationError
from wsgi_redis_session import get_session
from wsgi_redis_session import HeadersAlreadySent
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.pyramid import PyramidSession
from wsgi_redis_session.pyramid import SessionFactory

MakeManager = cabc.Callable[..., SessionManager]
View = cabc.Callable[[t.Any], t.Any]
Configure = cabc.Callable[[Configurator], object]


def run(request: t.Any) -> t.Any:
    """The view of a test, or an empty page after it."""
    answer = request.environ["test.view"](request)
    return answer if isinstance(answer, Response) else Response("done")


class Site:
    """A Pyramid application that does what a test wants, and its visitor."""

    def __init__(
        self,
        way: str,
        sessions: SessionManager,
        configure: Configure = lambda config: None,
    ) -> None:
        with Configurator(session_factory=SessionFactory(sessions)) as config:
            config.add_view(run)
            configure(config)
            self.app = config.make_wsgi_app()
        if way == "middleware":
            self.app = SessionMiddleware(self.app, sessions)
        self.client = Client(self.app)

    def get(self, view: View, **environ: t.Any) -> TestResponse:
        environ["test.view"] = view
        return self.client.get("/", environ_overrides=environ)

    def store(self, **values: t.Any) -> TestResponse:
        return self.get(lambda request: request.session.update(values))

    def look(self, what: View = lambda request: request.session.copy()) -> t.Any:
        """What the visitor's next request finds."""
        found = []
        self.get(lambda request: found.append(what(request)))
        return found[0]

    @property
    def cookie(self) -> str | None:
        cookie = self.client.get_cookie("session")
        return cookie and cookie.value


@pytest.fixture(params=["middleware", "factory"])
def way(request: pytest.FixtureRequest) -> str:
    return t.cast(str, request.param)


@pytest.fixture
def site(way: str, manager: SessionManager) -> Site:
    return Site(way, manager)


def calls(db: redis.Redis) -> int:
    """How many commands the server has got, but for those that ask it."""
    stats = db.info("commandstats")
    return sum(stats[name]["calls"] for name in stats if name != "cmdstat_info")


def test_session_and_factory_provide_what_the_interfaces_document(
    site: Site, manager: SessionManager
) -> None:
    assert verifyClass(ISession, PyramidSession)
    assert site.look(lambda request: verifyObject(ISession, request.session))
    assert verifyObject(ISessionFactory, SessionFactory(manager))


def test_next_request_finds_what_was_stored(site: Site) -> None:
    first = site.store(user="ada", cart=[1])
    assert len(first.headers.getlist("Set-Cookie")) == 1
    assert first.vary.as_set() == {"cookie"}
    assert first.cache_control.no_store
    second = site.store(user="bob")
    assert "Set-Cookie" not in second.headers
    assert second.vary.as_set() == {"cookie"}
    assert site.look() == {"user": "bob", "cart": [1]}


def test_change_inside_a_value_is_saved_with_changed_and_without(site: Site) -> None:
    site.store(cart={"items": []})
    site.get(lambda request: request.session["cart"]["items"].append(1))
    assert site.look() == {"cart": {"items": [1]}}

    def change(request: t.Any) -> None:
        request.session["cart"]["items"].append(2)
        request.session.changed()

    site.get(change)
    assert site.look() == {"cart": {"items": [1, 2]}}


def test_untouched_session_costs_nothing(site: Site, db: redis.Redis) -> None:
    site.store(user="ada")
    before = calls(db)
    for view in (lambda request: None, lambda request: request.session):
        response = site.get(view)
        assert "Set-Cookie" not in response.headers
        assert not response.vary
    assert calls(db) == before


def test_reading_an_empty_session_stores_nothing(site: Site, db: redis.Redis) -> None:
    response = site.get(lambda request: request.session.get("user"))
    assert "Set-Cookie" not in response.headers
    assert response.vary.as_set() == {"cookie"}
    assert db.dbsize() == 0


MAPPING: list[cabc.Callable[[t.Any], t.Any]] = [
    lambda mapping: mapping["a"],
    lambda mapping: mapping["x"],
    lambda mapping: "a" in mapping,
    lambda mapping: "x" in mapping,
    lambda mapping: mapping.get("a"),
    lambda mapping: mapping.get("x"),
    lambda mapping: mapping.get("x", 5),
    lambda mapping: list(mapping),
    lambda mapping: list(mapping.keys()),
    lambda mapping: list(mapping.values()),
    lambda mapping: list(mapping.items()),
    lambda mapping: len(mapping),
    lambda mapping: bool(mapping),
    lambda mapping: mapping.copy(),
    lambda mapping: mapping == {"a": 1, "b": [2]},
    lambda mapping: mapping.__setitem__("c", 3),
    lambda mapping: mapping.__delitem__("a"),
    lambda mapping: mapping.__delitem__("x"),
    lambda mapping: mapping.pop("a"),
    lambda mapping: mapping.pop("x"),
    lambda mapping: mapping.pop("x", None),
    lambda mapping: mapping.popitem(),
    lambda mapping: mapping.setdefault("a", 5),
    lambda mapping: mapping.setdefault("x", 5),
    lambda mapping: mapping.setdefault("x"),
    lambda mapping: mapping.update({"a": 5, "x": 6}),
    lambda mapping: mapping.update(x=7),
    lambda mapping: mapping.clear(),
]


@pytest.mark.parametrize("number", range(len(MAPPING)))
def test_session_is_a_dictionary(site: Site, number: int) -> None:
    def outcome(mapping: t.Any) -> t.Any:
        try:
            return MAPPING[number](mapping)
        except KeyError as error:
            return repr(error)

    expected = {"a": 1, "b": [2]}
    site.store(**expected)
    found = site.look(lambda request: outcome(request.session))
    assert found == outcome(expected)
    assert site.look() == expected


def test_unknown_attribute_is_an_error_and_not_a_silent_loss(site: Site) -> None:
    def misspell(request: t.Any) -> None:
        with pytest.raises(AttributeError):
            request.session.permanant = True
        request.session["tried"] = True

    site.get(misspell)
    assert site.look() == {"tried": True}


def test_created_is_a_whole_number_of_seconds_and_stays(
    way: str, make_manager: MakeManager, clock: Clock
) -> None:
    site = Site(way, make_manager(clock=clock))
    clock.move(0.9)
    site.store(a=1)
    began = int(clock())
    clock.move(60)
    created = site.look(lambda request: request.session.created)
    assert (type(created), created) == (int, began)


def test_session_is_new_until_it_is_stored(site: Site) -> None:
    assert site.look(lambda request: request.session.new) is True
    assert site.look(lambda request: request.session.new) is True
    site.store(a=1)
    assert site.look(lambda request: request.session.new) is False


# Flash messages.


def test_flash_messages_wait_in_their_order_for_the_next_request(site: Site) -> None:
    site.get(lambda request: request.session.flash("one"))
    site.get(lambda request: request.session.flash("two"))
    assert site.look(lambda request: request.session.pop_flash()) == ["one", "two"]
    assert site.look(lambda request: request.session.pop_flash()) == []


def test_flash_queues_are_apart(site: Site) -> None:
    def flash(request: t.Any) -> None:
        request.session.flash("saved")
        request.session.flash("wrong", "errors")
        request.session.flash("worse", queue="errors")

    site.get(flash)
    pop = site.look(lambda request: request.session.pop_flash("errors"))
    assert pop == ["wrong", "worse"]
    assert site.look(lambda request: request.session.pop_flash("others")) == []
    assert site.look(lambda request: request.session.peek_flash()) == ["saved"]


def test_peeking_leaves_the_queue_and_stores_nothing(
    site: Site, db: redis.Redis
) -> None:
    assert site.look(lambda request: request.session.peek_flash()) == []
    assert db.dbsize() == 0
    site.get(lambda request: request.session.flash("one"))
    for _ in range(2):
        assert site.look(lambda request: request.session.peek_flash()) == ["one"]


def test_duplicate_message_is_refused_where_it_is_not_allowed(site: Site) -> None:
    for allowed in (True, True, False):
        site.get(
            lambda request, allowed=allowed: request.session.flash(
                "one", allow_duplicate=allowed
            )
        )
    site.get(lambda request: request.session.flash("two", allow_duplicate=False))
    site.get(lambda request: request.session.flash("one", "other", False))
    peek = site.look(lambda request: request.session.peek_flash())
    assert peek == ["one", "one", "two"]
    assert site.look(lambda request: request.session.peek_flash("other")) == ["one"]


def test_message_may_be_any_value(site: Site) -> None:
    message = {"text": "saved", "kind": ("info", 1)}
    site.get(lambda request: request.session.flash(message))
    assert site.look(lambda request: request.session.pop_flash()) == [message]


# CSRF tokens.


def test_csrf_token_stays_until_there_is_a_new_one(site: Site) -> None:
    token = site.look(lambda request: request.session.get_csrf_token())
    assert isinstance(token, str)
    assert token.isascii()
    assert len(token) >= 32
    assert site.look(lambda request: request.session.get_csrf_token()) == token
    new = site.look(lambda request: request.session.new_csrf_token())
    assert new != token
    assert site.look(lambda request: request.session.get_csrf_token()) == new


def test_csrf_tokens_of_two_visitors_are_different(
    way: str, manager: SessionManager
) -> None:
    tokens = {
        Site(way, manager).look(lambda request: request.session.get_csrf_token())
        for _ in range(2)
    }
    assert len(tokens) == 2


@pytest.mark.parametrize(
    "policy", [LegacySessionCSRFStoragePolicy, SessionCSRFStoragePolicy, None]
)
def test_form_needs_the_token_of_its_visitor_s_session(
    way: str, manager: SessionManager, policy: t.Any
) -> None:
    def configure(config: Configurator) -> None:
        config.set_default_csrf_options(require_csrf=True)
        if policy is not None:
            config.set_csrf_storage_policy(policy())

    site, other = (Site(way, manager, configure) for _ in range(2))
    token, others = site.look(get_csrf_token), other.look(get_csrf_token)

    def post(sent: str) -> int:
        overrides = {"test.view": lambda request: None}
        return site.client.post(
            "/", data={"csrf_token": sent}, environ_overrides=overrides
        ).status_code

    assert [post(sent) for sent in (token, others, "", "ä")] == [200, 400, 400, 400]


def test_both_policies_know_the_token_of_the_other(site: Site) -> None:
    legacy, current = LegacySessionCSRFStoragePolicy(), SessionCSRFStoragePolicy()
    token = site.look(legacy.get_csrf_token)
    assert site.look(current.get_csrf_token) == token
    token = site.look(current.new_csrf_token)
    assert site.look(lambda request: legacy.check_csrf_token(request, token)) is True


# The end of a session, and its id.


def test_invalidated_session_is_over_for_every_holder_of_its_cookie(
    site: Site, way: str, manager: SessionManager, db: redis.Redis
) -> None:
    site.store(user="ada")
    thief = Site(way, manager)
    thief.client.set_cookie("session", t.cast(str, site.cookie))
    response = site.get(lambda request: request.session.invalidate())
    assert "Max-Age=0" in response.headers["Set-Cookie"]
    assert site.cookie is None
    assert list(map(db.get, db.keys())) == [b"\0e"]
    assert site.look() == thief.look() == {}


def test_invalidated_session_may_be_used_for_new_data(
    site: Site, db: redis.Redis
) -> None:
    site.store(user="ada", cart=[1])
    before = site.look(lambda request: (site.cookie, request.session.id))

    def log_out(request: t.Any) -> None:
        request.session.invalidate()
        assert request.session.copy() == {}
        assert request.session.new is True
        request.session.flash("good bye")

    site.get(log_out)
    assert site.look() == {"_f_": ["good bye"]}
    after = site.look(lambda request: (site.cookie, request.session.id))
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert len([key for key in db.scan_iter() if db.get(key) != b"\0e"]) == 1


def test_regenerating_changes_the_session_id_and_keeps_the_data(site: Site) -> None:
    site.store(cart=[1])
    before = site.look(lambda request: (site.cookie, request.session.id))
    site.get(lambda request: request.session.regenerate())
    after = site.look(lambda request: (site.cookie, request.session.id))
    assert before[0] != after[0]
    assert before[1] != after[1]
    assert site.look() == {"cart": [1]}


def test_login_changes_the_session_id_by_itself(
    way: str, make_manager: MakeManager
) -> None:
    site = Site(way, make_manager(user_key="user"))
    site.store(cart=[1])
    anonymous = site.cookie
    site.store(user="ada")
    assert site.cookie not in (anonymous, None)
    assert site.look() == {"cart": [1], "user": "ada"}


def test_session_can_be_made_permanent(site: Site) -> None:
    def stay(request: t.Any) -> None:
        request.session["user"] = "ada"
        assert request.session.permanent is False
        request.session.permanent = True

    assert "Max-Age=2678400" in site.get(stay).headers["Set-Cookie"]
    assert site.look(lambda request: request.session.permanent) is True


def test_representation_shows_no_secret(site: Site) -> None:
    site.store(user="ada")

    def show(request: t.Any) -> str:
        len(request.session)
        return repr(request.session)

    shown = site.look(show)
    assert shown.startswith("<PyramidSession of <Session ")
    assert t.cast(str, site.cookie).partition(".")[0] not in shown


# What the response depends on.


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


def test_set_on_exception_says_whether_a_view_that_raises_is_saved(
    settings: dict[str, t.Any],
) -> None:
    def redirect(request: t.Any) -> None:
        request.session["half"] = "done"
        raise HTTPFound("/")

    found: list[t.Any] = []
    kept = included(settings)
    assert visit(kept, redirect).headers["Set-Cookie"]
    for no in ("false", False):
        client = included(settings | {"session.set_on_exception": no})
        assert "Set-Cookie" not in visit(client, redirect).headers
        visit(client, lambda request: request.session.update(user="ada"))
        visit(client, redirect)
        visit(client, lambda request: found.append(request.session.copy()))
    assert found == [{"user": "ada"}] * 2


def test_set_on_exception_counts_inside_the_middleware_too(
    manager: SessionManager, db: redis.Redis
) -> None:
    def redirect(request: t.Any) -> None:
        request.session["half"] = "done"
        raise HTTPFound("/")

    factory = SessionFactory(manager, set_on_exception=False)
    with Configurator(session_factory=factory) as config:
        config.add_view(run)
        client = Client(SessionMiddleware(config.make_wsgi_app(), manager))
    assert visit(client, redirect).status_code == 302
    assert db.dbsize() == 0


@pytest.mark.parametrize("value", ["perhaps", "", 2, None])
def test_set_on_exception_that_is_neither_true_nor_false_is_refused(
    settings: dict[str, t.Any], value: t.Any
) -> None:
    with pytest.raises(ConfigurationError, match=r"set_on_exception=.* cannot work"):
        included(settings | {"session.set_on_exception": value})


# config.include().


def included(
    settings: dict[str, t.Any], configure: Configure = lambda config: None
) -> Client:
    with Configurator(settings=settings) as config:
        config.include("wsgi_redis_session.pyramid")
        config.add_view(run)
        configure(config)
        return Client(config.make_wsgi_app())


def manager_of(client: Client) -> SessionManager:
    factory = client.application.registry.getUtility(ISessionFactory)
    return t.cast(SessionManager, factory.sessions)


def visit(client: Client, view: View) -> TestResponse:
    return client.get("/", environ_overrides={"test.view": view})


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, server: LocalServer) -> dict[str, t.Any]:
    monkeypatch.delenv("SECRET_KEY", raising=False)
    monkeypatch.delenv("SESSION_REDIS", raising=False)
    return {"session.secret_key": SECRET_KEY, "session.redis": server.url}


def test_include_needs_two_settings(
    settings: dict[str, t.Any], db: redis.Redis
) -> None:
    client = included(settings)
    for _ in range(3):
        visit(client, lambda request: request.session.flash("one"))
    found: list[t.Any] = []
    visit(client, lambda request: found.extend(request.session.peek_flash()))
    assert found == ["one"] * 3
    assert db.dbsize() == 1
    manager_of(client).disconnect()


def test_secret_key_and_server_may_come_from_the_environment(
    settings: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch, db: redis.Redis
) -> None:
    monkeypatch.setenv("SECRET_KEY", SECRET_KEY)
    monkeypatch.setenv("SESSION_REDIS", settings["session.redis"])
    client = included({"session.key_prefix": "app:", "other": "left alone"})
    visit(client, lambda request: request.session.flash("one"))
    assert len(db.keys("app:*")) == 1
    assert manager_of(client).cookie.secret_keys == [SECRET_KEY.encode()]
    manager_of(client).disconnect()


def test_settings_are_text_or_what_the_program_gives(
    settings: dict[str, t.Any],
) -> None:
    settings |= {
        "session.cookie_name": "sid",
        "session.cookie_secure": "false",
        "session.lifetime": "none",
        "session.idle_timeout": " 90 ",
        "session.max_bytes": 5000,
        "session.on_event": print,
    }
    config = manager_of(included(settings)).config
    assert (config.cookie_name, config.cookie_secure) == ("sid", False)
    assert (config.lifetime, config.idle_timeout) == (None, 90)
    assert (config.max_bytes, config.on_event) == (5000, print)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("session.idle_timeout", "soon"),
        ("session.retries", -1),
        ("session.on_event", "no.such.module:name"),
        ("session.redis", "localhost"),
        ("session.secret_key", ""),
    ],
)
def test_wrong_setting_is_named_as_it_is_written(
    settings: dict[str, t.Any], name: str, value: t.Any
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        included(settings | {name: value})
    assert caught.value.option == name.removeprefix("session.")
    assert str(caught.value).startswith((f"{name}={value!r} cannot", f"{name} is "))


def test_setting_that_does_not_exist_is_refused(settings: dict[str, t.Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        included(settings | {"session.cookie_nam": "sid"})
    assert str(caught.value) == (
        "There is no option 'session.cookie_nam': did you mean 'session.cookie_name'?"
    )


def test_missing_secret_key_is_found_at_the_start(settings: dict[str, t.Any]) -> None:
    del settings["session.secret_key"]
    with pytest.raises(ConfigurationError, match=r"^session\.secret_key is missing "):
        included(settings)


def test_wrong_server_in_the_environment_is_named_by_its_variable(
    settings: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    del settings["session.redis"]
    monkeypatch.setenv("SESSION_REDIS", "localhost")
    with pytest.raises(ConfigurationError, match=r"^SESSION_REDIS='localhost' cannot"):
        included(settings)


def unavailable(
    own_server: LocalServer, settings: dict[str, t.Any], configure: Configure
) -> TestResponse:
    """What a visitor with a session gets while Redis is away."""
    client = included(settings | {"session.redis": own_server.url}, configure)
    visit(client, lambda request: request.session.flash("one"))
    manager_of(client).disconnect()
    own_server.stop()
    return visit(client, lambda request: request.session.pop_flash())


def test_without_redis_the_answer_is_503_and_the_cookie_is_kept(
    own_server: LocalServer, settings: dict[str, t.Any]
) -> None:
    response = unavailable(own_server, settings, lambda config: None)
    assert response.status_code == 503
    assert "The session store does not answer" in response.text
    assert "Set-Cookie" not in response.headers


def test_application_may_have_its_own_page_for_that(
    own_server: LocalServer, settings: dict[str, t.Any]
) -> None:
    def wait(error: SessionUnavailable, request: t.Any) -> Response:
        return Response("wait", status=503)

    def configure(config: Configurator) -> None:
        config.add_exception_view(wait, context=SessionUnavailable)

    assert unavailable(own_server, settings, configure).text == "wait"
