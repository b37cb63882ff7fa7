"""Everything that Pyramid documents of its session, with the middleware and without."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pyramid_sites
import pytest
import redis
from conftest import Clock
from pyramid.interfaces import ISession
from pyramid.interfaces import ISessionFactory
from pyramid_sites import Site
from zope.interface.verify import verifyClass
from zope.interface.verify import verifyObject

from wsgi_redis_session import SessionManager
from wsgi_redis_session.pyramid import PyramidSession
from wsgi_redis_session.pyramid import SessionFactory

MakeManager = cabc.Callable[..., SessionManager]

way = pyramid_sites.way
site = pyramid_sites.site


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
