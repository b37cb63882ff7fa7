"""Nobody is logged out by the switch: sessions of other libraries go on as ours."""

from __future__ import annotations

import collections.abc as cabc
import json
import os
import pathlib
import pickle
import subprocess
import sys
import typing as t
import urllib.request
from http.cookiejar import CookieJar

import ormsgpack
import pytest
import redis
from itsdangerous import Signer
from proxy import Proxy
from visitors import commands
from visitors import cookie_header
from visitors import look
from visitors import pass_time
from visitors import Request

from wsgi_redis_session import SessionEvent
from wsgi_redis_session import SessionManager
from wsgi_redis_session.local_server import LocalServer

MakeManager = cabc.Callable[..., SessionManager]

SID = "JvY0n0wO3l-1mSDCF9uSYDg0cEvLWFyPM8Zp5nLVk_4"
UUID_SID = "0f8fad5b-d9cb-469f-a165-70867728950e"
CONTENTS = {"_permanent": True, "_user_id": "42", "cart": [1, 2]}


@pytest.fixture
def manager(make_manager: MakeManager) -> SessionManager:
    return make_manager(
        migrate_from="flask-session", migrate_pickle=True, user_key="_user_id"
    )


def leave(db: redis.Redis, sid: str = SID, contents: t.Any = CONTENTS) -> str:
    """Leave a session behind as Flask-Session 0.8 does; its Cookie header."""
    db.set(f"session:{sid}", ormsgpack.packb(contents), ex=1000)
    return f"session={sid}"


@pytest.mark.parametrize("sid", [SID, UUID_SID])
@pytest.mark.parametrize("dumps", [ormsgpack.packb, pickle.dumps, json.dumps])
def test_session_goes_on_under_a_new_sid_and_the_old_key_is_deleted(
    manager: SessionManager, db: redis.Redis, sid: str, dumps: t.Any
) -> None:
    db.set(f"session:{sid}", dumps(CONTENTS), ex=1000)
    request = Request(manager, f"session={sid}")
    assert not request.session.new
    assert request.session.permanent
    assert request.session.copy() == {"_user_id": "42", "cart": [1, 2]}
    set_cookie = request.commit()
    assert set_cookie is not None
    assert "Max-Age=2678400" in set_cookie
    assert not db.exists(f"session:{sid}")
    renewed = cookie_header(set_cookie)
    assert sid not in renewed
    assert look(manager, renewed) == {"_user_id": "42", "cart": [1, 2]}


