"""The demo's experiments: what each request of them does, to either kind of session."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import html
import inspect
import re
import textwrap
import typing as t
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor

import demo_site
import pytest
import redis
from browser import PATIENCE
from demo_site import COOKIE
from demo_site import cookie_of
from demo_site import element_of
from demo_site import KEY_PREFIX
from demo_site import MakeManager
from demo_site import MakeVisitor
from demo_site import send
from werkzeug.test import Client
from werkzeug.test import TestResponse
from werkzeug.wrappers import Response

from wsgi_redis_session.demo import acts
from wsgi_redis_session.demo.app import Demo
from wsgi_redis_session.demo.forgery import attempts
from wsgi_redis_session.demo.forgery import forged
from wsgi_redis_session.demo.gates import Gates
from wsgi_redis_session.demo.naive import NaiveStore
from wsgi_redis_session.demo.runner import OPTIONS
from wsgi_redis_session.demo.server import Switch
from wsgi_redis_session.local_server import LocalServer

shown = demo_site.shown
make_visitor = demo_site.make_visitor
visitor = demo_site.visitor

LANES = ["naive", "ours"]
NAIVE_COOKIE = f"{COOKIE}_naive"


def attempt(visitor: Client, lane: str, act: str, **form: str) -> t.Any:
    """What a request of an experiment answers."""
    response = visitor.post(f"/try/{lane}/{act}", data=form)
    assert response.status_code == 200, response.text
    return response.json


class Slow:
    """Requests that stand before a gate; each is a browser's with the same cookies."""

    def __init__(self, visitor: Client, make_visitor: MakeVisitor, lane: str) -> None:
        self.visitor = visitor
        self.lane = lane
        self._make_visitor = make_visitor
        self._threads = ThreadPoolExecutor(4)
        self._sent: list[Future[TestResponse]] = []

    def send(self, act: str, **form: str) -> None:
        twin = self._make_visitor()
        for name in (COOKIE, NAIVE_COOKIE):
            if cookie := self.visitor.get_cookie(name):
                twin.set_cookie(name, cookie.value)
        path, form = f"/try/{self.lane}/{act}", {"gate": "g", **form}
        self._sent.append(self._threads.submit(twin.post, path, data=form))

    def gather(self) -> None:
        form = {"gate": "g", "number": str(len(self._sent))}
        assert self.visitor.post("/gate/gather", data=form).status_code == 200

    def answers(self) -> list[TestResponse]:
        assert self.visitor.post("/gate/open", data={"gate": "g"}).status_code == 200
        answers = [sent.result(PATIENCE) for sent in self._sent]
        self._threads.shutdown()
        return answers

    def deliver(self) -> list[str | None]:
        """Let them go; the browser has their answers, with what cookies they bring."""
        cookies = [answer.headers.get("Set-Cookie") for answer in self.answers()]
        for cookie in filter(None, cookies):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.visitor.set_cookie(name, value)
        return cookies


@pytest.mark.parametrize(("lane", "kept"), [("naive", 1), ("ours", 2)])
def test_of_two_requests_at_once_the_naive_store_loses_one(
    visitor: Client, make_visitor: MakeVisitor, lane: str, kept: int
) -> None:
    attempt(visitor, lane, "login", user="Ada")
    requests = Slow(visitor, make_visitor, lane)
    requests.send("setting", name="colour", value="teal")
    requests.send("setting", name="size", value="large")
    requests.gather()
    assert [answer.status_code for answer in requests.answers()] == [200, 200]
    seen = attempt(visitor, lane, "look")
    assert len(seen["values"].keys() & {"colour", "size"}) == kept


@pytest.mark.parametrize(("lane", "user"), [("naive", "Ada"), ("ours", None)])
def test_request_that_was_running_at_logout_logs_in_again_with_the_naive_store_only(
    visitor: Client, make_visitor: MakeVisitor, lane: str, user: str | None
) -> None:
    attempt(visitor, lane, "login", user="Ada")
    request = Slow(visitor, make_visitor, lane)
    request.send("draft")
    request.gather()
    attempt(visitor, lane, "logout")
    request.deliver()
    seen = attempt(visitor, lane, "look")
    assert seen["user"] == user
    assert ("draft" in seen["values"]) == (user is not None)


