"""The demo: what its page does, and what it keeps from whom."""

from __future__ import annotations

import json

import demo_site
import pytest
import redis
from conftest import Clock
from demo_site import COOKIE
from demo_site import cookie_of
from demo_site import element_of
from demo_site import MakeManager
from demo_site import MakeVisitor
from demo_site import on_page
from demo_site import send
from demo_site import values
from demo_site import visitors
from werkzeug.test import Client
from werkzeug.wrappers import Response

from wsgi_redis_session.demo.page import ASSETS
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.model.record import digest

OUTAGE = "unix:///nowhere/redis.sock"

shown = demo_site.shown
make_visitor = demo_site.make_visitor
visitor = demo_site.visitor


# The page.


def test_visits_of_each_visitor_are_counted(make_visitor: MakeVisitor) -> None:
    ada, bob = make_visitor(), make_visitor()
    assert [on_page(ada, "visits") for _ in range(3)] == ["1", "2", "3"]
    assert on_page(bob, "visits") == "1"
    assert on_page(ada, "visits") == "4"


def test_session_is_new_until_it_is_stored(visitor: Client) -> None:
    assert on_page(visitor, "new") == "True"
    assert on_page(visitor, "new") == "False"


def test_page_shows_the_digest_and_not_the_session_id(visitor: Client) -> None:
    visitor.get("/")
    cookie = visitor.get_cookie(COOKIE)
    assert cookie is not None
    sid = cookie.value.split(".")[0]
    page = visitor.get("/").text
    assert element_of(page, "session-id") == digest(sid)
    assert sid not in page


def test_login_changes_the_session_id_and_keeps_the_values(visitor: Client) -> None:
    send(visitor, "/store", name="colour", value="blue")
    before = on_page(visitor, "session-id")
    send(visitor, "/login", user="ada")
    page = visitor.get("/").text
    assert element_of(page, "user") == "ada"
    assert element_of(page, "session-id") != before
    assert element_of(page, "id-before") == before
    assert values(visitor) == {"colour": "blue"}


def test_login_ends_the_cookie_that_was_there_before(
    visitor: Client, make_visitor: MakeVisitor
) -> None:
    visitor.get("/")
    cookie = visitor.get_cookie(COOKIE)
    assert cookie is not None
    send(visitor, "/login", user="ada")
    attacker = make_visitor()
    attacker.set_cookie(COOKIE, cookie.value)
    assert on_page(attacker, "greeting") == "Hello, stranger"


def test_switching_the_user_changes_the_session_id_again(visitor: Client) -> None:
    send(visitor, "/login", user="ada")
    before = on_page(visitor, "session-id")
    send(visitor, "/login", user="bob")
    assert on_page(visitor, "session-id") != before
    assert on_page(visitor, "id-before") == before


def test_login_as_the_same_user_changes_nothing(visitor: Client) -> None:
    send(visitor, "/login", user="ada")
    before = on_page(visitor, "session-id")
    send(visitor, "/login", user="ada")
    assert on_page(visitor, "session-id") == before


def test_logout_ends_the_session_for_good(
    visitor: Client, make_visitor: MakeVisitor
) -> None:
    send(visitor, "/store", name="colour", value="blue")
    send(visitor, "/login", user="ada")
    cookie = visitor.get_cookie(COOKIE)
    assert cookie is not None
    send(visitor, "/logout")
    assert on_page(visitor, "greeting") == "Hello, stranger"
    assert values(visitor) == {}
    thief = make_visitor()
    thief.set_cookie(COOKIE, cookie.value)
    assert on_page(thief, "greeting") == "Hello, stranger"


def test_value_is_stored_changed_and_deleted(visitor: Client) -> None:
    send(visitor, "/store", name="colour", value="blue")
    send(visitor, "/store", name="size", value="")
    assert values(visitor) == {"colour": "blue", "size": ""}
    send(visitor, "/store", name="colour", value="red")
    assert values(visitor) == {"colour": "red", "size": ""}
    send(visitor, "/delete", name="colour")
    assert values(visitor) == {"size": ""}
    send(visitor, "/delete", name="colour")
    assert values(visitor) == {"size": ""}


