"""The promises about who is logged in, and who is not any more.

*Ended.* What was logged out, destroyed or revoked is reached by no cookie any more,
whatever requests had loaded it before, whatever was retried, and whoever died in
between; and whoever ends the session with an old cookie ends what became of it.

*Logged in.* Who logs in is given a session in which he is, unless somebody logs out at
the same time: whoever holds the same cookie cannot prevent it. Nobody is logged out
because requests overlapped: in whichever order the responses arrive, the browser ends
up with a session of a user who logged in, and with what was saved. What it ends up with
is the cookie of the last response that gave one, so each of them is taken for the last.

One kind of response may log somebody out: one that was prepared before a login and
overtaken by its answer. It is counted as ``touch`` if a touch was due, and otherwise by
the reason for its cookie: ``kind`` (permanent or not), ``emptied`` (the cookie is taken
back), ``renewed`` (a new session id by closing renewal), ``rotated`` and ``migrated``
(by open renewal), ``began`` (a session of its own).

*Open.* A session id that is rotated or migrated leaves the old cookie good, for 60
seconds or as long as the new one: it reads and saves the same session, is given the
new cookie again, and nobody is logged out by a lost response or a killed worker.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from .history import Deed
from .history import DROPPED_FOR
from .history import History
from .history import OPEN_FOR
from .promises import Verdict
from .request import View


def ended(history: History, verdict: Verdict) -> None:
    """What has ended is reached by no cookie any more."""
    if history.expired:
        return
    for ender in history.enders:
        # A cookie that reads as empty is still good for ending what became of it.
        is_meant = bool(ender.before) or ender.request.destroyed or ender.is_outside
        is_lost = ender.cookie is None or history.is_stranded(ender)
        if ender.failed or is_lost or not is_meant:
            continue
        for cookie, found in history.found.items():
            view = found.view
            if cookie == ender.given or _is_new(cookie, ender, history):
                continue
            # What an older cookie reads was shut out of the session that was ended.
            is_older = ender.cookie != history.start.cookie == cookie
            if is_older and any(d.closes for d in history.deeds if d is not ender):
                continue
            user = history.ground.user
            kept = user not in view if ender.change == "leave" else not view
            how = "after {} had ended it, a cookie reads {}"
            verdict.hold("ended", kept, how, ender.name, view)


def _is_new(cookie: str, ender: Deed, history: History) -> bool:
    """Whether a cookie was given to somebody who began a session of his own."""
    for deed in history.deeds:
        if deed is ender or deed.given != cookie:
            continue
        if deed.request.destroyed or deed.cookie is None:
            return True
        if history.follows(deed, ender):
            return True
        is_same = ender.is_outside or ender.cookie == deed.cookie
        if is_same and deed.request.first > history.effective(ender):
            return history.since(ender, deed)[1] > DROPPED_FOR
        # The second of two who shut the old cookie out is nobody's successor.
        return deed.closes and any(
            other is not deed and other.request.last < deed.request.last
            for other in history.deeds
            if other.closes and not other.dropped
        )
    return False


def logged_in(history: History, verdict: Verdict) -> None:
    """Nobody is logged out by the order of the responses."""
    if history.enders or history.uncertain or history.expired:
        return
    browser = [
        deed
        for deed in history.deeds
        if deed.request.who == "browser" and not history.is_stranded(deed)
    ]
    given = [deed for deed in browser if deed.given is not None]
    # Who sends a cookie has received it before.
    given = [d for d in given if not _is_received(d, history)] or given
    name = history.ground.user
    if any(name in deed.removed for deed in history.deeds):
        return
    took = [deed for deed in browser if name in deed.changes and deed.acknowledged]
    before = history.ground.values.get(name)
    users = {deed.changes[name] for deed in took} or {before}
    users |= {d.changes.get(name, before) for d in history.deeds if d.failed}
    for deed in given:
        view = history.found[deed.given].view if deed.given else {}
        wrong = _lacks(deed, view, users, history)
        prepared = history.effective(deed, deed.request.prepared)
        later = [d for d in history.closers if d.request.last > prepared]
        reason = _reason(deed, history)
        if wrong and reason and (later or _begins_anew(deed, history)):
            verdict.overtaken.add(reason)
        else:
            how = "with the cookie of {} {}"
            verdict.hold("logged in", not wrong, how, deed.name, wrong)
    if not given and browser and not history.closers:
        view = history.found[history.start.cookie].view
        kept = view.get(history.ground.user) in users
        verdict.hold("logged in", kept, "the old cookie reads {}", view)


def _is_received(deed: Deed, history: History) -> bool:
    return any(history.follows(other, deed) for other in history.deeds)


def takes_place(history: History, verdict: Verdict) -> None:
    """Nobody can prevent a login, but by a logout."""
    if history.enders or history.expired:
        return
    for deed in history.deeds:
        is_blind = deed.request.regenerated and not history.ground.has_user_key
        logs_in = deed.change in ("login", "switch") or (is_blind and deed.assigned)
        if logs_in and not deed.failed and not history.is_stranded(deed):
            kept = deed.acknowledged and bool(deed.given)
            verdict.hold("logged in", kept, "{} is given no session", deed.name)


def _is_second(deed: Deed, history: History) -> bool:
    """Whether it is one of two who called regenerate() where nobody knows which name
    says who is logged in: the second one gets a session of its own."""
    is_blind = not history.ground.has_user_key and deed.request.regenerated
    return is_blind and bool(deed.assigned) and len(history.closers) > 1


def _begins_anew(deed: Deed, history: History) -> bool:
    """Whether it may have been given a session of its own."""
    late = [
        history.since(other, deed)[1] > DROPPED_FOR for other in history.before(deed)
    ]
    return any(late) or _is_second(deed, history)


def _lacks(deed: Deed, view: View, users: set[t.Any], history: History) -> str:
    """What the browser misses if this response's cookie is its last one."""
    user = view.get(history.ground.user)
    if user not in users:
        return f"the user is {user}"
    is_one_of_many = history.shut_twice and not history.ground.is_frozen
    if is_one_of_many or any(d.change == "switch" for d in history.closers):
        return ""
    written = {name for d in history.deeds for name in d.changes}
    for name, value in history.ground.values.items():
        if name in written or name == "sum" or deed.cookie is None:
            continue
        if view.get(name) != value:
            return f"{name} is {view.get(name)}"
    return ""


