"""Who has which sessions: requests keep the index of users right, sites ask it."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import re
import typing as t

from ..config import SessionConfig
from ..errors import PartlyRevoked
from ..errors import SessionUnavailable
from ..events import Circumstances
from ..events import EventLog
from ..events import Tell
from ..http.visitor import Visitor
from ..lifetimes import Lifetimes
from ..lifetimes import RENEWED_TTL
from ..model.info import SessionInfo
from ..model.record import Record
from ..model.session import Session
from ..store.sessions import RedisStore
from ..store.users import Entered
from ..store.users import Entry
from ..store.users import Known
from ..store.users import User
from ..store.users import UserIndex
from ..transport.deadline import Deadline
from .user import named
from .user import UserKey

#: Where a reply took so long that nobody can tell whether a request began before its
#: user's sessions were revoked, it is asked for so often.
_ATTEMPTS = 3

#: How often the sessions of a user are looked through: each time, all are ended that
#: are found, and what is found again has been renewed meanwhile.
_PASSES = 64

#: Why a login has ended a session.
_SURPLUS = "the oldest of too many"


class Request(t.Protocol):
    """The request in which something becomes of a session."""

    @property
    def age(self) -> int:
        """How long ago it began, in microseconds."""

    @property
    def visitor(self) -> Visitor:
        """Who has sent it."""

    @property
    def tell(self) -> Tell:
        """Reports what happens in it."""


class Directory:
    """Keeps the index of users right, and answers from it.

    Every method raises :exc:`~wsgi_redis_session.SessionUnavailable` where Redis did
    not answer, unless it says otherwise.
    """

    def __init__(
        self,
        index: UserIndex,
        store: RedisStore,
        user_key: UserKey,
        lifetimes: Lifetimes,
        events: EventLog,
        config: SessionConfig,
    ) -> None:
        self._index = index
        self._store = store
        self._user_key = user_key
        self._lifetimes = lifetimes
        self._events = events
        self._limit = config.max_sessions_per_user or 0

    # What requests do.

    def enter(
        self,
        deadline: Deadline,
        record: Record,
        ttl: int,
        request: Request,
        before: str = "",
        counts_as: bytes = b"",
    ) -> list[tuple[str, bytes]] | None:
        """A session is about to be stored for so many milliseconds, in the place of
        another one or, without ``before``, because its user logs in.

        Returns which sessions are too many now, where this one ``counts_as`` its own
        device or another one. ``None`` where it must not be, because all the user's
        were revoked since the request began; the caller lets it :meth:`leave`, when
        nothing is stored.
        """
        user = self._user_key.user(record.packed)
        if user is None:
            return []
        for _ in range(_ATTEMPTS):
            age = request.age
            entered = self._enter(
                deadline, user, record, ttl, request.visitor, before, counts_as
            )
            if entered is None:
                return None
            # Redis took the command in at some time while this request waited for it.
            if entered.revoked is None or entered.revoked > request.age:
                return entered.surplus
            if entered.revoked <= age:
                break
        return None

    def notice(self, deadline: Deadline, record: Record, visitor: Visitor) -> None:
        """A session was seen, and begins to idle anew.

        What is stored has to be looked at after that: the session may have got a new
        session id just now, or it ends here, because all its user's were revoked.
        """
        user = self._user_key.user(record.packed)
        expiry = self._lifetimes.expiry(record.created)
        if user is None or expiry is None:
            return
        ttl = expiry.of(record.permanent)
        if self._enter(deadline, user, record, ttl, visitor, record.id) is None:
            self._store.bar(deadline, record.id)

    def refuses(self, deadline: Deadline, record: Record) -> bool:
        """Whether a session that is another library's must not become one of ours,
        because all its user's were revoked."""
        user = self._user_key.user(record.packed)
        if user is None:
            return False
        return self._index.is_marked(deadline, user, record.device)

    def admit(self, deadline: Deadline, record: Record) -> bool:
        """Another library's session is about to become one of ours, out of any request;
        false where it must not, see :meth:`refuses`."""
        if self.refuses(deadline, record):
            return False
        self.notice(deadline, record, Visitor())
        return True

    def knows(self, record: Record) -> bool:
        """Whether a session has a user, so that it is in the index."""
        return self._user_key.user(record.packed) is not None

    def _enter(
        self,
        deadline: Deadline,
        user: User,
        record: Record,
        ttl: int,
        visitor: Visitor,
        before: str,
        counts_as: bytes = b"",
    ) -> Entered | None:
        known = Known(
            record.device,
            record.created,
            self._lifetimes.now(),
            record.permanent,
            *visitor,
        )
        limit = 0 if before else self._limit
        return self._index.enter(
            deadline,
            user,
            record.id,
            known,
            ttl,
            before=before,
            limit=limit,
            counts_as=counts_as,
        )

    def leave(self, deadline: Deadline, record: Record) -> None:
        """A session has ended, or got a new session id.

        What stays in the index does no harm, so this raises nothing.
        """
        user = self._user_key.user(record.packed)
        if user is not None:
            with contextlib.suppress(SessionUnavailable):
                self._index.leave(deadline, user, [record.id])

    def end_surplus(
        self, deadline: Deadline, record: Record, surplus: list[tuple[str, bytes]]
    ) -> None:
        """End what is too many since the user of ``record`` logged in.

        What it does not get to, the next login does, so this raises nothing.
        """
        user = self._user_key.user(record.packed)
        if user is None or not surplus:
            return
        done, missed = [], set[bytes]()
        for session_id, device in surplus:
            with contextlib.suppress(SessionUnavailable):
                if not self._end(deadline, user, session_id, _SURPLUS):
                    missed.add(device)
                done.append(session_id)
        with contextlib.suppress(SessionUnavailable):
            if done:
                self._index.leave(deadline, user, done)
            if missed:  # it has ended by itself, or got a new session id
                self._end_all(
                    deadline, user, lambda entry: entry.counts_as in missed, [], []
                )

    # What sites ask.

    def devices(
        self, deadline: Deadline, user: object, current: Session | None
    ) -> list[SessionInfo]:
        """See :meth:`SessionManager.of_user
        <wsgi_redis_session.SessionManager.of_user>`."""
        user, found, ended = _name(user), [], []
        current_id = "" if current is None else current.id
        entries = self._index.entries(deadline, user)
        kinds = self._store.kinds(deadline, [entry.id for entry in entries])
        for entry, kind in zip(entries, kinds, strict=True):
            if kind is not None:
                found.append(_info(entry, permanent=kind, current=current_id))
            elif entry.age > RENEWED_TTL:  # else it may be about to be stored
                ended.append(entry.id)
        if ended:
            self._index.leave(deadline.renewed(), user, ended)
        return sorted(found, key=lambda info: info.last_seen or 0, reverse=True)

    def revoke(
        self, deadline: Deadline, user: object, device: str | None, keep: Session | None
    ) -> int:
        """See :meth:`SessionManager.revoke_user
        <wsgi_redis_session.SessionManager.revoke_user>`."""
        name = _name(user)
        kept = None if keep is None else _device(keep.device)
        only = None if device is None else _device(device)
        ended: list[str] = []
        left: list[str] = []

        def is_meant(entry: Entry) -> bool:
            if entry.known.device == kept:
                return False
            if only is not None:
                return entry.known.device == only
            return entry.entered <= limits[entry.place]

        try:
            if only is None:
                ttl = self._lifetimes.longest_ttl
                limits = self._index.mark(deadline.renewed(), name, kept or b"", ttl)
            self._end_all(deadline, name, is_meant, ended, left)
        except SessionUnavailable as error:
            raise PartlyRevoked(str(error), ended, left) from error
        return len(ended)

    def _end_all(
        self,
        deadline: Deadline,
        user: User,
        is_meant: cabc.Callable[[Entry], bool],
        ended: list[str],
        left: list[str],
    ) -> None:
        """End sessions of a user until there are no more of those that are meant."""
        for _ in range(_PASSES):
            entries = self._index.entries(deadline.renewed(), user)
            left[:] = [entry.id for entry in entries if is_meant(entry)]
            if not left:
                return
            done = left.copy()
            while left:
                if self._end(deadline.renewed(), user, left[0]):
                    ended.append(left[0])
                del left[0]
            self._index.leave(deadline.renewed(), user, done)
        raise SessionUnavailable("the user's sessions are renewed all the time")

    def _end(
        self, deadline: Deadline, user: User, session_id: str, detail: str = ""
    ) -> bool:
        ended = self._store.bar(deadline, session_id)
        if ended:
            about = Circumstances(self._user_key.digest(user), duration=deadline.spent)
            self._events.emit("revoked", session_id, detail, about)
        return ended


def _info(entry: Entry, *, permanent: bool, current: str) -> SessionInfo:
    known = entry.known
    return SessionInfo(
        device=known.device.hex(),
        id=entry.id,
        created=known.created / 1000,
        permanent=permanent,
        last_seen=known.seen / 1000,
        address=known.address,
        user_agent=known.user_agent,
        current=entry.id == current,
    )


def _name(user: object) -> User:
    name = named(user)
    if name is None:
        raise ValueError(f"a user is a str, an int or a UUID, not {user!r}")
    return name


def _device(text: str) -> bytes:
    if not re.fullmatch("[0-9a-f]{16}", text):
        raise ValueError("a device is named as session.device and of_user() do")
    return bytes.fromhex(text)
