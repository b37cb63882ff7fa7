"""What a replica that lags behind undoes when it is promoted, and how waiting for
replicas keeps that from being reported as done."""

from __future__ import annotations

import pytest
from topologies import REPLICA
from topologies import SentinelGroup
from topologies import until
from visitors import look
from visitors import store

from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionUnavailable

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