@pytest.mark.parametrize("name", ["visits", "user", "id_before_login"])
def test_names_of_the_demo_cannot_be_written_or_deleted_by_a_visitor(
    visitor: Client, name: str
) -> None:
    visitor.get("/")
    send(visitor, "/login", user="ada")
    response = visitor.post("/store", data={"name": name, "value": "root"})
    assert response.status_code == 400
    send(visitor, "/delete", name=name)
    page = visitor.get("/").text
    assert element_of(page, "user") == "ada"
    assert element_of(page, "visits") == "2"
    assert element_of(page, "id-before")


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/login", {}),
        ("/login", {"user": "  "}),
        ("/login", {"user": "a" * 41}),
        ("/store", {"name": "", "value": "blue"}),
        ("/store", {"name": "a" * 41, "value": "blue"}),
        ("/store", {"name": "colour", "value": "a" * 1001}),
        ("/delete", {}),
    ],
)
def test_form_that_makes_no_sense_is_refused_and_stores_nothing(
    visitor: Client, db: redis.Redis, path: str, form: dict[str, str]
) -> None:
    assert visitor.post(path, data=form).status_code == 400
    assert db.keys() == []


def test_form_that_is_too_large_is_refused(visitor: Client, db: redis.Redis) -> None:
    response = visitor.post("/store", data={"name": "n", "value": "a" * 100_000})
    assert response.status_code == 413
    assert db.keys() == []


def test_visitor_cannot_store_values_without_end(visitor: Client) -> None:
    for number in range(20):
        send(visitor, "/store", name=f"name{number}", value="")
    response = visitor.post("/store", data={"name": "one more", "value": ""})
    assert response.status_code == 400
    send(visitor, "/store", name="name7", value="changed")
    assert len(values(visitor)) == 20


def test_what_a_visitor_enters_is_text_on_the_page(visitor: Client) -> None:
    attack = "\"'><script>alert(1)</script>&amp;"
    send(visitor, "/store", name=attack, value=attack)
    send(visitor, "/login", user=attack)
    page = visitor.get("/").text
    # The page's own script, and no other.
    assert page.count("<script") == page.count('<script src="/demo.js"') == 1
    assert "<script" not in visitor.get("/live").text
    assert element_of(page, "user") == attack
    assert values(visitor) == {attack: attack}


def test_permanent_session_lives_longer_in_redis_and_in_the_browser(
    visitor: Client, db: redis.Redis
) -> None:
    visitor.get("/")
    send(visitor, "/permanent", keep="1")
    cookie = visitor.get_cookie(COOKIE)
    assert cookie is not None
    assert cookie.max_age == 31 * 86400
    assert db.pttl(db.keys()[0]) > 30 * 86_400_000
    assert on_page(visitor, "permanent") == "True"
    send(visitor, "/permanent")
    cookie = visitor.get_cookie(COOKIE)
    assert cookie is not None
    assert cookie.max_age is None
    assert on_page(visitor, "permanent") == "False"


def test_time_left_is_what_the_server_counts(visitor: Client, db: redis.Redis) -> None:
    assert on_page(visitor, "left") == "1 day from now"
    (key,) = db.keys()
    db.pexpire(key, 3_630_000)
    assert on_page(visitor, "left") == "1 h"


def test_age_is_the_time_since_the_first_visit(
    make_manager: MakeManager, clock: Clock, shown: list[str]
) -> None:
    visitor = visitors(make_manager, shown.append, clock=clock)()
    assert on_page(visitor, "age") == "0 s"
    clock.move(2 * 86400 - 3600)
    visitor.get("/")
    clock.move(3690)
    assert on_page(visitor, "age") == "2 days"
    clock.move(-90)
    assert on_page(visitor, "age") == "2 days"
    clock.move(-7)
    assert on_page(visitor, "age") == "1 day 23 h"


