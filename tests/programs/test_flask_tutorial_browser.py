"""The example for Flask as it is started, and in a real browser."""

from __future__ import annotations

import collections.abc as cabc
import os
import pathlib
import re
import signal
import subprocess
import sys
import typing as t

import pytest
import redis
from browser import Browser
from browser import DESKTOP
from browser import environment
from browser import EXAMPLES
from browser import get
from browser import PATIENCE
from browser import PHONE
from browser import Site
from tutorial_site import MUST_LOG_IN
from tutorial_site import PASSWORD
from tutorial_site import tutorial
from tutorial_site import WRONG

from wsgi_redis_session.local_server import LocalServer

OpenBrowser = cabc.Callable[[str], Browser]


@pytest.fixture
def database(tmp_path: pathlib.Path) -> str:
    return f"sqlite:///{tmp_path}/users.sqlite"


# Starting it.


class Started:
    """The example as README.rst starts it, by one command, until the block ends."""

    def __init__(self, directory: pathlib.Path) -> None:
        environ = environment(TMPDIR=str(directory), INSTANCE_PATH=str(directory / "i"))
        for variable in ("SESSION_REDIS", "SECRET_KEY", "DATABASE_URL"):
            environ.pop(variable, None)
        run = str(EXAMPLES / "flask_tutorial" / "run.py")
        self.process = subprocess.Popen(
            [sys.executable, run, "--port", "0"],
            env=environ,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self.url = ""

    def __enter__(self) -> t.Self:
        assert self.process.stderr is not None
        while not self.url and (line := self.process.stderr.readline()):
            if found := re.search(r"Running on (http://\S+)", line):
                self.url = found[1]
        assert self.url
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()


def test_it_starts_with_one_command_and_takes_its_server_with_it(
    tmp_path: pathlib.Path,
) -> None:
    with Started(tmp_path) as site:
        assert get(f"{site.url}/login")[0] == 200
        (directory,) = tmp_path.glob("sessions-*")
        with redis.Redis(unix_socket_path=f"{directory}/redis.sock") as client:
            server_pid = client.info("server")["process_id"]
            assert len(client.keys()) == 1
    assert not directory.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(server_pid, 0)


def test_started_again_it_knows_who_was_logged_in(
    open_browser: OpenBrowser, tmp_path: pathlib.Path
) -> None:
    with Started(tmp_path) as site:
        browser = open_browser(site.url)
        sign_up(browser, "Ada")
        stored = browser.text("output")
    with Started(tmp_path) as site:
        browser.url = site.url  # to a cookie, all ports of a host are one
        browser.open("/session")
        assert browser.text("output") == stored
        assert browser.text("#written-by") != browser.text("#read-by")
    key = tmp_path / "i" / "secret_key"
    assert key.stat().st_mode & 0o077 == 0


# In a real browser.


@pytest.fixture
def site(
    own_server: LocalServer, database: str, tmp_path: pathlib.Path
) -> cabc.Iterator[Site]:
    with tutorial(own_server, database, tmp_path) as site:
        site.start()
        yield site


@pytest.fixture
def open_browser(tmp_path: pathlib.Path) -> cabc.Iterator[OpenBrowser]:
    opened: list[Browser] = []

    def open_(url: str) -> Browser:
        opened.append(Browser(url, tmp_path / f"profile-{len(opened)}"))
        return opened[-1]

    yield open_
    for browser in opened:
        browser.close()


@pytest.fixture
def browser(site: Site, open_browser: OpenBrowser) -> Browser:
    return open_browser(site.url)


def sign_up(browser: Browser, name: str) -> None:
    browser.open("/signup")
    email = f"{name.lower()}@example.com"
    browser.submit(name=name, email=email, password=PASSWORD, confirm=PASSWORD)
    assert browser.heading == f"Hello, {name}!"


def test_browser_signs_up_and_is_shown_what_its_session_holds(browser: Browser) -> None:
    browser.open("/")
    assert browser.path == "/login?next=/"
    assert browser.messages == [MUST_LOG_IN]
    browser.reload()
    assert browser.messages == []
    sign_up(browser, "Ada")
    assert browser.path == "/"
    stored = browser.text("output")
    assert stored.startswith("Ada was here at ")
    browser.click("Session")
    assert browser.path == "/session"
    assert browser.text("output") == stored
    assert browser.cookie
    assert browser.driver.execute_script("return document.cookie") == ""


def test_second_browser_sees_only_its_own_value(
    site: Site, open_browser: OpenBrowser
) -> None:
    ada, grace = open_browser(site.url), open_browser(site.url)
    sign_up(ada, "Ada")
    sign_up(grace, "Grace")
    assert ada.cookie != grace.cookie
    for browser, name in ((ada, "Ada"), (grace, "Grace")):
        browser.open("/session")
        assert browser.text("output").startswith(f"{name} was here at ")


def test_browser_is_still_logged_in_after_a_restart_of_the_site(
    site: Site, browser: Browser
) -> None:
    sign_up(browser, "Ada")
    stored = browser.text("output")
    site.stop()
    site.start()
    browser.click("Session")
    assert browser.text("output") == stored


def test_back_button_brings_back_no_page_of_an_account_after_logout(
    browser: Browser,
) -> None:
    sign_up(browser, "Ada")
    browser.click("Session")
    browser.press("logout")
    assert browser.path == "/login"
    for _ in range(2):
        browser.back()
        assert browser.path.startswith("/login?next=/")
        assert browser.heading == "Log in"
        assert "Ada" not in browser.driver.page_source


def test_every_page_fits_a_phone_and_a_desktop(
    browser: Browser, own_server: LocalServer, tmp_path: pathlib.Path
) -> None:
    def look(name: str) -> None:
        for device, size in (("phone", PHONE), ("desktop", DESKTOP)):
            browser.resize(size)
            browser.photograph(tmp_path / "screenshots" / f"{name}-{device}.png")
            assert browser.overflow == 0, (name, device)

    browser.open("/")
    look("login")
    browser.submit(email="ada@example.com", password="wrong password")
    assert browser.messages == [WRONG]
    look("login-wrong")
    browser.open("/signup")
    look("signup")
    browser.submit(
        name="Ada",
        email="ada@example.com",
        password=PASSWORD,
        confirm="something else",
        website="https://ada.example.com/" + "a" * 60,
    )
    assert browser.text(".error") == "The passwords must match."
    look("signup-wrong")
    browser.submit(password=PASSWORD, confirm=PASSWORD)
    assert browser.heading == "Hello, Ada!"
    look("dashboard")
    browser.click("Session")
    look("session")
    own_server.stop()
    browser.reload()
    assert browser.heading == "Back in a moment"
    look("unavailable")
