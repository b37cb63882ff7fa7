"""The promises about session ids that change.

*Shut out.* When somebody logs in or out, becomes another user or asks for a new session
id, whoever holds the old cookie, in whatever request, gains nothing: is given no cookie
of the new session, sees no value that was stored in it since, and stores none in it.
What requests had saved before comes along. The next user has exactly what the request
that changed the user assigned, and who logs out keeps the rest as he saw it.

*Old cookies.* Who comes with the old cookie after that reads what the session held
then, if nobody was logged in, and nothing otherwise; after a logout nothing. What he
stores within five seconds is dropped and told, without a cookie; later it begins a
session of its own. Who logs in gets a session of his own at any time, but for five
seconds after a logout, and if he had looked before it.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from .history import CLOSED_FOR
from .history import Deed
from .history import DROPPED_FOR
from .history import History
from .promises import Verdict
from .request import View


def _foreign_values(owner: Deed, view: View, history: History, mine: View) -> str:
    """A value that only the owner has stored, which a view shows all the same."""
    for name, value in owner.assigned.items():
        others = (d for d in history.deeds if d is not owner and not d.closes)
        is_known = any(d.assigned.get(name) == value for d in others)
        if is_known or name == "sum" or history.initial.get(name) == value:
            continue
        if view.get(name) == value and mine.get(name) != value:
            return f"{name}={value}"
    return ""


def shut_out(history: History, verdict: Verdict) -> None:
    """Who holds the old cookie gains nothing."""
    for owner in history.deeds:
        if not (owner.closes or owner.request.destroyed) or owner.dropped:
            continue
        for other in history.deeds:
            if other is not owner and not history.follows(other, owner):
                _sees_nothing(owner, other, history, verdict)
                if owner.given and owner.acknowledged:
                    _takes_and_adds_nothing(owner, other, history, verdict)
        seen = history.found[history.start.cookie].view
        leak = _foreign_values(owner, seen, history, {})
        verdict.hold("shut out", not leak, "the old cookie reads {} at the end", leak)


def _sees_nothing(owner: Deed, other: Deed, history: History, verdict: Verdict) -> None:
    for number, view in enumerate(other.request.seen):
        mine = history.inherited(other) | (other.assigned if number else {})
        leak = _foreign_values(owner, view, history, mine)
        verdict.hold("shut out", not leak, "{} sees {}", other.name, leak)
    if other.given and other.given != owner.given:
        view = history.found[other.given].view
        mine = history.inherited(other) | other.assigned
        leak = _foreign_values(owner, view, history, mine)
        how = "the cookie of {} reads {}"
        verdict.hold("shut out", not leak, how, other.name, leak)


def _takes_and_adds_nothing(
    owner: Deed, other: Deed, history: History, verdict: Verdict
) -> None:
    renewed = history.found[t.cast(str, owner.given)]
    if other.given and renewed.view:
        kept = history.found[other.given].session_id != renewed.session_id
        how = "{} is given a cookie of the session of {}"
        verdict.hold("shut out", kept, how, other.name, owner.name)
    if history.unclear or history.follows(owner, other):
        return
    if any(other.wrote(value) for value in renewed.view.values()):
        done = history.effective(other)
        is_before = done < owner.request.last
        is_told = other.dropped and not other.retried
        kept = is_before and not is_told and not history.is_own(other)
        how = "a value of {} is in the session of {}"
        verdict.hold("shut out", kept, how, other.name, owner.name)


def users_apart(history: History, verdict: Verdict) -> None:
    """The next user has what the request assigned, who logs out what he saw."""
    for deed in history.closers:
        if history.is_superseded(deed):
            continue
        view = history.found[t.cast(str, deed.given)].view
        for other in history.deeds:
            if history.follows(other, deed):
                view = {n: v for n, v in view.items() if n not in other.changes}
        is_ended = any(other is not deed for other in history.enders)
        if (is_ended or history.expired) and not view:
            continue
        if deed.change == "switch":
            kept = view == deed.assigned
            verdict.hold("shut out", kept, "user 2 of {} has {}", deed.name, view)
        if deed.change == "leave":
            rest = {n: v for n, v in deed.before.items() if n not in deed.removed}
            rest |= deed.assigned
            kept = view.items() <= rest.items()
            how = "after the logout of {} there is {}"
            verdict.hold("shut out", kept, how, deed.name, view)
            written = {n for other in history.deeds for n in other.changes}
            kept = all(view.get(n) == rest[n] for n in rest if n not in written)
            verdict.hold("nothing is lost", kept, how, deed.name, view)


def old_cookies(history: History, verdict: Verdict) -> None:
    """What comes with the old cookie, after it was shut out."""
    if history.expired:
        return
    for deed in history.deeds:
        if deed.cookie != history.start.cookie or not deed.request.seen:
            continue
        earlier = [other for other in history.before(deed) if other.before]
        if earlier and not deed.failed:
            _reads_frozen(deed, earlier, history, verdict)
            _stores_late(deed, earlier, history, verdict)


def _reads_frozen(
    deed: Deed, earlier: list[Deed], history: History, verdict: Verdict
) -> None:
    since = min(history.since(other, deed)[0] for other in earlier)
    is_kept = not any(other.ends for other in earlier) and since < CLOSED_FOR
    if any(other.ends and other.cookie != deed.cookie for other in earlier):
        return  # it ended what the old cookie does not lead to any more
    if not (is_kept and history.ground.is_frozen):
        kept = not deed.before
        how = "{} reads {} with the old cookie"
        verdict.hold("old cookies", kept, how, deed.name, deed.before)
        return
    if history.enders or any(o.cookie != deed.cookie for o in earlier):
        return
    written = {n for d in history.deeds if not d.closes for n in d.changes}
    for name, value in history.ground.values.items():
        if name not in written and name != "sum":
            kept = deed.before.get(name) == value
            how = "{} does not find {} with the old cookie"
            verdict.hold("old cookies", kept, how, deed.name, name)
    kept = not deed.request.refused or "csrf" in written
    verdict.hold("logged in", kept, "the form of {} was refused", deed.name)


def _stores_late(
    deed: Deed, earlier: list[Deed], history: History, verdict: Verdict
) -> None:
    if not (deed.removed or deed.assigned) or deed.request.destroyed:
        return
    if any(o.ends and o.cookie != deed.cookie for o in earlier) and (
        history.closers or not history.ground.opens
    ):
        return  # another session was ended than the one that the cookie names
    least = min(history.since(other, deed)[0] for other in earlier)
    most = min(history.since(other, deed)[1] for other in earlier)
    logs_in = deed.change == "login" or (
        deed.request.regenerated and not history.ground.has_user_key
    )
    if any(o.ends and o is not deed and o not in earlier for o in history.deeds):
        return
    is_own = least > DROPPED_FOR or (
        logs_in and not any(other.ends for other in earlier)
    )
    if is_own:
        if deed.request.operation.late is None and deed.assigned:
            kept = deed.acknowledged and bool(deed.given)
            verdict.hold("old cookies", kept, "{} begins no session", deed.name)
    elif most < DROPPED_FOR:
        kept = deed.dropped and not deed.given
        if deed.request.operation.late is not None:
            kept = not deed.given
        verdict.hold("old cookies", kept, "{} was not dropped", deed.name)


RENEWALS: tuple[cabc.Callable[[History, Verdict], None], ...] = (
    shut_out,
    users_apart,
    old_cookies,
)