def _reason(deed: Deed, history: History) -> str:
    """Why a response may give a cookie at all; empty if it may not."""
    if not deed.given:
        return "emptied"
    if _is_second(deed, history):
        return "began"
    if deed.closes:
        return "renewed"
    if history.ground.opens:
        return history.ground.opens
    if any(other.request.made_permanent is not None for other in history.deeds):
        return "kind"
    if history.touch_is_due:
        return "touch"
    return "began" if history.is_own(deed) else ""


def opened(history: History, verdict: Verdict) -> None:
    """An open renewal leaves the old cookie good."""
    ground = history.ground
    if not ground.opens or any(d.closes or d.ends for d in history.deeds):
        return
    if history.expired or history.unclear:
        return
    is_old_good = ground.opens == "migrated" or history.elapsed < OPEN_FOR
    known = [d.given for d in history.deeds if d.given and not history.is_own(d)]
    cookies = [*known, *([history.start.cookie] if is_old_good else [])]
    reached = [history.found[cookie] for cookie in cookies]
    is_empty = any("csrf" in deed.removed for deed in history.deeds)
    for found in reached:
        is_same = found.session_id == reached[0].session_id
        # Looking may have rotated it, if it was due again.
        is_like = history.elapsed > 0 and found.view == reached[0].view
        kept = is_same or is_like or is_empty
        verdict.hold("open", kept, "the old cookie and the new one part ways")
    if is_old_good and known:
        kept = bool(history.found[history.start.cookie].given) or is_empty
        verdict.hold("open", kept, "the old cookie is not given the new one again")
    for deed in history.deeds:
        if deed.cookie == history.start.cookie and deed.request.seen and not is_empty:
            users = {ground.values.get(ground.user)}
            users |= {d.assigned.get(ground.user) for d in history.deeds}
            kept = deed.before.get(ground.user) in users and bool(deed.before)
            how = "{} reads {} with the old cookie"
            is_in_time = deed.request.times[-1] - deed.request.times[0] < OPEN_FOR
            if is_in_time and (is_old_good or history.elapsed == 0):
                verdict.hold("open", kept, how, deed.name, deed.before)


LOGINS: tuple[cabc.Callable[[History, Verdict], None], ...] = (
    ended,
    takes_place,
    logged_in,
    opened,
)
