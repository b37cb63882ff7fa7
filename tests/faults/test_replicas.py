"""What a replica that lags behind undoes when it is promoted, and how waiting for
replicas keeps that from being reported as done."""

from __future__ import annotations

import collections.abc as cabc

import pytest
from topologies import REPLICA
from topologies import SentinelGroup
from topologies import until
from visitors import look
from visitors import store

from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionUnavailable
from wsgi_redis_session.lifetimes import Expiry
from wsgi_redis_session.model.changes import Changes
from wsgi_redis_session.model.record import Record
from wsgi_redis_session.model.record import Tombstone
from wsgi_redis_session.store.sessions import RedisStore
from wsgi_redis_session.transport.deadline import Deadline

LOGOUTS = 20


def log_out(manager: SessionManager, header: str) -> str:
    """Why the visitor was told that it is not done, if so."""
    session = manager.open(header)
    session.destroy()
    try:
        manager.commit(session)
    except SessionUnavailable as error:
        return str(error)
    return ""


@pytest.mark.parametrize("wait_replicas", [0, 1])
def test_logout_that_a_promoted_replica_undoes_is_not_reported_where_it_is_waited_for(
    wait_replicas: int,
) -> None:
    # Sentinel promotes no replica that has lost its primary for ten times as long.
    with SentinelGroup(down_after=1500) as group:
        manager, patient = (
            SessionManager(
                group.url,
                secret_key="not a secret",
                wait_replicas=replicas,
                operation_timeout=30,
                read_timeout=seconds,
            )
            for replicas, seconds in ((wait_replicas, 0.2), (2, 30))
        )
        headers = [store(patient, user="Ada", n=n) for n in range(LOGOUTS)]
        primary = group.primary()
        primary.shut_out(REPLICA)
        until(lambda: primary.info("replication")["connected_slaves"] == 0)
        refused = [log_out(manager, header) for header in headers]
        primary.kill()
        until(lambda: group.primary() is not primary and group.answers())
        found = [look(patient, header) for header in headers]
        manager.disconnect()
        patient.disconnect()
    assert found == [{"user": "Ada", "n": n} for n in range(LOGOUTS)]
    assert [*map(bool, refused)] == [bool(wait_replicas)] * LOGOUTS
    if wait_replicas:
        assert "stored, but not on 1 replicas (wait_replicas), only on 0" in refused


#: What writes to a session, by the store, the session and what it is to become.
WRITES: dict[str, cabc.Callable[[RedisStore, Record, Record], object]] = {
    "create": lambda store, old, new: store.create(Deadline(5), new, 60_000),
    "save": lambda store, old, new: store.save(
        *(Deadline(5), old, new, Changes(new.packed, ["n"], [])),
        Expiry(60_000, 60_000),
        sets_kind=False,
    ),
    "retire": lambda store, old, new: store.retire(
        Deadline(5), old, Tombstone.moved(old.sid, new), 60_000
    ),
    "end": lambda store, old, new: store.end(Deadline(5), old.id),
}


@pytest.mark.parametrize("name", WRITES)
def test_what_is_asked_twice_waits_for_a_replica_twice(name: str) -> None:
    with SentinelGroup(replicas=1) as group:
        manager = SessionManager(
            group.url, secret_key="not a secret", wait_replicas=1, operation_timeout=5
        )
        session = manager.open(store(manager, n=0))
        assert session["n"] == 0
        redis_store, old = manager.store, session._draft.base
        new = old.revised({"n": b"\x01"}, False)
        if name in ("create", "retire"):
            new = new.renamed(old.created)
        (replica,) = group.replicas()
        replica.hang()
        for _ in range(2):
            with pytest.raises(SessionUnavailable, match="only on 0"):
                WRITES[name](redis_store, old, new)
            # As after a lost reply, another connection is taken.
            manager.disconnect()
        replica.go_on()
