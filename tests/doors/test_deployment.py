"""What README.rst says of deployment: servers, a proxy, and how Redis is set up."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import pathlib
import shlex
import signal
import subprocess
import time
import typing as t

import flask
import ormsgpack
import pytest
import redis
from deployed_site import EXAMPLES
from deployed_site import PATIENCE
from deployed_site import running
from flask_sites import FlaskSite
from gateway import ask
from readme import block
from readme import run
from readme import SECRET_KEY
from serving import Browser
from serving import listening
from serving import program
from serving import wait_for
from tls import Certificate
from tls import certificate
from tls import TLSProxy
from visitors import cookie_header
from visitors import look
from visitors import Request
from visitors import store
from werkzeug.exceptions import NotFound
from werkzeug.http import parse_dict_header
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.local_server import find_server
from wsgi_redis_session.local_server import LocalServer

MakeManager = cabc.Callable[..., SessionManager]
Allow = cabc.Callable[..., None]
CertificateOf = cabc.Callable[[str], Certificate]

OVER_HTTPS = {"X-Forwarded-Proto": "https"}

#: The commands that serve the first program, by the server's name.
COMMANDS = {
    line.split()[0]: line
    for line in block("servers").replace("$ ", "").strip().split("\n")
}

#: What redis-py makes of a server that does not let somebody in, or do something.
REFUSALS = (redis.exceptions.AuthenticationError, redis.exceptions.ResponseError)

#: What follows the name of the user.
RIGHTS = block("acl").removeprefix("ACL SETUSER sessions ").split()

#: A session that Flask-Session has left.
FOREIGN = "JvY0n0wO3l-1mSDCF9uSYDg0cEvLWFyPM8Zp5nLVk_4"


# Servers.


@pytest.mark.parametrize("name", ["gunicorn", "uwsgi", "waitress-serve"])
def test_command_serves_the_first_program(
    server: LocalServer, tmp_path: pathlib.Path, name: str
) -> None:
    for file in ("app.py", "uwsgi.ini"):
        (tmp_path / file).write_text(block(file))
    with listening() as listener:
        port = listener.getsockname()[1]
    _, *words = shlex.split(COMMANDS[name].replace(":8000", f":{port}"))
    command = [program(name), *words]
    variables = {"SESSION_REDIS": server.url, "SECRET_KEY": SECRET_KEY}
    with running(command, tmp_path, **variables):
        wait_for(port)
        browser = Browser(port)
        answers = [browser.read("/") for _ in range(4)]
    assert answers == [f"visit {number}\n".encode() for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("file", ["gunicorn/gunicorn.conf.py", "uwsgi/uwsgi.ini"])
def test_file_is_that_of_the_examples(file: str) -> None:
    assert block(pathlib.Path(file).name) == (EXAMPLES / file).read_text()


# A proxy.


def is_secure(client: Client, **options: t.Any) -> bool:
    (cookie,) = client.get("/", **options).headers.getlist("Set-Cookie")
    return "; Secure" in cookie


def test_cookie_is_secure_if_the_proxy_says_https(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> None:
    run("app.py", monkeypatch, server)
    application = run("proxied.py", monkeypatch, server).application
    assert is_secure(Client(application), headers=OVER_HTTPS)
    assert not is_secure(Client(application))


def test_cookie_is_not_secure_because_somebody_says_so(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> None:
    application = run("app.py", monkeypatch, server).application
    assert not is_secure(Client(application), headers=OVER_HTTPS)


def test_cookie_of_flask_is_secure_if_the_proxy_says_https(
    monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> None:
    app = run("flask_app.py", monkeypatch, server).app
    # As the text says.
    app.config["SESSION_COOKIE_SECURE"] = "auto"
    app.wsgi_app = ProxyFix(app.wsgi_app, x_proto=1)
    assert is_secure(Client(app), headers=OVER_HTTPS)
    assert not is_secure(Client(app))


# How Redis is set up.


@contextlib.contextmanager
def configured(directory: pathlib.Path) -> cabc.Iterator[redis.Redis]:
    """A server with the documented configuration. It is killed in the end."""
    socket = directory / "redis.sock"
    private = {"port": 0, "unixsocket": socket, "dir": directory}
    private["logfile"] = directory / "log"
    lines = [f"{name} {value}\n" for name, value in private.items()]
    (directory / "redis.conf").write_text(block("redis.conf") + "".join(lines))
    command = [find_server(), str(directory / "redis.conf")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        with redis.Redis(unix_socket_path=str(socket)) as db:
            wait_until_ready(db)
            yield db
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)


def wait_until_ready(db: redis.Redis) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            db.ping()
        except (redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError):
            assert time.monotonic() < deadline
        else:
            return


def test_session_outlives_a_server_that_is_killed(
    make_manager: MakeManager, tmp_path: pathlib.Path
) -> None:
    manager = make_manager(f"unix://{tmp_path}/redis.sock")
    with configured(tmp_path):
        kept, ended = store(manager, a=1), store(manager, a=2)
        logout = Request(manager, ended)
        logout.session.destroy()
        logout.commit()
    with configured(tmp_path):
        assert look(manager, kept) == {"a": 1}
        assert look(manager, ended) == {}


def test_full_server_keeps_its_sessions_and_lets_them_be_read_and_ended(
    make_manager: MakeManager, tmp_path: pathlib.Path
) -> None:
    manager = make_manager(f"unix://{tmp_path}/redis.sock", touch_interval=0)
    with configured(tmp_path) as db:
        header, other = store(manager, a=1), store(manager, a=2)
        db.config_set("maxmemory", "1")
        with pytest.raises(SessionUnavailable):
            store(manager, b=1)
        change = Request(manager, header)
        change.session["b"] = 1
        with pytest.raises(SessionUnavailable):
            change.commit()
        assert look(manager, header) == {"a": 1}
        logout = Request(manager, header)
        logout.session.destroy()
        logout.commit()
        assert look(manager, header) == {}
        assert look(manager, other) == {"a": 2}


# The path of the cookie.


def keep(environ: t.Any, start_response: t.Any) -> list[bytes]:
    """Store something, or end the session."""
    session = get_session(environ)
    if environ["PATH_INFO"] == "/logout":
        session.destroy()
    else:
        session["visits"] = session.get("visits", 0) + 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(session.get("visits")).encode()]


@pytest.fixture
def mounted_somewhere(make_manager: MakeManager) -> SessionMiddleware:
    """An application whose cookie is for where it is mounted."""
    return SessionMiddleware(keep, make_manager(cookie_path="auto"))


def cookie_paths(client: Client, url: str, **options: t.Any) -> list[str]:
    """The paths in the cookies of a response."""
    cookies = client.get(url, **options).headers.getlist("Set-Cookie")
    return [parse_dict_header(cookie.replace(";", ","))["Path"] for cookie in cookies]


@pytest.mark.parametrize("url", ["/shop", "/shop/", "/shop/cart"])
def test_cookie_is_for_where_the_application_is_mounted(
    mounted_somewhere: SessionMiddleware, url: str
) -> None:
    client = Client(
        DispatcherMiddleware(mounted_somewhere, {"/shop": mounted_somewhere})
    )
    assert cookie_paths(client, url) == ["/shop"]
    assert client.get("/shop").text == "2"
    assert client.get("/shopping").text == "1"
    assert cookie_paths(client, "/shop/logout") == ["/shop"]
    assert client.get("/shop").text == "1"


def test_cookie_of_an_application_that_is_not_mounted_is_for_all_paths(
    mounted_somewhere: SessionMiddleware,
) -> None:
    assert cookie_paths(Client(mounted_somewhere), "/cart") == ["/"]


def test_cookie_of_a_middleware_around_a_dispatcher_is_for_all_that_it_serves(
    make_manager: MakeManager,
) -> None:
    site = DispatcherMiddleware(keep, {"/shop": keep})
    client = Client(SessionMiddleware(site, make_manager(cookie_path="auto")))
    assert cookie_paths(client, "/shop/cart") == ["/"]
    assert client.get("/").text == "2"


def test_cookie_is_for_the_prefix_that_a_proxy_takes_away(
    mounted_somewhere: SessionMiddleware,
) -> None:
    client = Client(ProxyFix(mounted_somewhere, x_prefix=1))
    prefix = {"X-Forwarded-Prefix": "/shop"}
    assert cookie_paths(client, "/cart", headers=prefix) == ["/shop"]


@pytest.mark.parametrize("way", ["extension", "interface"])
def test_cookie_of_a_mounted_flask_application_is_for_where_it_is(
    server: LocalServer, db: redis.Redis, way: str
) -> None:
    site = FlaskSite(way, server.url)
    app = site.app(SESSION_COOKIE_PATH="auto")
    app.add_url_rule("/cart", view_func=lambda: flask.session.update(a=1) or "")
    client = Client(DispatcherMiddleware(NotFound(), {"/shop": app}))
    assert cookie_paths(client, "/shop/cart") == ["/shop"]
    site.close()


# What a user of Redis needs.


@pytest.fixture
def allow(db: redis.Redis) -> cabc.Iterator[Allow]:
    """Give the user these rights, and no others."""
    user = ("ACL", "SETUSER", "sessions")
    yield lambda *rights: db.execute_command(*user, "reset", *rights)
    db.execute_command("ACL", "DELUSER", "sessions")


@pytest.fixture
def make_restricted(make_manager: MakeManager, server: LocalServer) -> MakeManager:
    """Make managers that are this user, in a database that is not the first one."""
    url = f"unix://sessions:secret@{server.socket}?db=1"
    return lambda **options: make_manager(url, **options)


def live(manager: SessionManager) -> None:
    """All that can happen to a session."""
    header = store(manager, a=1)
    assert look(manager, header) == {"a": 1}
    one, two = Request(manager, header), Request(manager, header)
    one.session["one"] = 1
    two.session["two"] = 2
    one.commit()
    two.commit()
    lasting = Request(manager, header)
    lasting.session.permanent = True
    lasting.commit()
    # This cookie is from before.
    assert look(manager, header) == {"a": 1, "one": 1, "two": 2}
    # A cookie from before a login, in a request that came before it and in one after.
    late, login = Request(manager, header), Request(manager, header)
    login.session["user"] = 1
    logged_in = cookie_header(login.commit())
    for straggler in (late, Request(manager, header)):
        straggler.session["late"] = True
        straggler.commit()
    second = Request(manager, header)
    second.session["user"] = 1
    look(manager, cookie_header(second.commit()))
    header = logged_in
    logout = Request(manager, header)
    logout.session.destroy()
    logout.commit()
    assert look(manager, header) == {}
    header = store(manager, a=1)
    manager.revoke(manager.load(header).id)
    assert look(manager, header) == {}
    header = store(manager, user=1)
    assert manager.of_user(1)
    assert manager.revoke_user(1)
    assert look(manager, header) == {}


def test_documented_rights_are_enough(
    allow: Allow, make_restricted: MakeManager
) -> None:
    allow(*RIGHTS)
    manager = make_restricted(user_key="user", touch_interval=0)
    live(manager)
    with pytest.raises(redis.exceptions.NoPermissionError):
        ask(manager, "GET", "other")


#: A logout stands where the index of users cannot be told of it, and only of very many
#: sessions of a user some are picked.
SELDOM = {"+hdel", "+hrandfield"}


@pytest.mark.parametrize("right", [right for right in RIGHTS if right not in SELDOM])
def test_each_documented_right_is_needed(
    allow: Allow, make_restricted: MakeManager, right: str
) -> None:
    allow(*(other for other in RIGHTS if other != right))
    with pytest.raises(SessionUnavailable) as refused:
        live(make_restricted(user_key="user", touch_interval=0))
    assert isinstance(refused.value.__cause__, REFUSALS)


def test_sessions_of_flask_session_need_the_right_to_their_keys(
    allow: Allow, make_restricted: MakeManager, server: LocalServer
) -> None:
    manager = make_restricted(migrate_from="flask-session")
    header = f"session={FOREIGN}"
    with redis.Redis(unix_socket_path=server.socket, db=1) as db:
        db.set(f"session:{FOREIGN}", ormsgpack.packb({"a": 1}), ex=1000)
    allow(*RIGHTS)
    with pytest.raises(SessionUnavailable):
        manager.load(header)
    allow(*RIGHTS, "~session:*")
    request = Request(manager, header)
    assert request.session.copy() == {"a": 1}
    header = cookie_header(request.commit())
    assert look(manager, header) == {"a": 1}


# TLS.


@pytest.fixture(scope="module")
def certificate_of(
    tmp_path_factory: pytest.TempPathFactory,
) -> CertificateOf:
    """A certificate for each name, made once."""
    directory = tmp_path_factory.mktemp("certificates")
    return functools.cache(lambda name: certificate(directory / name, name))


@pytest.fixture
def own(certificate_of: CertificateOf) -> Certificate:
    """The server's certificate."""
    return certificate_of("127.0.0.1")


