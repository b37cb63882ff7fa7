"""A cluster of three masters: no command of ours spans two keys."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
import redis
from gateway import ask
from redis.cluster import RedisCluster
from topologies import Cluster
from topologies import free_ports
from topologies import Nodes
from topologies import Single
from visitors import cookie_header
from visitors import login
from visitors import look
from visitors import Request
from visitors import store

from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.store.survey import Survey

MakeManager = cabc.Callable[..., SessionManager]


class Newcomer(Nodes):
    """A node that no cluster has given any slots yet."""

    def _start(self) -> None:
        port, bus = free_ports(2)
        words = ("--cluster-enabled", "yes", "--cluster-port", bus)
        self._add(port, *words, "--save", "", "--appendonly", "no").start()


@pytest.fixture(params=["url", "client"])
def manager(
    request: pytest.FixtureRequest, cluster: Cluster, make_manager: MakeManager
) -> cabc.Iterator[SessionManager]:
    if request.param == "url":
        yield make_manager(cluster.url, user_key="user")
        return
    port = cluster.nodes[0].port
    with RedisCluster(host="127.0.0.1", port=port, protocol=2) as client:
        yield make_manager(client, user_key="user")


def test_whole_life_of_sessions_on_a_cluster(manager: SessionManager) -> None:
    for number in range(10):
        header = store(manager, number=number)
        one, two = Request(manager, header), Request(manager, header)
        one.session["one"] = 1
        two.session["two"] = 2
        one.commit()
        two.commit()
        login = Request(manager, header)
        login.session["user"] = "Ada"
        logged_in = cookie_header(login.commit())
        assert "user" not in look(manager, header)
        assert look(manager, logged_in) == {
            "number": number,
            "one": 1,
            "two": 2,
            "user": "Ada",
        }
        late, logout = Request(manager, logged_in), Request(manager, logged_in)
        logout.session.destroy()
        logout.commit()
        late.session["late"] = True
        assert late.commit() is None
        assert look(manager, logged_in) == {}


def test_renewed_session_is_on_another_node(manager: SessionManager) -> None:
    for _ in range(10):
        header = store(manager, n=1)
        renewal, other = Request(manager, header), Request(manager, header)
        other.session["other"] = True
        other.commit()
        renewal.session.regenerate()
        renewed = cookie_header(renewal.commit())
        assert look(manager, renewed) == {"n": 1, "other": True}
        logout = Request(manager, header)
        logout.session.destroy()
        logout.commit()
        assert look(manager, renewed) == {}


def test_many_commands_at_once_find_the_nodes_of_their_keys(
    manager: SessionManager,
) -> None:
    ids = {manager.load(store(manager, a=number)).id for number in range(30)}
    prefix = manager.store.key_prefix
    survey = Survey(manager.store.transport, prefix, 30.0)
    batches = [*survey.batches()]
    assert {session.id for batch in batches for session in batch.sessions} == ids
    assert len([*survey.nodes()]) == 3
    assert survey.keys >= 30


def test_start_nodes_may_be_dead_as_long_as_one_answers(
    cluster: Cluster, make_manager: MakeManager
) -> None:
    alive = cluster.nodes[4].address
    manager = make_manager(f"redis+cluster://127.0.0.1:1,127.0.0.1:2,{alive}")
    for number in range(10):
        assert look(manager, store(manager, n=number)) == {"n": number}


def test_node_without_slots_is_not_believed(
    cluster: Cluster, make_manager: MakeManager
) -> None:
    with Newcomer() as other:
        addresses = f"{cluster.nodes[0].address},{other.nodes[0].address}"
        for _ in range(10):
            url = f"redis+cluster://{addresses}/"
            manager = make_manager(url)
            assert look(manager, store(manager, n=1)) == {"n": 1}


def test_cluster_that_is_away_has_no_number_of_sessions(
    make_manager: MakeManager,
) -> None:
    manager = make_manager("redis+cluster://127.0.0.1:1,127.0.0.1:2/")
    for ask_all in (manager.count, lambda: [*manager.iterate()]):
        with pytest.raises(SessionUnavailable, match=r"no node answers .*refused"):
            ask_all()


def test_server_that_is_no_cluster_is_an_outage_that_says_so(
    make_manager: MakeManager,
) -> None:
    with Single() as single:
        manager = make_manager(f"redis+cluster://{single.nodes[0].address}/")
        with pytest.raises(SessionUnavailable, match="cluster support disabled"):
            store(manager, n=1)


def test_url_of_a_single_server_says_when_that_is_a_node_of_a_cluster(
    cluster: Cluster, make_manager: MakeManager
) -> None:
    manager = make_manager(cluster.nodes[0].url)
    refused = []
    for _ in range(30):
        try:
            store(manager, n=1)
        except SessionUnavailable as error:
            refused.append(error)
    assert refused
    for error in refused:
        assert "write redis+cluster:// in the place of redis://" in str(error)
        assert isinstance(error.__cause__, redis.exceptions.MovedError)


class Failing(RedisCluster):
    """A client one of whose nodes is away."""

    away = ""
    asked = 0

    def execute_command(self, *args: t.Any, **options: t.Any) -> t.Any:
        if self.away and self.get_node_from_key(args[1]).name == self.away:
            self.asked += 1
            raise redis.TimeoutError("it did not answer")
        return super().execute_command(*args, **options)


def test_node_that_does_not_answer_a_given_client_is_left_alone_and_no_other(
    cluster: Cluster, make_manager: MakeManager
) -> None:
    node = cluster.nodes[1]
    with Failing(host="127.0.0.1", port=cluster.nodes[0].port, protocol=2) as client:
        manager = make_manager(client)
        assert ask(manager, "SET", "probe", "1")
        client.away = node.address
        refused = []
        for _ in range(100):
            try:
                store(manager, n=1)
            except SessionUnavailable as error:
                refused.append(str(error))
    assert 10 < len(refused) < 90
    # Three find out, and one in each second looks whether it is back.
    assert 3 <= client.asked < len(refused)
    assert any("left alone" in message for message in refused)


def test_users_on_a_cluster(manager: SessionManager) -> None:
    assert manager.revoke_user("Grace") == 0
    before = manager.count()
    headers = [login(manager, user="Grace") for _ in range(12)]
    assert len(manager.of_user("Grace")) == 12
    assert manager.count() == before + 12
    assert manager.revoke_user("Grace", keep=manager.open(headers[0])) == 11
    assert [look(manager, header) for header in headers[1:]] == [{}] * 11
    assert manager.count() == before + 1