@pytest.mark.parametrize(("lane", "user"), [("naive", None), ("ours", "Ada")])
def test_poll_that_was_running_at_login_logs_out_with_the_naive_store_only(
    visitor: Client, make_visitor: MakeVisitor, lane: str, user: str | None
) -> None:
    attempt(visitor, lane, "setting", name="colour", value="teal")
    request = Slow(visitor, make_visitor, lane)
    request.send("poll")
    request.gather()
    attempt(visitor, lane, "login", user="Ada")
    cookies = request.deliver()
    assert (cookies == [None]) == (lane == "ours")
    assert attempt(visitor, lane, "look")["user"] == user


@pytest.mark.parametrize("lane", LANES)
def test_one_request_after_the_other_is_right_with_either(
    visitor: Client, lane: str
) -> None:
    attempt(visitor, lane, "setting", name="colour", value="teal")
    attempt(visitor, lane, "login", user="Ada")
    attempt(visitor, lane, "poll")
    seen = attempt(visitor, lane, "poll")
    assert seen["user"] == "Ada"
    assert seen["values"]["colour"] == "teal"
    assert seen["values"]["polls"] == 2
    assert attempt(visitor, lane, "forget") == {
        "user": "Ada",
        "values": {"user": "Ada"},
    }
    attempt(visitor, lane, "logout")
    assert attempt(visitor, lane, "look") == {"user": None, "values": {}}


def test_naive_store_changes_its_id_at_login_as_well(visitor: Client) -> None:
    attempt(visitor, "naive", "poll")
    before = visitor.get_cookie(NAIVE_COOKIE)
    attempt(visitor, "naive", "login", user="Ada")
    after = visitor.get_cookie(NAIVE_COOKIE)
    assert before is not None
    assert after is not None
    assert before.value != after.value


def test_naive_sessions_expire_and_are_none_of_the_others(
    visitor: Client, db: redis.Redis, shown: list[str]
) -> None:
    attempt(visitor, "naive", "poll")
    (key,) = db.keys()
    assert not key.startswith(KEY_PREFIX.encode())
    assert 0 < db.ttl(key) <= 600
    assert shown == []


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("/try/ours/nothing", {}, 404),
        ("/try/theirs/look", {}, 404),
        ("/try/ours/login", {}, 400),
        ("/try/ours/login", {"user": "a" * 101}, 400),
        ("/try/ours/setting", {"name": "user", "value": "root"}, 400),
        ("/try/naive/setting", {"name": "visits", "value": "0"}, 400),
        ("/gate/gather", {}, 400),
        ("/device/login", {"device": "phone"}, 400),
        ("/device/list", {}, 400),
        ("/device/elsewhere", {}, 400),
        ("/forge", {}, 400),
        ("/server/stop", {}, 404),
        ("/server/restart", {}, 404),
    ],
)
def test_request_that_makes_no_sense_is_refused(
    visitor: Client, db: redis.Redis, path: str, form: dict[str, str], status: int
) -> None:
    assert visitor.post(path, data=form).status_code == status
    assert db.keys() == []


