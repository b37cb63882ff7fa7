"""What the middleware adds to the headers of a response."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import middleware_site
import pytest
from conftest import Clock
from gateway import Site
from middleware_site import count
from werkzeug.middleware.proxy_fix import ProxyFix
from wsgi_apps import App
from wsgi_apps import Environ

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager

MakeManager = cabc.Callable[..., SessionManager]

site = middleware_site.site


def with_headers(
    *headers: tuple[str, str],
    status: str = "200 OK",
    step: cabc.Callable[[Environ], t.Any] = count,
) -> App:
    def app(environ: Environ, start_response: t.Any) -> list[bytes]:
        step(environ)
        start_response(status, list(headers))
        return []

    return app


@pytest.mark.parametrize(
    ("theirs", "merged"),
    [
        ([], "Cookie"),
        (["Accept-Encoding"], "Accept-Encoding, Cookie"),
        (["Accept-Encoding", "Origin"], "Accept-Encoding, Origin, Cookie"),
        (["Accept, COOKIE"], "Accept, COOKIE"),
        (["*"], "*"),
    ],
)
def test_response_that_depends_on_the_session_varies_with_the_cookie(
    site: Site, theirs: list[str], merged: str
) -> None:
    site.login()
    reading = with_headers(*[("vary", value) for value in theirs], step=look)
    assert site.get(reading).all("vary") == [merged]


def look(environ: Environ) -> None:
    get_session(environ).get("user")


@pytest.mark.parametrize(
    ("theirs", "merged"),
    [
        ([], "no-store"),
        (["no-store"], "no-store"),
        (["public, max-age=60"], "max-age=60, private"),
        (["public", "s-maxage=60, max-age=30"], "max-age=30, private"),
        (["private"], "private"),
    ],
)
def test_response_with_the_cookie_is_for_no_shared_cache(
    site: Site, theirs: list[str], merged: str
) -> None:
    headers = [("cache-control", value) for value in theirs]
    answer = site.get(with_headers(*headers))
    assert answer.all("cache-control") == [merged]
    assert len(answer.cookies) == 1


def test_cookie_of_the_same_name_is_replaced_and_others_are_kept(site: Site) -> None:
    answer = site.get(
        with_headers(
            ("Set-Cookie", "session=theirs; Path=/"),
            ("set-cookie", "theme=session=dark"),
            ("Set-Cookie", "sessions=7"),
        )
    )
    assert answer.cookies[:2] == ["theme=session=dark", "sessions=7"]
    assert len(answer.cookies) == 3
    assert "theirs" not in answer.cookies[2]
    assert site.data() == {"visits": 1}


@pytest.mark.parametrize(
    ("status", "method"),
    [
        ("200 OK", "HEAD"),
        ("204 No Content", "POST"),
        ("304 Not Modified", "GET"),
        ("200 OK", "GET"),
    ],
)
def test_response_without_a_body_gets_its_cookie_and_nothing_else(
    site: Site, status: str, method: str
) -> None:
    environ = site.gateway.environ(REQUEST_METHOD=method)
    answer = site.get(with_headers(("ETag", '"1"'), status=status), environ)
    assert [name for name, _ in answer.headers] == [
        "ETag",
        "Vary",
        "Cache-Control",
        "Set-Cookie",
    ]
    assert answer.body == b""
    assert site.data() == {"visits": 1}


@pytest.mark.parametrize(
    ("status", "control", "cookies"),
    [
        ("200 OK", "private", 1),
        ("200 OK", "public, max-age=60", 0),
        ("200 OK", "s-maxage=60", 0),
        ("200 OK", "immutable", 0),
        ("304 Not Modified", "private", 0),
    ],
)
def test_cookie_is_not_renewed_where_a_shared_cache_would_keep_it(
    make_manager: MakeManager, clock: Clock, status: str, control: str, cookies: int
) -> None:
    site = Site(make_manager(clock=clock))
    site.login()
    clock.move(3600)
    headers = [("Cache-Control", control)]
    answer = site.get(with_headers(*headers, status=status, step=look))
    assert len(answer.cookies) == cookies
    assert answer.all("cache-control") == [control]
    # A cookie that the browser needs is another matter.
    site.gateway.jar.clear()
    assert len(site.get(with_headers(*headers, status=status)).cookies) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_cookie_is_secure_where_the_request_came_over_https(
    site: Site, scheme: str
) -> None:
    environ = site.gateway.environ(**{"wsgi.url_scheme": scheme})
    (cookie,) = site.get(with_headers(), environ).cookies
    assert ("; Secure" in cookie) == (scheme == "https")


def test_cookie_is_secure_where_an_inner_layer_knows_that_https_was_used(
    site: Site,
) -> None:
    environ = site.gateway.environ(HTTP_X_FORWARDED_PROTO="https")
    (cookie,) = site.get(ProxyFix(with_headers()), environ).cookies
    assert "; Secure" in cookie
