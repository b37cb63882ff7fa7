"""Sessions that other libraries have left are read as they read them."""

from __future__ import annotations

import json
import typing as t
from datetime import UTC

import pytest
import redis
from conftest import SECRET_KEY
from flask import flash
from flask import Flask
from flask import session as flask_session
from flask_session import Session as FlaskSession
from legacy_reading import any_left
from legacy_reading import packed
from legacy_reading import reader
from legacy_reading import VALUES
from legacy_sessions import Left

from wsgi_redis_session.errors import Undecodable
from wsgi_redis_session.legacy.reader import LegacyReader


class FlaskSessionSite:
    """An application on Flask-Session as it is today, which one visitor has used."""

    def __init__(self, db: redis.Redis, **config: t.Any) -> None:
        self.app = Flask(__name__)
        self.app.config.update(
            SECRET_KEY=SECRET_KEY, SESSION_TYPE="redis", SESSION_REDIS=db, **config
        )
        FlaskSession(self.app)
        self.client = self.app.test_client()
        self.db = db

    def store(self, **values: t.Any) -> Left:
        @self.app.get("/")
        def index() -> str:
            flask_session.update(values)
            flash("saved")
            return ""

        assert self.client.get("/").status_code == 200
        [key] = t.cast(list[bytes], self.db.keys("session:*"))
        cookie = self.client.get_cookie("session")
        assert cookie is not None
        sid = key.decode().removeprefix("session:")
        data = t.cast(bytes, self.db.get(key))
        permanent = self.app.config.get("SESSION_PERMANENT", True)
        return Left(cookie.value, sid, data, permanent, self.read(sid))

    def read(self, sid: str) -> dict[str, t.Any]:
        """The values as Flask-Session itself reads them."""
        interface = t.cast(t.Any, self.app.session_interface)
        values = interface._retrieve_session_data(f"session:{sid}")
        return {name: it for name, it in values.items() if name != "_permanent"}


@pytest.fixture(
    params=[
        {"SESSION_SERIALIZATION_FORMAT": "msgpack"},
        {"SESSION_SERIALIZATION_FORMAT": "json"},
        {"SESSION_USE_SIGNER": True},
        {"SESSION_USE_SIGNER": True, "SESSION_SERIALIZATION_FORMAT": "json"},
        {"SESSION_PERMANENT": False},
        {"SESSION_ID_LENGTH": 12},
        {"SESSION_ID_LENGTH": 96},
    ],
    ids=lambda config: ",".join(map(str, config.values())),
)
def site(request: pytest.FixtureRequest, db: redis.Redis) -> FlaskSessionSite:
    if "SESSION_USE_SIGNER" not in request.param:
        return FlaskSessionSite(db, **request.param)
    with pytest.warns(DeprecationWarning, match="use_signer"):
        return FlaskSessionSite(db, **request.param)


def test_session_of_flask_session_today_is_read_as_it_reads_it_itself(
    site: FlaskSessionSite,
) -> None:
    left = site.store(**VALUES)
    values, permanent = LegacyReader([SECRET_KEY], allow_pickle=False).loads(left.data)
    assert packed(values) == packed(left.values)
    assert values["_flashes"] == [["message", "saved"]]
    assert permanent is left.permanent


def test_cookie_of_flask_session_today_names_its_session(
    site: FlaskSessionSite,
) -> None:
    left = site.store()
    assert reader.sid(left.cookie) == left.sid


def test_aware_datetime_in_messagepack_comes_back_as_one(db: redis.Redis) -> None:
    left = FlaskSessionSite(db).store(aware=VALUES["aware"], early=VALUES["early"])
    values, _ = reader.loads(left.data)
    assert values["aware"] == VALUES["aware"]
    assert values["early"] == VALUES["early"]
    assert values["early"].tzinfo is UTC


@any_left
def test_session_of_an_earlier_library_is_read_with_its_types(left: Left) -> None:
    values, permanent = reader.loads(left.data)
    assert packed(values) == packed(left.values)
    assert permanent is left.permanent


@any_left
def test_cookie_of_an_earlier_library_names_its_session(left: Left) -> None:
    assert reader.sid(left.cookie) == left.sid


@any_left
def test_pickle_is_not_read_where_it_is_not_allowed(left: Left) -> None:
    with pytest.raises(Undecodable, match="pickles are not allowed"):
        LegacyReader([SECRET_KEY], allow_pickle=False).loads(left.data)


def test_sessions_of_theirs_may_be_as_large_as_ours() -> None:
    stored = json.dumps({"cart": "x" * 1_200_000}).encode()
    with pytest.raises(Undecodable, match="more than 1048576 bytes"):
        LegacyReader([SECRET_KEY], allow_pickle=False).loads(stored)
    reader = LegacyReader([SECRET_KEY], allow_pickle=False, max_bytes=2_000_000)
    assert len(reader.loads(stored)[0]["cart"]) == 1_200_000
