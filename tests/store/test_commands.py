"""What is handed to the client of redis-py."""

from __future__ import annotations

import typing as t

import ormsgpack
import redis
from conftest import Clock
from conftest import SECRET_KEY
from visitors import cookie_header
from visitors import look
from visitors import Request
from visitors import store

from wsgi_redis_session import SessionManager
from wsgi_redis_session.local_server import LocalServer


class Noting(redis.Redis):
    """A client that keeps the words of all that it is asked."""

    words: list[t.Any]

    def execute_command(self, *args: t.Any, **options: t.Any) -> t.Any:
        self.words.extend(args)
        return super().execute_command(*args, **options)


def test_every_word_is_text_or_bytes(server: LocalServer, clock: Clock) -> None:
    # hiredis ends the process where a signal's handler raises while it packs a number.
    client = Noting(unix_socket_path=server.socket, protocol=2)
    client.words = []
    with client:
        manager = SessionManager(
            client,
            secret_key=SECRET_KEY,
            user_key="user",
            rotate_interval=3600,
            migrate_from="flask-session",
            clock=clock,
        )
        header = store(manager, cart=1)
        one, two = Request(manager, header), Request(manager, header)
        one.session["one"] = two.session["two"] = 1
        one.commit()
        two.commit()
        login = Request(manager, header)
        login.session["user"] = "Ada"
        header = cookie_header(login.commit())
        clock.move(3600)
        header = cookie_header(Request(manager, header).commit())
        logout = Request(manager, header)
        logout.session.destroy()
        logout.commit()
        late = Request(manager, header)
        late.session["late"] = 1
        late.commit()
        client.set(f"session:{'x' * 20}", ormsgpack.packb({"a": 1}))
        adopting = Request(manager, f"session={'x' * 20}")
        assert adopting.session.copy() == {"a": 1}
        assert look(manager, cookie_header(adopting.commit())) == {"a": 1}
        assert manager.revoke(adopting.session.id)
        manager.ping()
    assert {type(word) for word in client.words} == {str, bytes}
