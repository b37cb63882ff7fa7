"""The promises about what is stored; those about session ids that change are in
``renewals``, those about who is logged in in ``logins``.

The model knows what requests did and were told, and what each cookie reaches when all
is over; nothing of how sessions are stored. Every value says which request wrote it.

*Errors.* A request fails only if one of its commands was not answered, with
``SessionUnavailable``; or if it needs a cookie when the headers have left, with
``HeadersAlreadySent``. A browser's cookie never raises.

*Keys expire.* Every key has a TTL, that of a live session fits its kind, and what is
left under the key of a session that was shut out or ended is gone after ten minutes.

*Nothing is lost.* A change that was acknowledged (no error, no event ``lost``) is there
at the end, unless another request has set or removed the same name, or somebody has
ended the session or become another user in it. A name that was removed does not come
back. What was saved before a closing renewal comes along, all of it.

*What is told is true.* Changes that were reported as dropped are nowhere, and nothing
was given to the browser for them.

*Sums.* With ``on_conflict``, a sum has counted those whose names came through, and each
of them once.

*Commands.* A request that nobody disturbs asks Redis once to read and once more to
write, at most five times to log in, twice to end its session and four times to log out
by removing the user, and once more to end the session of a user, or to make it
permanent.

*Cookies.* A response gives a cookie only with a new session id, with another kind, or
when a touch is due.
"""

from __future__ import annotations

import collections
import collections.abc as cabc
import typing as t

from wsgi_redis_session import HeadersAlreadySent
from wsgi_redis_session import SessionUnavailable

from .history import CLOSED_FOR
from .history import Deed
from .history import History
from .history import is_faulty
from .history import OPEN_FOR
from .history import PERMANENT
from .request import View
from .schedule import GIVES_UP
from .schedule import UNSENT

#: What nobody knows is anything; what is not there is None.
Allowed = dict[str, set[t.Any]]


class Wrong(t.NamedTuple):
    """A promise that was broken."""

    promise: str
    #: In which way, without the names.
    kind: str
    how: str


class Verdict:
    """What a schedule was held against, and what did not hold."""

    def __init__(self) -> None:
        #: How often each promise was held against something.
        self.held: collections.Counter[str] = collections.Counter()
        self.wrong: list[Wrong] = []
        #: Responses that were overtaken by a login's, by why they gave a cookie.
        self.overtaken: set[str] = set()

    def hold(self, promise: str, kept: bool, how: str, *names: object) -> None:
        """Note that a promise was kept, or how it was not."""
        self.held[promise] += 1
        if not kept:
            self.wrong.append(Wrong(promise, how, how.format(*names)))


def errors(history: History, verdict: Verdict) -> None:
    """Nothing is raised but what is promised."""
    for deed in history.deeds:
        kept = deed.request.error is None or _is_promised(deed, history)
        how = "{} raised {!r}"
        verdict.hold("errors", kept, how, deed.name, deed.request.error)
    for cookie, found in history.found.items():
        kept = found.error is None
        verdict.hold("errors", kept, "a read with {} raised {!r}", cookie, found.error)


def _is_promised(deed: Deed, history: History) -> bool:
    if isinstance(deed.request.error, SessionUnavailable):
        lost = {deed.name + fault for fault in (GIVES_UP, UNSENT)}
        return any(step.token in lost for step in history.steps)
    # What it had seen may have been taken away from it.
    is_new = any(other.removed or other.closes or other.ends for other in history.deeds)
    is_late = deed.request.operation.late is not None
    error = deed.request.error
    is_refused = isinstance(error, HeadersAlreadySent) and is_late
    return is_refused and (history.elapsed > 0 or is_new)