def test_page_names_the_server_behind_it(visitor: Client, server: LocalServer) -> None:
    assert on_page(visitor, "server") == server.describe()


def test_key_on_the_page_is_the_key_in_redis(visitor: Client, db: redis.Redis) -> None:
    visitor.get("/")
    assert db.exists(on_page(visitor, "key"))


def test_command_line_sees_the_same_session_as_text(visitor: Client) -> None:
    visitor.get("/")
    send(visitor, "/login", user="ada")
    response = visitor.get("/plain")
    assert response.mimetype == "text/plain"
    assert "visits      2\n" in response.text
    assert "logged in   ada\n" in response.text
    assert f"session.id  {on_page(visitor, 'session-id')}\n" in response.text


# What a browser may do with it.


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:9000"},
        {"Origin": "null"},
    ],
)
@pytest.mark.parametrize(
    "path", ["/store", "/delete", "/login", "/logout", "/permanent"]
)
def test_form_of_another_site_is_refused(
    visitor: Client, path: str, headers: dict[str, str]
) -> None:
    send(visitor, "/login", user="ada")
    send(visitor, "/store", name="colour", value="blue")
    form = {"name": "colour", "value": "red", "user": "mallory", "keep": "1"}
    response = visitor.post(path, data=form, headers=headers)
    assert response.status_code == 403
    page = visitor.get("/").text
    assert element_of(page, "user") == "ada"
    assert element_of(page, "permanent") == "False"
    assert values(visitor) == {"colour": "blue"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://behind-a-proxy.example"},
        {"Origin": "http://localhost"},
        {},
    ],
)
def test_form_of_the_page_itself_is_accepted(
    visitor: Client, headers: dict[str, str]
) -> None:
    response = visitor.post("/login", data={"user": "ada"}, headers=headers)
    assert response.status_code == 303
    assert on_page(visitor, "user") == "ada"


