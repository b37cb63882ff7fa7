"""The promises about which sessions a user has.

*Indexed.* Every session that is stored and names a user is in that user's list, whoever
died in between; and the list has no other.

*Revoked.* When all the user's sessions were revoked, none is alive whose request began
before: neither one that there was, nor one of a login that was under way. What was
revoked for all but one session leaves that one alone, also where the same request gives
it a new session id. A login that began after that is not stopped by it.

*Limited.* A user has not more sessions than there may be, once all requests are over
that logged in, and one of those who did is still there.
"""

from __future__ import annotations

import collections.abc as cabc

from wsgi_redis_session import SessionConfig

from .history import Deed
from .history import History
from .history import is_faulty
from .promises import errors
from .promises import keys_expire
from .promises import told_is_true
from .promises import Verdict

_ALL = ("revoke user",)
_OTHERS = ("revoke others", "change password", "login and revoke")


def indexed(history: History, verdict: Verdict) -> None:
    """What is stored for a user is listed, and nothing else."""
    if SessionConfig().encrypt:
        return  # nobody can tell whose they are
    for session_id, user in history.owners.items():
        kept = session_id in history.listed[user]
        verdict.hold("indexed", kept, "a session of {} is not listed", user)
    for user, listed in history.listed.items():
        owned = {found for found in history.owners if history.owners[found] == user}
        verdict.hold("indexed", listed <= owned, "what {} has not is listed", user)


def revoked(history: History, verdict: Verdict) -> None:
    """What was revoked is not there, and what was kept is."""
    for revoker in history.deeds:
        name = revoker.request.operation.name
        if name not in _ALL + _OTHERS or revoker.failed or revoker.dropped:
            continue
        own = [revoker.cookie, revoker.given] if name in _OTHERS else []
        for cookie, found in history.found.items():
            giver = next((d for d in history.deeds if d.given == cookie), None)
            if cookie in own or _is_later(giver, revoker):
                continue
            if own and giver is not None and _goes_on(giver, revoker):
                continue
            is_same = any(
                found.session_id == history.found[other].session_id
                for other in own
                if other in history.found
            )
            kept = is_same or found.view.get(history.ground.user) != "u1"
            how = "after {} a cookie reads {}"
            verdict.hold("revoked", kept, how, revoker.name, found.view)


def _is_later(giver: Deed | None, revoker: Deed) -> bool:
    """Whether a cookie was given by a request that began when all was over."""
    return giver is not None and giver.request.awaits(revoker.request)


def _goes_on(giver: Deed, revoker: Deed) -> bool:
    """Whether a cookie that was given is that of the session that was kept."""
    return giver.cookie == revoker.cookie and giver.change in ("", "renew")


def kept(history: History, verdict: Verdict) -> None:
    """Who revokes the others stays logged in, and who logs in later is."""
    for deed in history.deeds:
        name = deed.request.operation.name
        others = [other for other in history.deeds if other is not deed]
        if deed.failed or any(_stops(other, deed, history) for other in others):
            continue
        if name in _OTHERS or deed.assigned.get(history.ground.user) == "u1":
            cookie = deed.given or deed.cookie
            view = history.found[cookie].view if cookie else {}
            is_in = view.get(history.ground.user) == "u1"
            verdict.hold("kept", is_in, "{} is not logged in: {}", deed.name, view)


def _stops(other: Deed, deed: Deed, history: History) -> bool:
    """Whether one may have ended what the other has."""
    if deed.request.awaits(other.request) and deed.cookie is None:
        return False
    if other.assigned.get(history.ground.user) and history.ground.has_limit:
        return True
    name = other.request.operation.name
    is_revoker = name in _ALL + _OTHERS
    return is_revoker or other.ends or other.closes or bool(history.ground.opens)


def limited(history: History, verdict: Verdict) -> None:
    """Not more sessions than there may be. What a login could not end, because a
    command of it was lost, the next one ends."""
    limit = history.ground.options.get("max_sessions_per_user")
    if limit is None or SessionConfig().encrypt:
        return
    has_failed = any(deed.failed for deed in history.deeds)
    if is_faulty(history.steps):
        number = [*history.owners_later.values()].count("u1")
        how = "after one more login there are {} sessions"
        verdict.hold("limited", number <= limit, how, number)
    elif not has_failed:
        number = [*history.owners.values()].count("u1")
        verdict.hold("limited", number <= limit, "there are {} sessions", number)
    if has_failed:
        return
    took = [d for d in history.deeds if d.cookie is None]
    others = [d for d in history.deeds if d.closes and d not in took]
    if took and not (history.enders or others):
        is_one_in = "u1" in history.owners.values()
        verdict.hold("limited", is_one_in, "nobody is logged in any more")


USERS: tuple[cabc.Callable[[History, Verdict], None], ...] = (
    errors,
    keys_expire,
    told_is_true,
    indexed,
    revoked,
    kept,
    limited,
)