def keys_expire(history: History, verdict: Verdict) -> None:
    """Every key has a TTL, and the right one."""
    for key, ttl in history.lifetimes.items():
        verdict.hold("keys expire", ttl > 0, "{} has no TTL", key)
    old = history.start.session_id
    shut = any(d.closes or d.ends for d in history.deeds if d.acknowledged and d.before)
    is_open = not any(d.closes or d.ends for d in history.deeds)
    moved = history.ground.opens == "rotated" and any(
        found.session_id != old and found.view for found in history.found.values()
    )
    for found in history.found.values():
        if found.session_id == old and found.view and not history.ground.is_frozen:
            shut = moved = False
    for key, ttl in history.lifetimes.items():
        limit = 1000 * (OPEN_FOR if is_open else CLOSED_FOR)
        if old is not None and old in key and (shut or moved):
            kept = ttl <= limit
            verdict.hold("keys expire", kept, "the old key lives for {} ms", ttl)
        for found in history.found.values():
            if found.session_id in key and found.view and found.session_id != old:
                kept = (ttl > 86400_000) == found.permanent
                verdict.hold("keys expire", kept, "{} ms are of the other kind", ttl)


def _allowed(history: History, closer: Deed | None) -> Allowed:
    """What each name may be: in what a closer has made of the session, or where nobody
    has closed it."""
    writers: dict[str, list[Deed]] = collections.defaultdict(list)
    for deed in history.deeds:
        is_plain = not (deed.ends or history.is_own(deed))
        is_elsewhere = closer is not None and not (
            deed.cookie == closer.cookie or history.follows(deed, closer)
        )
        is_open = is_plain or (deed.failed and closer is None)
        # Who asks again may not find out that it was done the first time.
        is_unsaved = deed.dropped and not deed.retried
        if is_open and not is_unsaved and not is_elsewhere:
            for name in deed.changes:
                writers[name].append(deed)
    allowed: Allowed = {name: {value} for name, value in history.initial.items()}
    for name, deeds in writers.items():
        values = {deed.changes[name] for deed in deeds}
        # Where nobody knows whether the old cookie was shut out, a cookie that was
        # given may be that of a session of its own.
        is_unsure = history.uncertain and any(deed.given for deed in deeds)
        if is_unsure or not any(deed.acknowledged for deed in deeds):
            values.add(history.initial.get(name))
        if name == "sum":
            continue
        allowed[name] = values
    for name, value in closer.changes.items() if closer is not None else ():
        # Who has a session of its own may have removed nothing from it.
        is_heir = not history.shut_twice or value is not None
        allowed[name] = {value} if is_heir else allowed.get(name, set()) | {value}
    allowed.pop("sum", None)
    return allowed


def _missing(view: View, allowed: Allowed) -> str:
    """What a session ought to hold and does not, or holds and ought not to."""
    for name, values in allowed.items():
        if view.get(name) not in values:
            have, ought = view.get(name, "nothing"), sorted(map(str, values))
            return f"{name} is {have!r} and not {' or '.join(ought)}"
    return ""


def nothing_is_lost(history: History, verdict: Verdict) -> None:
    """What was acknowledged is there, and what was removed is not."""
    is_forgotten = history.unclear and history.ground.opens == "rotated"
    if history.expired or is_forgotten:
        return
    _own_sessions(history, verdict)
    if history.enders or any(d.change == "switch" for d in history.deeds):
        return
    if not any(deed.cookie == history.start.cookie for deed in history.deeds):
        return
    if not history.closers:
        if not history.uncertain or history.ground.is_frozen:
            allowed = _allowed(history, None)
            content = history.content(history.current)
            # What holds nothing is of no kind.
            if history.uncertain or content.keys() == {PERMANENT}:
                allowed.pop(PERMANENT)
            missing = _missing(content, allowed)
            verdict.hold("nothing is lost", not missing, "in the end {}", missing)
        return
    found = []
    for closer in history.closers:
        if history.is_stranded(closer) or history.is_superseded(closer):
            continue
        allowed = _allowed(history, closer)
        if history.shut_twice:
            allowed.pop(PERMANENT, None)
        found.append(_missing(history.content(t.cast(str, closer.given)), allowed))
    if not found or (history.uncertain and not history.ground.is_frozen):
        return
    # Who comes second with a cookie that reads as empty begins with nothing.
    kept = not (any if history.ground.is_frozen else all)(found)
    verdict.hold("nothing is lost", kept, "after the renewal {}", "; ".join(found))


