"""What a request wants with its session, by what it did to it."""

from __future__ import annotations

import typing as t

from ..model.draft import Draft
from ..model.record import State
from .step import UserChange
from .step import Wish
from .version import Version

if t.TYPE_CHECKING:
    from .exchange import Exchange


def wished(
    exchange: Exchange, draft: Draft, may_rotate: bool, is_late: bool
) -> tuple[Version, Wish]:
    """The session as the request would store it, and what becomes of it if nobody else
    was there.

    Raises what :class:`~wsgi_redis_session.request.version.Version` does, and
    :exc:`~wsgi_redis_session.ConfigurationError` for a user that is no identifier.
    """
    parts = exchange.parts
    version = Version(draft, parts.config)
    user_key, before, changes = parts.user_key, draft.base.packed, version.changes
    user, confirms = user_key.change(draft, before, changes.packed), False
    if user_key.confirmed_by in changes.changed:
        confirms = user_key.is_confirmed(before, changes.packed)
    renews = confirms or draft.wants_new_sid
    if renews or user is not UserChange.NONE:
        logs_in = user in (UserChange.LOGIN, UserChange.SWITCH)
        version.shut_out(user, parts.lifetimes.now() if logs_in or confirms else None)
    changes, saves = version.changes, draft.must_save
    if saves is None:
        saves = bool(changes.changed or changes.removed or version.sets_kind)
    return version, Wish(
        ends=draft.ended is not None,
        user=user,
        renews=renews,
        saves=saves,
        is_empty=not changes.packed,
        may_be_login=user_key.name is None and draft.may_be_login,
        rotates=may_rotate and exchange.is_rotation_due,
        adopts=exchange.predecessor is not None and draft.state is State.LIVE,
        reseals=exchange.is_cookie_due and draft.base.is_stale,
        is_late=is_late,
    )