@pytest.mark.parametrize("path", ["/", "/live", "/plain", "/nowhere", "/login"])
def test_page_may_run_nothing_but_its_own_files_and_is_kept_by_no_cache(
    visitor: Client, path: str
) -> None:
    headers = visitor.get(path).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    if path != "/plain":
        policy = headers["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "style-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in headers["Content-Security-Policy"]


def test_cookie_is_hidden_from_scripts_and_from_other_sites(visitor: Client) -> None:
    cookie = visitor.get("/").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


@pytest.mark.parametrize("path", sorted(ASSETS))
def test_assets_do_not_touch_the_session(
    make_manager: MakeManager, visitor: Client, shown: list[str], path: str
) -> None:
    visitor.get("/")
    cookie = visitor.get_cookie(COOKIE)
    assert cookie is not None
    # Behind this one there is no Redis, so whoever looks gets a 503.
    other = visitors(make_manager, shown.append, redis=OUTAGE)()
    other.set_cookie(COOKIE, cookie.value)
    response = other.get(path)
    assert response.status_code == 200
    assert "Vary" not in response.headers
    assert "Set-Cookie" not in response.headers
    assert len(shown) == 1
    assert other.get("/").status_code == 503


def test_wrong_address_and_wrong_method_are_pages_too(visitor: Client) -> None:
    missing = visitor.get("/nowhere")
    assert missing.status_code == 404
    assert "Back to the page" in missing.text
    wrong = visitor.get("/logout")
    assert wrong.status_code == 405
    assert "POST" in wrong.headers["Allow"]


# Without Redis.


def test_page_without_redis_is_a_503(
    make_manager: MakeManager, own_server: LocalServer, shown: list[str]
) -> None:
    visitor = visitors(make_manager, shown.append, redis=own_server.url)()
    visitor.get("/")
    own_server.stop()
    response = visitor.get("/")
    assert response.status_code == 503
    assert "does not answer" in response.text
    assert "Set-Cookie" not in response.headers
    own_server.start()
    assert on_page(visitor, "visits") == "1"


def test_value_that_could_not_be_saved_is_a_503(
    make_manager: MakeManager, own_server: LocalServer, shown: list[str]
) -> None:
    visitor = visitors(make_manager, shown.append, redis=own_server.url)()
    own_server.stop()
    # Without a cookie nothing is loaded, so it is the saving that fails.
    response = visitor.post("/store", data={"name": "colour", "value": "blue"})
    assert response.status_code == 503
    assert "Set-Cookie" not in response.headers


def test_logout_that_did_not_happen_is_a_503(
    make_manager: MakeManager, own_server: LocalServer, shown: list[str]
) -> None:
    visitor = visitors(make_manager, shown.append, redis=own_server.url)()
    send(visitor, "/login", user="ada")
    own_server.stop()
    assert visitor.post("/logout").status_code == 503
    assert visitor.get_cookie(COOKIE) is not None


def test_page_without_redis_says_so_in_its_own_style(
    make_manager: MakeManager, own_server: LocalServer, shown: list[str]
) -> None:
    visitor = visitors(make_manager, shown.append, redis=own_server.url)()
    own_server.stop()
    response = visitor.post("/store", data={"name": "colour", "value": "blue"})
    assert "Back to the page" in response.text


# What is nested, and what is in the cookie.


@pytest.mark.parametrize("text", ['{"items": ["tea"], "sum": 1.5}', "[]", "[1, null]"])
def test_what_is_entered_as_json_is_stored_as_what_it_says(
    visitor: Client, text: str
) -> None:
    send(visitor, "/store", name="cart", value=text)
    stored = json.loads(element_of(visitor.get("/").text, "json"))
    assert stored["cart"] == json.loads(text)
    assert values(visitor) == {"cart": text}


@pytest.mark.parametrize(
    "text", ["[", "{]", "[" * 900, '{"a":' * 90, "12", '"a"', "[NaN"]
)
def test_all_else_is_stored_as_text(visitor: Client, text: str) -> None:
    send(visitor, "/store", name="cart", value=text)
    assert json.loads(element_of(visitor.get("/").text, "json"))["cart"] == text


def test_cookie_is_taken_apart_without_what_is_secret(visitor: Client) -> None:
    visitor.get("/")
    cookie = cookie_of(visitor)
    sid, created, _, _, issued, signature = cookie.split(".")
    page = visitor.get("/").text
    for part in (created, issued, f"{sid[:4]}…", f"{signature[:6]}…"):
        assert f">{part}<" in page
    assert sid[:8] not in page
    assert signature[:9] not in page


def test_cookie_that_was_made_up_is_not_taken_apart(visitor: Client) -> None:
    visitor.get("/")
    cookie = cookie_of(visitor)
    visitor.set_cookie(COOKIE, f"{cookie}x")
    assert "None that opens a session" in visitor.get("/live").text
    header = f"{COOKIE}={cookie.partition('.')[0]}.a.b; {COOKIE}={cookie}"
    both = Client(visitor.application, Response, use_cookies=False)
    page = both.get("/live", headers={"Cookie": header}).text
    assert page.count('class="cookie"') == 1


def test_live_part_stores_nothing(visitor: Client, db: redis.Redis) -> None:
    assert visitor.get("/live").status_code == 200
    assert db.keys() == []
    visitor.get("/")
    (key,) = db.keys()
    before = db.get(key)
    visitor.get("/live")
    assert db.get(key) == before


def test_cookie_is_not_that_of_an_application_on_the_same_host(visitor: Client) -> None:
    visitor.set_cookie("session", "another's")
    send(visitor, "/login", user="ada")
    send(visitor, "/logout")
    cookie = visitor.get_cookie("session")
    assert cookie is not None
    assert cookie.value == "another's"