@pytest.fixture
def make_encrypted(make_manager: MakeManager, allow: Allow) -> MakeManager:
    """Make managers of the documented URL, for this server and these authorities."""
    allow(*RIGHTS)
    url = block("tls").strip()

    def make(
        proxy: TLSProxy, trusted: Certificate, client: Certificate | None = None
    ) -> SessionManager:
        made = url.replace("redis.example.com:6379", f"127.0.0.1:{proxy.port}")
        made = made.replace("/etc/ssl/redis.pem", str(trusted.authority))
        assert url.endswith("?ssl_ca_certs=/etc/ssl/redis.pem")
        if client is not None:
            made += f"&ssl_certfile={client.cert}&ssl_keyfile={client.key}"
        return make_manager(made)

    return make


def test_sessions_go_over_tls_to_a_server_that_proves_its_name(
    server: LocalServer, own: Certificate, make_encrypted: MakeManager
) -> None:
    with TLSProxy(server.socket, own) as proxy:
        manager = make_encrypted(proxy, own)
        assert look(manager, store(manager, a=1)) == {"a": 1}


def refusal(manager: SessionManager, db: redis.Redis) -> str:
    """Why no session could be stored."""
    with pytest.raises(SessionUnavailable) as refused:
        store(manager, a=1)
    assert isinstance(refused.value.__cause__, redis.exceptions.ConnectionError)
    assert db.dbsize() == 0
    return str(refused.value.__cause__)


