"""What a person has: a real browser, and a site that runs in processes of its own."""

from __future__ import annotations

import collections.abc as cabc
import http.client
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import typing as t

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

#: Seconds after which something that does not happen is a failure.
PATIENCE = 30

DESKTOP = (1200, 800)
PHONE = (390, 844)

PROJECT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = PROJECT / "examples"

LOOPBACK = "127.0.0.1"


def environment(**variables: str) -> dict[str, str]:
    """This process's own, with the project to import from."""
    path = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path} | variables


def get(url: str, cookie: str = "") -> tuple[int, str]:
    """Status and text of a page, for a visitor with this Cookie header."""
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=PATIENCE)
    try:
        connection.request("GET", f"/{path}", headers={"Cookie": cookie})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


class Site:
    """A WSGI application under gunicorn. Its address outlives its processes, and who
    comes between two of them waits for the next."""

    def __init__(self, app: str, log: pathlib.Path, **variables: str) -> None:
        self.app = app
        self.log = log
        self.environ = environment(**variables)
        self._listener = socket.create_server((LOOPBACK, 0), backlog=64)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def start(self, *, workers: int = 1) -> None:
        number = self._listener.fileno()
        options = {"--bind": f"fd://{number}", "--chdir": str(EXAMPLES)}
        options |= {"--workers": str(workers), "--threads": "4"}
        options |= {"--log-file": str(self.log), "--graceful-timeout": "1"}
        words = [word for option in options.items() for word in option]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *words, self.app],
            env=self.environ,
            pass_fds=[number],
        )

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            finally:
                self._process.kill()
                self._process = None

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
        self._listener.close()


class Browser:
    """Chromium without a window, and without a past."""

    def __init__(
        self, url: str, profile: pathlib.Path, size: tuple[int, int] = DESKTOP
    ) -> None:
        self.url = url
        options = webdriver.ChromeOptions()
        options.binary_location = _program("chromium")
        for option in (
            "headless=new",
            "no-sandbox",
            "disable-gpu",
            "disable-quic",
            "no-first-run",
            "disable-background-networking",
            "disable-component-update",
            "disable-sync",
            f"user-data-dir={profile}",
        ):
            options.add_argument(f"--{option}")
        service = Service(_program("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_page_load_timeout(PATIENCE)
        self.resize(size)

    def resize(self, size: tuple[int, int]) -> None:
        """Be another device; a window cannot be as narrow as a phone."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1}
        metrics["mobile"] = size == PHONE
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, path: str) -> None:
        self.driver.get(self.url + path)

    def click(self, text: str) -> None:
        """Follow a link."""
        self._leave(self.driver.find_element(By.LINK_TEXT, text).click)

    def press(self, name: str) -> None:
        """Press the button of a form of its own."""
        self._leave(self.driver.find_element(By.NAME, name).click)

    def submit(self, **fields: str) -> None:
        """Fill in the page's form and send it."""
        for name, value in fields.items():
            self.driver.find_element(By.NAME, name).send_keys(value)
        self._leave(self.driver.find_element(By.NAME, "submit").click)

    def back(self) -> None:
        self._leave(self.driver.back)

    def reload(self) -> None:
        self._leave(self.driver.refresh)

    @property
    def path(self) -> str:
        return self.driver.current_url.removeprefix(self.url)

    @property
    def heading(self) -> str:
        return self.text("h1")

    @property
    def messages(self) -> list[str]:
        found = self.driver.find_elements(By.CLASS_NAME, "message")
        return [element.text for element in found]

    def text(self, selector: str) -> str:
        return self.driver.find_element(By.CSS_SELECTOR, selector).text

    @property
    def cookie(self) -> str | None:
        """The value of the session's cookie."""
        cookie = self.driver.get_cookie("session")
        return cookie and cookie["value"]

    @property
    def overflow(self) -> int:
        """By how many pixels the page is wider than the screen."""
        root = "document.documentElement"
        return int(
            self.driver.execute_script(
                f"return {root}.scrollWidth - {root}.clientWidth"
            )
        )

    def photograph(self, file: pathlib.Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        assert self.driver.save_screenshot(str(file))

    def close(self) -> None:
        self.driver.quit()

    def _leave(self, step: cabc.Callable[[], object]) -> None:
        """Do what leads to another page, and wait for it."""
        script = "return performance.timeOrigin + document.URL"
        before = self.driver.execute_script(script)
        step()
        WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05).until(
            lambda driver: (
                driver.execute_script("return document.readyState") == "complete"
                and driver.execute_script(script) != before
            )
        )


def _program(name: str) -> str:
    program = shutil.which(name)
    assert program, f"{name} was not found: apt-get install chromium chromium-driver"
    return program