def test_old_cookie_leads_to_the_adopted_session_as_long_as_that_lives(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = leave(db)
    lost = Request(manager, header)  # the answer never arrived
    lost.commit()
    pass_time(db, 7 * 86400)
    request = Request(manager, header)
    assert request.session["_user_id"] == "42"
    renewed = cookie_header(request.commit())
    assert Request(manager, renewed).session.sid == request.session.sid
    logout = Request(manager, renewed)
    logout.session.destroy()
    logout.commit()
    assert look(manager, header) == look(manager, renewed) == {}


def test_adoption_that_was_broken_off_brings_nothing_back_after_a_logout(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = leave(db)
    contents = db.get(f"session:{SID}")
    Request(manager, header).commit()
    db.set(f"session:{SID}", contents)  # as if it had not been deleted any more
    logout = Request(manager, header)
    assert logout.session["_user_id"] == "42"
    assert not db.exists(f"session:{SID}")
    logout.session.destroy()
    logout.commit()
    assert look(manager, header) == {}


def test_lost_reply_to_the_deletion_loses_nothing(
    make_manager: MakeManager, server: LocalServer, db: redis.Redis
) -> None:
    header = leave(db)
    with Proxy(server.socket) as proxy:
        manager = make_manager(proxy.url, migrate_from="flask-session")
        request = Request(manager, header)
        proxy.lose_replies("DEL")
        renewed = cookie_header(request.commit())
        assert look(manager, renewed) == {"_user_id": "42", "cart": [1, 2]}


def test_login_at_the_first_request_shuts_the_old_cookie_out(
    make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(migrate_from="flask-session", user_key="_user_id")
    db.set(f"session:{SID}", ormsgpack.packb({"cart": [1], "_permanent": True}))
    header = f"session={SID}"
    login, late = Request(manager, header), Request(manager, header)
    login.session["_user_id"] = "1"
    logged_in = cookie_header(login.commit())
    assert look(manager, logged_in) == {"cart": [1], "_user_id": "1"}
    assert look(manager, header) == {"cart": [1]}
    late.session["x"] = 1
    assert late.commit() is None
    assert look(manager, logged_in) == {"cart": [1], "_user_id": "1"}


def test_login_in_a_request_that_comes_second_renews_the_session(
    make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(migrate_from="flask-session", user_key="_user_id")
    db.set(f"session:{SID}", ormsgpack.packb({"cart": [1]}))
    first, login = (Request(manager, f"session={SID}") for _ in "12")
    adopted = cookie_header(first.commit())
    login.session["_user_id"] = "1"
    logged_in = cookie_header(login.commit())
    assert adopted != logged_in
    assert look(manager, logged_in) == {"cart": [1], "_user_id": "1"}
    assert "_user_id" not in look(manager, adopted)
    assert "_user_id" not in look(manager, f"session={SID}")


def test_only_a_few_cookies_are_looked_up(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = "; ".join(f"session={'x' * 20}{number}" for number in range(300))
    manager.ping()  # it is connected
    assert commands(db, lambda: look(manager, header)) == {"get": 8}


def test_cookie_that_nobody_signed_can_be_refused(
    make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(
        secret_key="old", migrate_from="flask-session", migrate_signed=True
    )
    leave(db)
    assert look(manager, f"session={SID}") == {}
    signed = Signer("old", salt="flask-session", key_derivation="hmac").sign(SID)
    assert look(manager, f"session={signed.decode()}")["_user_id"] == "42"


def test_signed_session_id_is_read_with_any_secret(
    make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(
        secret_key="new", secret_key_fallbacks=["old"], migrate_from="flask-session"
    )
    leave(db)
    signed = Signer("old", salt="flask-session", key_derivation="hmac").sign(SID)
    forged = Signer("bad", salt="flask-session", key_derivation="hmac").sign(SID)
    assert look(manager, f"session={forged.decode()}") == {}
    assert look(manager, f"session={signed.decode()}") == {
        "_user_id": "42",
        "cart": [1, 2],
    }


def test_nothing_is_read_unless_asked_for(
    make_manager: MakeManager, db: redis.Redis, events: list[SessionEvent]
) -> None:
    header = leave(db)
    assert look(make_manager(), header) == {}
    assert events[-1].name == "rejected"


def test_pickle_is_not_read_unless_asked_for(
    make_manager: MakeManager, db: redis.Redis, events: list[SessionEvent]
) -> None:
    manager = make_manager(migrate_from="flask-session")
    db.set(f"session:{SID}", pickle.dumps(CONTENTS))
    assert look(manager, f"session={SID}") == {}
    assert "undecodable" in [event.name for event in events]
    assert db.exists(f"session:{SID}")


class Bomb:
    def __init__(self, crater: pathlib.Path) -> None:
        self.crater = crater

    def __reduce__(self) -> tuple[t.Any, tuple[str]]:
        return os.mkdir, (str(self.crater),)


def test_hostile_pickle_is_a_new_session_and_an_event(
    manager: SessionManager,
    db: redis.Redis,
    events: list[SessionEvent],
    tmp_path: pathlib.Path,
) -> None:
    crater = tmp_path / "crater"
    db.set(f"session:{SID}", pickle.dumps({"_user_id": "1", "bomb": Bomb(crater)}))
    assert look(manager, f"session={SID}") == {}
    assert "undecodable" in [event.name for event in events]
    assert not crater.exists()


def test_two_first_requests_at_once_end_in_one_session_with_both_changes(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = leave(db)
    one, two = Request(manager, header), Request(manager, header)
    one.session["one"] = 1
    two.session["two"] = 2
    renewed = cookie_header(one.commit())
    # Each of them has come with the old cookie, and takes a new one home.
    assert cookie_header(two.commit()).startswith(renewed[:50])
    two.session["later"] = True
    manager.commit(two.session, headers_sent=True)
    expected = {"_user_id": "42", "cart": [1, 2], "one": 1, "two": 2, "later": True}
    assert look(manager, renewed) == expected
    assert len([*db.scan_iter(_type="string")]) == 2


def test_reader_that_comes_second_changes_nothing(
    manager: SessionManager, db: redis.Redis
) -> None:
    header = leave(db)
    one, two = Request(manager, header), Request(manager, header)
    assert two.session["cart"] == [1, 2]
    renewed = cookie_header(one.commit())
    assert cookie_header(two.commit()).startswith(renewed[:50])
    assert manager.commit(two.session, headers_sent=True).cookie is None
    assert look(manager, renewed) == {"_user_id": "42", "cart": [1, 2]}


def test_logout_of_a_session_that_is_just_being_moved_stands(
    manager: SessionManager, db: redis.Redis
) -> None:
    for first, second in (("move", "logout"), ("logout", "move")):
        header = leave(db)
        requests = {
            "move": Request(manager, header),
            "logout": Request(manager, header),
        }
        requests["logout"].session.destroy()
        issued = [requests[first].commit(), requests[second].commit()]
        assert not db.exists(f"session:{SID}")
        for set_cookie in filter(None, issued):
            assert look(manager, cookie_header(set_cookie)) == {}
        assert look(manager, header) == {}
        db.flushall()


def test_logout_at_the_first_request_deletes_the_old_key(
    manager: SessionManager, db: redis.Redis
) -> None:
    for log_out in ("destroy", "clear"):
        request = Request(manager, leave(db))
        getattr(request.session, log_out)()
        set_cookie = request.commit()
        assert set_cookie is not None
        assert "Max-Age=0" in set_cookie
        assert not db.exists(f"session:{SID}")
        assert look(manager, f"session={SID}") == {}
        db.flushall()


def test_session_id_of_ours_is_no_foreign_session_id(
    make_manager: MakeManager, db: redis.Redis
) -> None:
    manager = make_manager(migrate_from="flask-session", key_prefix="session:")
    session = manager.open("")
    session["user"] = "Ada"
    manager.commit(session)
    assert look(manager, f"session={session.id}") == {}
    assert len(db.keys()) == 1


SITE = """\
import os
import sys

import redis
from flask import Flask
from flask import session
from flask_login import LoginManager
from flask_login import UserMixin
from flask_login import current_user
from flask_login import login_required
from flask_login import login_user
from flask_session import Session
from werkzeug.serving import make_server


class User(UserMixin):
    id = "42"


app = Flask(__name__)
app.config.update(
    SECRET_KEY="not a secret, this is a test",
    SESSION_TYPE="redis",
    SESSION_REDIS=redis.from_url(os.environ["SESSION_REDIS"]),
    SESSION_SERIALIZATION_FORMAT=os.environ["SESSION_FORMAT"],
    SESSION_MIGRATE_FROM="flask-session",
    SESSION_MIGRATE_PICKLE=True,
)
Session(app)
login_manager = LoginManager(app)
login_manager.user_loader(lambda user_id: User())


@app.get("/login")
def login():
    login_user(User())
    session["cart"] = ["apple"]
    return "welcome"


@app.get("/")
@login_required
def index():
    return f"user {current_user.get_id()} has {session['cart']}"


with make_server("127.0.0.1", 0, app) as server:
    print(server.port, flush=True)
    server.serve_forever()
"""


class Site:
    """The site in a process of its own."""

    def __init__(self, program: pathlib.Path, environ: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, program],
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> str:
        assert self.process.stdout is not None
        return f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def __exit__(self, *exc_info: object) -> None:
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.mark.parametrize("stored_as", ["msgpack", "json", "pickle"])
def test_user_of_flask_session_stays_logged_in_when_the_import_is_replaced(
    server: LocalServer, db: redis.Redis, tmp_path: pathlib.Path, stored_as: str
) -> None:
    before, after = tmp_path / "before.py", tmp_path / "after.py"
    before.write_text(SITE)
    after.write_text(SITE.replace("flask_session", "wsgi_redis_session.flask"))
    environ = {
        "SESSION_REDIS": server.url,
        "SESSION_FORMAT": "json" if stored_as == "json" else "msgpack",
        "PYTHONWARNINGS": "ignore",
    }
    jar = CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

    def get(url: str) -> str:
        with browser.open(url, timeout=10) as response:
            return t.cast(str, response.read().decode())

    with Site(before, environ) as url:
        assert get(f"{url}/login") == "welcome"
        assert get(url) == "user 42 has ['apple']"
    (key,) = db.keys()
    if stored_as == "pickle":  # as all versions before 0.7 have stored it
        db.set(key, pickle.dumps(ormsgpack.unpackb(db.get(key))), keepttl=True)
    (cookie,) = jar
    old = cookie.value
    with Site(after, environ) as url:
        assert get(url) == "user 42 has ['apple']"
        (cookie,) = jar
        assert cookie.value != old
        assert not db.exists(key)
        assert get(url) == "user 42 has ['apple']"