def _own_sessions(history: History, verdict: Verdict) -> None:
    """Who was given a session of its own finds its changes in it."""
    for deed in history.deeds:
        if not (
            history.is_own(deed) and deed.acknowledged and deed.given and deed.assigned
        ):
            continue
        others = [other for other in history.enders if other is not deed]
        is_unsure = history.uncertain and not history.ground.is_frozen
        if (others or is_unsure) and not deed.request.destroyed:
            continue
        if history.is_superseded(deed):
            continue
        view = history.found[deed.given].view
        made = {n: {v} for n, v in deed.changes.items() if n in deed.assigned}
        missing = _missing(view, made)
        how = "in the session that {} was given {}"
        verdict.hold("nothing is lost", not missing, how, deed.name, missing)


def told_is_true(history: History, verdict: Verdict) -> None:
    """Dropped changes are nowhere, and their request gives no cookie."""
    for deed in history.deeds:
        # Who asks again may not find out that it was done the first time.
        if not deed.dropped or deed.failed or deed.retried:
            continue
        views = [found.view.values() for found in history.found.values()]
        kept = not any(deed.wrote(value) for view in views for value in view)
        verdict.hold("what is told is true", kept, "{} was not dropped", deed.name)
        is_free = deed.request.operation.late is None and not deed.request.destroyed
        if is_free:
            kept = deed.given is None
            how = "{} was dropped, and gives a cookie"
            verdict.hold("what is told is true", kept, how, deed.name)


def sums(history: History, verdict: Verdict) -> None:
    """Each one whose name came through was counted once."""
    if "sum" not in history.initial or any("sum" in d.removed for d in history.deeds):
        return
    adders = [deed for deed in history.deeds if deed.request.operation.name == "add"]
    for found in history.found.values():
        if "sum" in found.view:
            # A session of its own begins with nothing.
            number = ("csrf" in found.view) + sum(d.name in found.view for d in adders)
            total = found.view["sum"]
            kept = total == number
            verdict.hold("sums", kept, "the sum is {}, not {}", total, number)


def cookies(history: History, verdict: Verdict) -> None:
    """No cookie for nothing."""
    ground = history.ground
    if history.touch_is_due or ground.opens:
        return
    if any(deed.request.made_permanent is not None for deed in history.deeds):
        return
    for deed in history.deeds:
        if deed.failed or history.is_own(deed) or deed.cookie != history.start.cookie:
            continue
        # Who stores something in a session that was emptied gives its cookie back.
        if any("csrf" in other.removed for other in history.deeds if other is not deed):
            continue
        how = "{} gives a cookie for nothing"
        verdict.hold("cookies", not deed.given, how, deed.name)


#: At most so many commands of a request alone, by its operation.
_COMMANDS = {
    "read": 1,
    "read late": 1,
    "write": 2,
    "note": 2,
    "nest": 2,
    "delete": 2,
    "add": 2,
    "permanent": 3,
    "write late": 2,
    "login": 5,
    "form": 5,
    "remember": 5,
    "enter": 5,
    "destroy": 3,
    "logout": 4,
}


def commands(history: History, verdict: Verdict) -> None:
    """As few as promised, where there is nothing else to do."""
    is_alone = len(history.steps) and len(history.deeds) == 1
    if not is_alone or is_faulty(history.steps) or history.ground.opens:
        return
    limit = _COMMANDS.get(history.deeds[0].request.operation.name)
    if limit is not None:
        # Where a touch is due, the index of users is told that the session was seen,
        # and then it is looked at once more.
        is_listed = history.ground.user in history.ground.values
        limit += 2 * (history.ground.due and is_listed)
        number = len(history.steps)
        how = "{} commands, not {}"
        verdict.hold("commands", number <= limit, how, number, limit)


PROMISES: tuple[cabc.Callable[[History, Verdict], None], ...] = (
    errors,
    keys_expire,
    nothing_is_lost,
    told_is_true,
    sums,
    cookies,
    commands,
)
