"""A session as it is stored, the session ids that name it, and what it leaves behind
when it moves or ends."""

from __future__ import annotations

import binascii
import collections.abc as cabc
import enum
import functools
import hashlib
import hmac
import re
import reprlib
import secrets
import types
import typing as t

from ..errors import Undecodable

if t.TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = bytes.maketrans(b"-_", b"+/")

#: What :func:`secrets.token_bytes` calls.
_draw = secrets.SystemRandom().randbytes

#: Each writer of a session draws so many bytes, and the last four are kept.
_REVISION_BYTES = 8
_REVISIONS_KEPT = 4

#: What a session id encodes.
_SID_BYTES = 32


def url_safe_base64(data: bytes) -> bytes:
    """Base64 for URLs, without padding (RFC 4648, sections 3.2 and 5)."""
    encoded = binascii.b2a_base64(data, newline=False)
    return encoded.translate(_URL_SAFE, delete=b"=")


def from_url_safe_base64(text: bytes) -> bytes:
    """The way back; raises :exc:`ValueError`."""
    return binascii.a2b_base64(text.translate(_STANDARD) + b"==")


def xor(one: bytes, other: bytes) -> bytes:
    """Of two texts of the same length."""
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(len(other))


def _digests(sid: str) -> tuple[str, bytes]:
    """Two parts of a session id's SHA-256, neither of which tells the other: its digest
    (144 bits), and what a value in Redis is bound to it by (64 bits)."""
    sha = hashlib.sha256(sid.encode("ascii")).digest()
    return url_safe_base64(sha[:18]).decode("ascii"), sha[18:26]


#: The same for session ids that the next request will have, too.
digests = functools.lru_cache(1024)(_digests)


def digest(sid: str) -> str:
    """The one-way digest of a session id, which is safe to show, to log and to keep in
    Redis."""
    return digests(sid)[0]


def is_digest(text: object) -> bool:
    """Whether something looks like what :func:`digest` returns."""
    return isinstance(text, str) and bool(re.fullmatch(r"[A-Za-z0-9_-]{24}", text))


def shortened(name: str) -> str:
    """A session's name as an error or an event shows it; visitors may choose names."""
    return reprlib.repr(name)


class Sealed(t.NamedTuple):
    """How the values of a session are sealed, see the option ``encrypt``."""

    #: The data key, and the number that was drawn with it: values merge only with
    #: those that are sealed with the same one.
    key: bytes
    key_id: bytes
    #: What seals with it.
    aead: AESGCM
    #: The data key as it is stored: its id, and itself wrapped for one session id.
    envelope: bytes
    #: Hidden names and sealed values, as they are stored.
    hidden: cabc.Mapping[str, bytes]
    #: The names and values that these stand for, in the same order.
    packed: dict[str, bytes]
    #: Whether the envelope is not what the current secret makes for this session id.
    is_stale: bool

    def __repr__(self) -> str:
        return f"<Sealed {self.key_id.hex()}>"