@pytest.mark.parametrize("path", ["/try/ours/logout", "/try/naive/logout", "/forge"])
def test_other_site_starts_no_experiment(visitor: Client, path: str) -> None:
    send(visitor, "/login", user="ada")
    response = visitor.post(path, headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403
    assert element_of(visitor.get("/").text, "user") == "ada"


# Gates.


def test_nobody_waits_before_a_gate_for_ever() -> None:
    gates = Gates(patience=0)
    gates.stand("g")
    assert not gates.gather("g", 1)


def test_gate_that_nobody_stands_at_stays_closed() -> None:
    gates = Gates(patience=0)
    gates.open("g")
    with ThreadPoolExecutor(1) as threads:
        gates = Gates(patience=PATIENCE)
        gates.open("g")
        standing = threads.submit(gates.stand, "g")
        assert gates.gather("g", 1)
        assert not standing.done()
        gates.open("g")
        standing.result(PATIENCE)
    assert not Gates(patience=0).gather("g", 1)


def test_requests_that_do_not_come_are_a_gateway_timeout(
    make_manager: MakeManager,
) -> None:
    sessions = make_manager(**OPTIONS)
    visitor = Client(Demo(sessions, [].append, gates=Gates(patience=0)), Response)
    response = visitor.post("/gate/gather", data={"gate": "g"})
    assert response.status_code == 504


# Forged cookies.


@pytest.mark.parametrize("keep", ["", "1"])
def test_only_the_cookie_that_was_given_opens_the_session(
    visitor: Client, keep: str
) -> None:
    send(visitor, "/login", user="ada")
    send(visitor, "/permanent", keep=keep)
    response = visitor.post("/forge")
    assert response.status_code == 200
    first, *others = response.json
    assert (first["user"], first["works"]) == ("ada", True)
    assert len(others) == 4
    assert not any(other["works"] or other["user"] for other in others)
    assert cookie_of(visitor) not in response.text
    assert element_of(visitor.get("/").text, "user") == "ada"


def test_forged_cookies_cost_no_command(
    visitor: Client, make_manager: MakeManager, db: redis.Redis
) -> None:
    visitor.get("/")
    db.config_resetstat()
    attempts(make_manager(**OPTIONS), cookie_of(visitor))
    stats = db.info("commandstats")
    assert stats["cmdstat_get"]["calls"] == 1  # for the genuine one
    assert {"cmdstat_set", "cmdstat_evalsha", "cmdstat_eval"}.isdisjoint(stats)


def test_forged_cookies_are_all_different(visitor: Client) -> None:
    visitor.get("/")
    cookies = list(forged(cookie_of(visitor)).values())
    assert len(set(cookies)) == len(cookies) == 5


# Devices.


def test_who_logs_out_everywhere_else_is_logged_in_here_only(visitor: Client) -> None:
    send(visitor, "/login", user="ada")
    cookies = [
        visitor.post("/device/login", data={"device": device}).json["cookie"]
        for device in ("phone", "tablet")
    ]

    def who(cookie: str) -> str | None:
        user = visitor.post("/device/look", data={"cookie": cookie}).json["user"]
        return t.cast("str | None", user)

    assert list(map(who, cookies)) == ["ada", "ada"]
    found = visitor.post("/device/list").json
    assert sorted(device["name"] for device in found) == [
        "Chrome on a tablet",
        "Safari on a phone",
        "a browser",
    ]
    assert [device["current"] for device in found].count(True) == 1
    assert visitor.post("/device/elsewhere").json == {"ended": 2}
    assert list(map(who, cookies)) == [None, None]
    assert element_of(visitor.get("/").text, "user") == "ada"


def test_devices_are_on_the_page_with_a_button_that_ends_the_others(
    visitor: Client,
) -> None:
    send(visitor, "/elsewhere")  # a stranger is nowhere else
    send(visitor, "/login", user="ada")
    assert "Safari on a phone" not in visitor.get("/").text
    visitor.post("/device/login", data={"device": "phone"})
    assert "Safari on a phone" in visitor.get("/").text
    send(visitor, "/elsewhere")
    assert "Safari on a phone" not in visitor.get("/").text


def test_device_that_nobody_has_is_refused(visitor: Client) -> None:
    send(visitor, "/login", user="ada")
    response = visitor.post("/device/login", data={"device": "fridge"})
    assert response.status_code == 400


# The server that stops.


@contextlib.contextmanager
def switched(make_manager: MakeManager, local: LocalServer) -> cabc.Iterator[Client]:
    sessions = make_manager(local.url, **OPTIONS)
    switch = Switch(local, sessions)
    yield Client(Demo(sessions, [].append, switch=switch), Response)
    switch.close()


def test_server_that_stopped_has_what_it_held_when_it_starts(
    make_manager: MakeManager, own_server: LocalServer
) -> None:
    with switched(make_manager, own_server) as visitor:
        attempt(visitor, "ours", "login", user="Ada")
        before = cookie_of(visitor)
        for _ in range(2):  # who stops it twice has stopped it
            assert visitor.post("/server/stop").status_code == 200
        away = visitor.post("/try/ours/look")
        assert away.status_code == 503
        assert "Set-Cookie" not in away.headers
        for _ in range(2):
            assert visitor.post("/server/start").status_code == 200
        assert cookie_of(visitor) == before
        assert 'data-run="outage"' in visitor.get("/").text


def test_server_of_somebody_else_has_no_switch(visitor: Client) -> None:
    assert 'data-run="two-requests"' in visitor.get("/").text
    assert 'data-run="outage"' not in visitor.get("/").text


# The code behind the buttons.


@pytest.mark.parametrize(
    "function",
    [acts.save_setting, acts.write_draft, acts.poll, NaiveStore.answer, Switch.stop],
)
def test_code_on_the_page_is_the_code_that_runs(
    make_manager: MakeManager,
    own_server: LocalServer,
    function: cabc.Callable[..., object],
) -> None:
    with switched(make_manager, own_server) as visitor:
        page = visitor.get("/").text
    found = re.search(
        rf'<code data-source="{function.__name__}">(.*?)</code>', page, re.DOTALL
    )
    assert found
    text = html.unescape(re.sub(r"</?span[^>]*>", "", found[1]))
    assert text == textwrap.dedent(inspect.getsource(function)).rstrip("\n")
