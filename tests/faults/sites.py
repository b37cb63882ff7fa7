"""The site that is used while Redis fails: with our sessions, with redis-py alone, or
with Flask-Session."""

from __future__ import annotations

import collections.abc as cabc
import http.cookies
import json
import os
import secrets
import typing as t

import redis
from redis.cluster import RedisCluster
from redis.sentinel import Sentinel

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware

SECRET_KEY = "not a secret, this is a test"

SITES = ("ours", "bare", "flask-session")

App = t.Any
Sessions = cabc.MutableMapping[str, t.Any]

_JSON = [("Content-Type", "application/json")]


def act(path: str, query: str, session: Sessions) -> bytes:
    """Do what a page does with its session; what it shows of it."""
    if path == "/enter":
        session["name"], session["n"] = query, 0
    if path == "/write":
        session["n"] = int(query)
    if path == "/leave":
        session.clear()
    return json.dumps([session.get("name"), session.get("n")]).encode()


def page(environ: t.Any, start_response: t.Any) -> list[bytes]:
    """The site, with the sessions of the middleware."""
    body = b"[]"
    if environ["PATH_INFO"] != "/plain":
        session = get_session(environ)
        body = act(environ["PATH_INFO"], environ["QUERY_STRING"], session)
    start_response("200 OK", _JSON)
    return [body]


def client_of(url: str) -> t.Any:
    """A client of redis-py as its documentation makes it."""
    if "+cluster" in url:
        return RedisCluster.from_url(url.replace("+cluster", "").partition(",")[0])
    if "+sentinel" in url:
        places, service, _ = url.partition("://")[2].split("/")
        pairs = [place.split(":") for place in places.split(",")]
        addresses = [(host, int(port)) for host, port in pairs]
        return Sentinel(addresses, socket_timeout=1).master_for(service)
    return redis.Redis.from_url(url)


class BareSite:
    """What redis-py does with two commands and nothing else."""

    def __init__(self, url: str) -> None:
        self._client = client_of(url)

    def __call__(self, environ: t.Any, start_response: t.Any) -> list[bytes]:
        path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
        headers, body = [*_JSON], b"[]"
        if path != "/plain":
            cookies = http.cookies.SimpleCookie(environ.get("HTTP_COOKIE", ""))
            known = cookies.get("session")
            sid = known.value if known else secrets.token_urlsafe(24)
            session = json.loads(self._client.get(f"bare:{sid}") or "{}")
            body = act(path, query, session)
            if path != "/read":
                self._client.set(f"bare:{sid}", json.dumps(session), ex=3600)
                headers.append(("Set-Cookie", f"session={sid}"))
        start_response("200 OK", headers)
        return [body]


def flask_session(url: str) -> App:
    """The same with Flask-Session as it comes."""
    import flask
    from flask_session import Session

    app = flask.Flask("site")
    app.config |= {
        "SECRET_KEY": SECRET_KEY,
        "SESSION_TYPE": "redis",
        "SESSION_REDIS": client_of(url),
    }
    Session(app)

    @app.route("/<path>")
    def show(path: str) -> flask.Response:
        body = b"[]"
        if path != "plain":
            query = flask.request.query_string.decode()
            body = act(f"/{path}", query, flask.session)
        return flask.Response(body, mimetype="application/json")

    return app


def ours(url: str, **options: t.Any) -> App:
    """The site with our sessions."""
    sessions = SessionManager(url, secret_key=SECRET_KEY, **options)
    return SessionMiddleware(page, sessions)


def site() -> App:
    """For a server in another process: what the environment says."""
    kind, url = os.environ["FAULTS_SITE"], os.environ["FAULTS_REDIS"]
    if kind == "bare":
        return BareSite(url)
    if kind == "flask-session":
        return flask_session(url)
    return ours(url, **json.loads(os.environ.get("FAULTS_OPTIONS", "{}")))
