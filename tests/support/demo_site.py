"""The demo in this process, as its visitors see it."""

from __future__ import annotations

import collections.abc as cabc
import html
import re
import typing as t

import pytest
from browser import PATIENCE
from werkzeug.test import Client
from werkzeug.test import TestResponse
from werkzeug.wrappers import Response

from wsgi_redis_session import SessionManager
from wsgi_redis_session.demo.app import Demo
from wsgi_redis_session.demo.gates import Gates
from wsgi_redis_session.demo.runner import OPTIONS

MakeManager = cabc.Callable[..., SessionManager]
MakeVisitor = cabc.Callable[[], Client]

COOKIE = OPTIONS["cookie_name"]
KEY_PREFIX = OPTIONS["key_prefix"]

# Fixtures, for test modules that give them their names.


@pytest.fixture
def shown() -> list[str]:
    """What the demo has printed."""
    return []


@pytest.fixture
def make_visitor(make_manager: MakeManager, shown: list[str]) -> MakeVisitor:
    """Make browsers, all of them in front of one demo."""
    return visitors(make_manager, shown.append)


@pytest.fixture
def visitor(make_visitor: MakeVisitor) -> Client:
    return make_visitor()


def visitors(
    make_manager: MakeManager, show: cabc.Callable[[str], object], **options: t.Any
) -> MakeVisitor:
    gates = Gates(patience=PATIENCE)
    app = Demo(make_manager(**OPTIONS, **options), show, gates=gates)
    return lambda: Client(app, Response)


def on_page(visitor: Client, element: str) -> str:
    """The text of an element of the page."""
    return element_of(visitor.get("/").text, element)


def element_of(page: str, element: str) -> str:
    found = re.search(rf'<(\w+) id="{element}">(.*?)</\1>', page, re.DOTALL)
    assert found is not None, f"no {element} on the page"
    return html.unescape(re.sub(r"<[^>]*>", "", found[2]))


def values(visitor: Client) -> dict[str, str]:
    """What the page offers to change."""
    fields = re.findall(r'name="(name|value)" value="(.*?)"', visitor.get("/").text)
    texts = [html.unescape(text) for _, text in fields]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def send(visitor: Client, path: str, **form: str) -> TestResponse:
    response = visitor.post(path, data=form)
    assert response.status_code == 303
    assert response.location == "/"
    return response


def cookie_of(visitor: Client) -> str:
    """The value of the visitor's cookie."""
    cookie = visitor.get_cookie(COOKIE)
    assert cookie is not None
    return cookie.value
