"""Flash messages and CSRF tokens in Pyramid's session."""

from __future__ import annotations

import typing as t

import pyramid_sites
import pytest
import redis
from pyramid.config import Configurator
from pyramid.csrf import get_csrf_token
from pyramid.csrf import LegacySessionCSRFStoragePolicy
from pyramid.csrf import SessionCSRFStoragePolicy
from pyramid_sites import Site

from wsgi_redis_session import SessionManager

way = pyramid_sites.way
site = pyramid_sites.site


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
