"""What a browser sends several times at once to a site of Flask's on three workers of
gunicorn: the login form, and the pages of somebody whose session another library had
begun, or who is remembered. Prints how often it was tried and how often a browser was
not logged in afterwards, whichever of the responses it had kept.

.. code-block:: console

    $ python tests/support/overlaps.py [TIMES]
"""

from __future__ import annotations

import http.client
import json
import secrets
import sys
import typing as t
from http.cookies import SimpleCookie
from urllib.parse import urlencode

import ormsgpack
import redis
from deployed_site import gunicorn
from deployed_site import PATIENCE
from deployed_site import WORKERS

from wsgi_redis_session.local_server import LocalServer

#: What the page of a member says.
MEMBER = (200, "ada ['apple']")

Jar = dict[str, str]


class Tab:
    """A request that is sent now and answered later."""

    def __init__(
        self, port: int, jar: Jar, path: str, form: dict[str, str] | None = None
    ) -> None:
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", port, timeout=PATIENCE
        )
        headers = {"Cookie": "; ".join(f"{name}={jar[name]}" for name in jar)}
        body = None if form is None else urlencode(form)
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        method = "GET" if body is None else "POST"
        self._connection.request(method, path, body, headers)

    def answer(self) -> tuple[tuple[int, str], Jar]:
        """Status and text, and what the browser keeps of it."""
        response = self._connection.getresponse()
        text = response.read().decode()
        self._connection.close()
        cookies = SimpleCookie[str]()
        for header in response.headers.get_all("Set-Cookie", []):
            cookies.load(header)
        return (response.status, text), {name: cookies[name].value for name in cookies}


class Browser:
    """A browser in front of the site."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.jar: Jar = {}

    def open(self, path: str, form: dict[str, str] | None = None) -> str:
        (_, text), given = Tab(self.port, self.jar, path, form).answer()
        self.jar |= given
        return text

    def fails(
        self, paths: list[str], expected: t.Any, form: dict[str, str] | None = None
    ) -> bool:
        """Whether something is wrong when all of these are asked for at once: with an
        answer, or with what the browser is then, whichever arrives last."""
        tabs = [Tab(self.port, self.jar, path, form) for path in paths]
        answers = [tab.answer() for tab in tabs]
        wrong = any(told != expected for told, _ in answers)
        jars = [self.jar | given for _, given in answers if "session" in given]
        for jar in jars or [self.jar]:
            told, _ = Tab(self.port, jar, "/members").answer()
            wrong |= told != MEMBER
        return wrong


def double_click(port: int, db: redis.Redis) -> bool:
    """The login form is sent twice."""
    browser = Browser(port)
    form = {"csrf_token": browser.open("/login"), "name": "ada"}
    return browser.fails(["/login"] * 2, (200, "welcome"), form)


def click_again(port: int, db: redis.Redis) -> bool:
    """It is sent again after it was answered, and the answer had not arrived."""
    browser = Browser(port)
    form = {"csrf_token": browser.open("/login"), "name": "ada"}
    Tab(port, browser.jar, "/login", form).answer()
    return browser.fails(["/login"], (200, "welcome"), form)


def migrate(port: int, db: redis.Redis) -> bool:
    """A page of a member, and four fetches in it, in a session of Flask-Session's."""
    browser = Browser(port)
    sid = secrets.token_urlsafe(32)
    member = {"_user_id": "ada", "_fresh": True, "_permanent": True, "cart": ["apple"]}
    db.set(f"session:{sid}", ormsgpack.packb(member), ex=1000)
    browser.jar["session"] = sid
    return browser.fails([f"/note/{number}" for number in range(4)], MEMBER)


def come_back(port: int, db: redis.Redis) -> bool:
    """Four pages at once for somebody who is remembered and has a cart."""
    browser = Browser(port)
    form = {"csrf_token": browser.open("/login"), "name": "ada"}
    remembering = Browser(port)
    remembering.jar = dict(browser.jar)
    remembering.open("/login?remember", form)
    # Another session of the same browser, in which nobody is logged in.
    browser.jar = {"remember_token": remembering.jar["remember_token"]}
    browser.jar |= {"session": _cart(port)}
    return browser.fails(["/members"] * 4, MEMBER)


def come_back_with_nothing_else(port: int, db: redis.Redis) -> bool:
    """The same without any session."""
    browser = Browser(port)
    form = {"csrf_token": browser.open("/login"), "name": "ada"}
    browser.open("/login?remember", form)
    jar = {"remember_token": browser.jar["remember_token"]}
    answers = [tab.answer() for tab in [Tab(port, jar, "/members") for _ in range(4)]]
    wrong = any(told != (200, "ada None") for told, _ in answers)
    for _, given in answers:
        told, _ = Tab(port, given, "/members").answer()
        wrong |= told != (200, "ada None")
    return wrong


def _cart(port: int) -> str:
    browser = Browser(port)
    browser.open("/login")
    return browser.jar["session"]


OVERLAPS = {
    "double click": double_click,
    "sent again": click_again,
    "migration": migrate,
    "remember me": come_back,
    "remember me alone": come_back_with_nothing_else,
}


def report(server: LocalServer, worker: str, times: int) -> dict[str, t.Any]:
    """How often each of it went wrong."""
    found: dict[str, t.Any] = {"workers": f"3 {worker}", "times": times}
    with (
        gunicorn(
            "account_site:account_site()", worker, 3, SESSION_REDIS=server.url
        ) as port,
        redis.Redis.from_url(server.url, protocol=2) as db,
    ):
        for name, overlap in OVERLAPS.items():
            found[name] = sum(overlap(port, db) for _ in range(times))
    return found


if __name__ == "__main__":
    with LocalServer() as server:
        for worker in WORKERS:
            times = int((sys.argv[1:] or ["60"])[0])
            print(json.dumps(report(server, worker, times)), flush=True)
