"""Where a user of the tutorial is logged in: by its pages, and in two real browsers."""

from __future__ import annotations

import collections.abc as cabc
import importlib
import pathlib
import re
import sys
import typing as t

import pytest
from browser import Browser
from browser import DESKTOP
from browser import EXAMPLES
from browser import PHONE
from browser import Site
from conftest import SECRET_KEY
from flask import Flask
from flask.testing import FlaskClient

from wsgi_redis_session.flask import EXTENSION
from wsgi_redis_session.local_server import LocalServer

PASSWORD = "correct horse"
NEW_PASSWORD = "battery staple"

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)


@pytest.fixture
def app(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer, tmp_path: pathlib.Path
) -> cabc.Iterator[Flask]:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setenv("SECRET_KEY", SECRET_KEY)
    monkeypatch.setenv("SESSION_REDIS", server.url)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/users.sqlite")
    app = importlib.import_module("flask_tutorial").create_app()
    yield app
    app.extensions[EXTENSION].disconnect()
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()


class Device:
    """A browser with a name, in front of the application."""

    def __init__(self, app: Flask, user_agent: str = FIREFOX) -> None:
        self.client: FlaskClient = app.test_client()
        self.headers = {"User-Agent": user_agent}

    def get(self, path: str) -> str:
        return self.client.get(path, headers=self.headers).text

    def post(self, path: str, page: str = "", **fields: str) -> int:
        """Send a form with the token that is on its page; the status."""
        found = re.search(
            r'name="csrf_token"[^>]* value="([^"]+)"', self.get(page or path)
        )
        form = {"csrf_token": found[1] if found else "", **fields}
        response = self.client.post(path, data=form, headers=self.headers)
        return response.status_code

    def sign_up(self, name: str) -> t.Self:
        email = f"{name.lower()}@example.com"
        words = {"password": PASSWORD, "confirm": PASSWORD}
        assert self.post("/signup", name=name, email=email, **words) == 302
        return self

    def log_in(self, name: str, password: str = PASSWORD) -> t.Self:
        self.post("/login", email=f"{name.lower()}@example.com", password=password)
        return self

    @property
    def is_in(self) -> bool:
        return "Hello, " in self.get("/")

    @property
    def listed(self) -> list[str]:
        """The names of the devices on the page."""
        found = re.findall("<h2>(.*?)</h2>", self.get("/devices"))
        return [re.sub("<.*?>", "", name) for name in found]


def test_devices_have_names_and_this_one_is_marked(app: Flask) -> None:
    one = Device(app).sign_up("Ada")
    Device(app, IPHONE).log_in("Ada")
    Device(app).sign_up("Grace")
    assert one.listed == ["Firefox on Linux This device", "Safari on an iPhone"]
    assert "from 127.0.0.1" in one.get("/devices")


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        (IPHONE, "Safari on an iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140.0", "Chrome on Android"),
        ("Mozilla/5.0 (Macintosh; Mac OS X) Safari/605.1", "Safari on a Mac"),
        ("curl/8.0", "An unknown device"),
        ("", "An unknown device"),
        (None, "An unknown device"),
        ("<script>alert(1)</script>", "An unknown device"),
    ],
)
def test_name_of_a_device_is_what_people_call_it(
    app: Flask, user_agent: str | None, name: str
) -> None:
    assert sys.modules["flask_tutorial.devices"].device_name(user_agent) == name


def device_of(device: Device, other: str) -> str:
    """The id of another device, as the page has it."""
    page = device.get("/devices")
    item = next(part for part in page.split("<li>") if other in part)
    found = re.search(r'name="device"[^>]* value="([^"]+)"', item)
    assert found
    return found[1]


def test_one_device_is_logged_out(app: Flask) -> None:
    one = Device(app).sign_up("Ada")
    phone, third = Device(app, IPHONE).log_in("Ada"), Device(app).log_in("Ada")
    device = device_of(one, "iPhone")
    assert one.post("/devices", device=device) == 302
    assert "Safari on an iPhone is logged out." in one.get("/devices")
    assert [one.is_in, phone.is_in, third.is_in] == [True, False, True]
    assert one.post("/devices", device=device) == 302
    assert "That device was logged out already." in one.get("/devices")


def test_everywhere_else_is_logged_out_once_that_is_confirmed(app: Flask) -> None:
    one = Device(app).sign_up("Ada")
    others = [Device(app, IPHONE).log_in("Ada"), Device(app).log_in("Ada")]
    page = one.get("/devices/others")
    assert "Log out everywhere else?" in page
    assert "Safari on an iPhone" in page
    assert all(other.is_in for other in others)
    assert one.post("/devices/others") == 302
    assert "2 other devices are logged out." in one.get("/devices")
    assert one.is_in
    assert not any(other.is_in for other in others)