class Record(t.NamedTuple):
    """A session as it is stored, or one that is not stored yet."""

    #: The session id; no representation of a record shows it.
    sid: str
    #: Its digest, safe to show, to log and to keep in Redis.
    id: str
    #: What the stored value is bound to the session id by.
    binding: bytes
    #: When the session began, in milliseconds since the epoch.
    created: int
    #: When the session id was drawn; known from the cookie, not from what is stored.
    drawn: int
    #: Drawn at random for a browser; it stays when the session id changes.
    device: bytes
    permanent: bool = False
    #: Drawn at random by the last four writers, the last one first; empty for what was
    #: never stored.
    revisions: bytes = b""
    #: Names and their packed values.
    packed: cabc.Mapping[str, bytes] = types.MappingProxyType({})
    #: ``None`` where nothing is sealed, or the next data key is yet to be drawn.
    sealed: Sealed | None = None

    def __repr__(self) -> str:
        return f"<Record {self.id}>"

    @classmethod
    def fresh(cls, now: int, permanent: bool = False) -> Record:
        """A new session under a new session id of 256 random bits."""
        sid = secrets.token_urlsafe(_SID_BYTES)
        device = secrets.token_bytes(8)
        return cls(sid, *_digests(sid), now, now, device, permanent)

    @property
    def stored(self) -> bool:
        """Whether this session is in Redis."""
        return bool(self.revisions)

    @property
    def ids(self) -> list[str]:
        """Under which digest it is in Redis, if it is."""
        return [self.id] if self.stored else []

    @property
    def revision(self) -> bytes:
        """What the last writer has drawn."""
        return self.revisions[:_REVISION_BYTES]

    def has(self, revision: bytes) -> bool:
        """Whether a writer that has drawn this is among the last ones."""
        kept = range(0, len(self.revisions), _REVISION_BYTES)
        return any(self.revisions.startswith(revision, at) for at in kept)

    def revised(self, packed: cabc.Mapping[str, bytes], permanent: bool) -> Record:
        """The same session with other contents, as a writer wants to store it."""
        earlier = self.revisions[: _REVISION_BYTES * (_REVISIONS_KEPT - 1)]
        revisions = _draw(_REVISION_BYTES) + earlier
        return Record(
            self.sid,
            self.id,
            self.binding,
            self.created,
            self.drawn,
            self.device,
            permanent,
            revisions,
            packed,
            self.sealed,
        )

    @property
    def is_stale(self) -> bool:
        """Whether it is to be sealed, or its data key to be wrapped anew."""
        return self.sealed is not None and self.sealed.is_stale

    def unsealed(self) -> Record:
        """The same session, with a data key yet to be drawn: whoever had one of its
        session ids has the one that it had."""
        return self._replace(sealed=None)

    def renamed(self, now: int) -> Record:
        """The same session under a new session id."""
        return self.under(secrets.token_urlsafe(_SID_BYTES), now)

    def under(self, sid: str, drawn: int) -> Record:
        """The same session under another session id."""
        session_id, binding = digests(sid)
        sealed = self.sealed and self.sealed._replace(is_stale=True)
        return self._replace(
            sid=sid, id=session_id, binding=binding, drawn=drawn, sealed=sealed
        )


class Stored(t.NamedTuple):
    """What a stored session says, whosever it is."""

    permanent: bool
    revisions: bytes
    binding: bytes
    created: int
    device: bytes
    #: Names and their packed values; where they are sealed, hidden names and sealed
    #: values.
    packed: dict[str, bytes]
    #: The wrapped data key; empty where nothing is sealed.
    envelope: bytes = b""

    def __repr__(self) -> str:
        return f"<Stored {self.binding.hex()}>"

    def under(self, sid: str, session_id: str, drawn: int) -> Record:
        """The session of a session id, to which the caller knows it to be bound.

        Raises :exc:`~wsgi_redis_session.errors.Undecodable` where it is sealed.
        """
        if self.envelope:
            raise Undecodable("the session is sealed, and encrypt is not set")
        return Record(
            sid,
            session_id,
            self.binding,
            self.created,
            drawn,
            self.device,
            self.permanent,
            self.revisions,
            self.packed,
        )


class State(enum.Enum):
    """What is known of a session under the session id that a browser has sent."""

    #: Nothing was ever stored for this visitor.
    NEW = "n"
    #: It is stored, or still another library's.
    LIVE = "l"
    #: It got a new session id, and the old one is good for a while yet.
    MOVED = "o"
    #: It got a new session id, which whoever has the old one must not learn.
    RENEWED = "c"
    #: Its visitor has logged out.
    ENDED = "e"
    #: It is not there any more: expired, or ended longer ago.
    GONE = "g"


@t.final
class Tombstone(t.NamedTuple):
    """What stands under the key of a session that moved or ended."""

    state: State
    #: The digest of the session id that the session has now; "" where there is none.
    successor: str = ""
    #: The successor's session id, as only the old one opens it.
    wrapped_sid: bytes = b""
    #: What it held when it was renewed; only where nobody was logged in.
    frozen: Stored | None = None

    def __repr__(self) -> str:
        return f"<Tombstone {self.state.name} {self.successor}>"

    @classmethod
    def moved(cls, sid: str, successor: Record) -> Tombstone:
        """For a session id whose session goes on under another one."""
        raw = from_url_safe_base64(successor.sid.encode("ascii"))
        wrapped = xor(raw, _wrapping_key(sid, successor.id))
        return cls(State.MOVED, successor.id, wrapped)

    def successor_of(self, sid: str) -> str:
        """The session id that took the place of ``sid``.

        Raises :exc:`~wsgi_redis_session.errors.Undecodable` where this tombstone was
        not made for it.
        """
        raw = xor(self.wrapped_sid, _wrapping_key(sid, self.successor))
        found = url_safe_base64(raw).decode("ascii")
        if not hmac.compare_digest(digest(found), self.successor):
            raise Undecodable("the tombstone is not that of this session")
        return found


def _wrapping_key(sid: str, successor: str) -> bytes:
    return hmac.digest(sid.encode("ascii"), f"successor{successor}".encode(), "sha256")