def test_server_with_a_certificate_for_another_name_is_refused(
    server: LocalServer,
    db: redis.Redis,
    certificate_of: CertificateOf,
    make_encrypted: MakeManager,
) -> None:
    other = certificate_of("elsewhere.test")
    with TLSProxy(server.socket, other) as proxy:
        assert "certificate verify failed" in refusal(make_encrypted(proxy, other), db)


def test_server_with_a_certificate_of_another_authority_is_refused(
    server: LocalServer,
    db: redis.Redis,
    own: Certificate,
    certificate_of: CertificateOf,
    make_encrypted: MakeManager,
) -> None:
    with TLSProxy(server.socket, own) as proxy:
        manager = make_encrypted(proxy, certificate_of("elsewhere.test"))
        assert "certificate verify failed" in refusal(manager, db)


def test_server_may_want_a_certificate_of_the_client_s(
    server: LocalServer,
    db: redis.Redis,
    own: Certificate,
    certificate_of: CertificateOf,
    make_encrypted: MakeManager,
) -> None:
    client = certificate_of("client.test")
    with TLSProxy(server.socket, own, client) as proxy:
        assert refusal(make_encrypted(proxy, own), db)
        manager = make_encrypted(proxy, own, client)
        assert look(manager, store(manager, a=1)) == {"a": 1}