def test_change_of_the_password_logs_out_everywhere_else(app: Flask) -> None:
    one = Device(app).sign_up("Ada")
    other = Device(app, IPHONE).log_in("Ada")
    before = one.client.get_cookie("session")
    fields = {"password": NEW_PASSWORD, "confirm": NEW_PASSWORD}
    assert one.post("/password", current="wrong", **fields) == 200
    assert other.is_in
    assert one.post("/password", current=PASSWORD, **fields) == 302
    assert "One other device is logged out." in one.get("/devices")
    assert one.is_in
    assert not other.is_in
    assert one.client.get_cookie("session") != before
    assert not Device(app).log_in("Ada").is_in
    assert Device(app).log_in("Ada", NEW_PASSWORD).is_in


@pytest.mark.parametrize("path", ["/devices", "/devices/others", "/password"])
def test_page_is_for_those_who_are_logged_in(app: Flask, path: str) -> None:
    stranger = Device(app)
    for method in ("GET", "POST"):
        if (method, path) != ("POST", "/nowhere"):
            response = stranger.client.open(path, method=method)
            assert response.status_code == 302
            assert response.location.startswith("/login")


@pytest.mark.parametrize("path", ["/devices", "/devices/others", "/password"])
def test_form_of_another_site_ends_nothing(app: Flask, path: str) -> None:
    one, other = Device(app).sign_up("Ada"), Device(app, IPHONE).log_in("Ada")
    fields = {
        "device": device_of(one, "iPhone"),
        "current": PASSWORD,
        "password": NEW_PASSWORD,
        "confirm": NEW_PASSWORD,
    }
    assert one.client.post(path, data=fields).status_code in (200, 400)
    assert other.is_in
    assert one.is_in


@pytest.mark.parametrize("device", ["", "x", "0" * 16])
def test_device_of_nobody_is_no_error_of_the_site(app: Flask, device: str) -> None:
    one = Device(app).sign_up("Ada")
    assert one.post("/devices", page="/devices/others", device=device) in (302, 400)
    assert one.is_in


# In two real browsers.


@pytest.fixture
def site(own_server: LocalServer, tmp_path: pathlib.Path) -> cabc.Iterator[Site]:
    with Site(
        "flask_tutorial:create_app()",
        tmp_path / "gunicorn.log",
        SECRET_KEY=SECRET_KEY,
        SESSION_REDIS=own_server.url,
        DATABASE_URL=f"sqlite:///{tmp_path}/users.sqlite",
    ) as site:
        site.start()
        yield site


@pytest.fixture
def browsers(
    site: Site, tmp_path: pathlib.Path
) -> cabc.Iterator[tuple[Browser, Browser]]:
    """Two, in both of which Ada is logged in."""
    one = Browser(site.url, tmp_path / "profile-1")
    two = Browser(site.url, tmp_path / "profile-2")
    try:
        one.open("/signup")
        email, words = "ada@example.com", {"password": PASSWORD, "confirm": PASSWORD}
        one.submit(name="Ada", email=email, **words)
        two.open("/login")
        two.submit(email=email, password=PASSWORD)
        assert one.heading == two.heading == "Hello, Ada!"
        yield one, two
    finally:
        one.close()
        two.close()


def test_browser_that_was_logged_out_is_out_at_its_next_click(
    browsers: tuple[Browser, Browser], tmp_path: pathlib.Path
) -> None:
    one, two = browsers
    one.click("Devices")
    assert one.heading == "Where you're logged in"
    for device, size in (("phone", PHONE), ("desktop", DESKTOP)):
        one.resize(size)
        one.photograph(tmp_path / "screenshots" / f"devices-{device}.png")
        assert one.overflow == 0, device
    one.click("Log out everywhere else")
    assert one.heading == "Log out everywhere else?"
    one.submit()
    assert one.messages == ["One other device is logged out."]
    two.click("Session")
    assert two.path == "/login?next=/session"
    one.click("Session")
    assert one.path == "/session"


def test_browser_is_out_when_the_password_is_changed_in_the_other_one(
    browsers: tuple[Browser, Browser],
) -> None:
    one, two = browsers
    one.click("Devices")
    one.click("Change your password")
    before = one.cookie
    one.submit(current=PASSWORD, password=NEW_PASSWORD, confirm=NEW_PASSWORD)
    assert one.messages == ["Your password is changed. One other device is logged out."]
    assert one.cookie != before
    two.click("Session")
    assert two.path == "/login?next=/session"
