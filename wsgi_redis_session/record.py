"""A session as it is stored, and how two versions of it merge."""

from __future__ import annotations

import binascii
import collections.abc as cabc
import hashlib
import re
import reprlib
import secrets
import types
import typing as t

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def url_safe_base64(data: bytes) -> bytes:
    """Base64 for URLs, without padding (RFC 4648, sections 3.2 and 5)."""
    encoded = binascii.b2a_base64(data, newline=False)
    return encoded.translate(_URL_SAFE, delete=b"=")


def digests(sid: str) -> tuple[str, bytes]:
    """Two parts of a session id's SHA-256, neither of which tells the other: its digest
    (144 bits), and what a value in Redis is bound to it by (64 bits)."""
    sha = hashlib.sha256(sid.encode("ascii")).digest()
    return url_safe_base64(sha[:18]).decode("ascii"), sha[18:26]


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


class Record(t.NamedTuple):
    """A session as it is stored, or one that is not stored yet."""

    #: The session id; no representation of a record shows it.
    sid: str
    #: The two parts of its SHA-256.
    digests: tuple[str, bytes]
    #: Milliseconds since the epoch.
    created: int
    permanent: bool = False
    #: Drawn at random by each writer; empty for what was never stored.
    revision: bytes = b""
    #: Names and their packed values.
    packed: cabc.Mapping[str, bytes] = types.MappingProxyType({})
    #: The session id of another library's session that this one is to replace.
    foreign_sid: str = ""

    def __repr__(self) -> str:
        return f"<Record {self.id}>"

    @classmethod
    def fresh(cls, created: int, permanent: bool = False) -> Record:
        """A new session under a new session id of 256 random bits."""
        sid = secrets.token_urlsafe(32)
        return cls(sid, digests(sid), created, permanent)

    @property
    def id(self) -> str:
        """The digest of the session id, safe to show, to log and to keep in Redis."""
        return self.digests[0]

    @property
    def stored(self) -> bool:
        """Whether this session is in Redis."""
        return bool(self.revision)

    def revised(self, packed: cabc.Mapping[str, bytes], permanent: bool) -> Record:
        """The same session with other contents, as a writer wants to store it."""
        revision = secrets.token_bytes(8)
        return Record(
            self.sid,
            self.digests,
            self.created,
            permanent,
            revision,
            packed,
            self.foreign_sid,
        )

    def renamed(self, sid: str | None = None) -> Record:
        """The same session under another session id, or a new one."""
        sid = sid or secrets.token_urlsafe(32)
        return self._replace(sid=sid, digests=digests(sid))


class Changes(t.NamedTuple):
    """What a request did to a session, compared with what it had loaded."""

    #: All names and packed values, as this request sees them.
    packed: cabc.Mapping[str, bytes]
    #: Names that were added or got another value.
    changed: list[str]
    #: Names that were removed.
    removed: list[str]

    @classmethod
    def between(
        cls, base: cabc.Mapping[str, bytes], packed: cabc.Mapping[str, bytes]
    ) -> Changes:
        """What turns one into the other."""
        changed = [name for name in packed if packed[name] != base.get(name)]
        return cls(packed, changed, [name for name in base if name not in packed])

    def onto(self, theirs: cabc.Mapping[str, bytes]) -> dict[str, bytes]:
        """Merge: these changes applied to what another request has stored."""
        merged = {
            name: packed for name, packed in theirs.items() if name not in self.removed
        }
        merged.update((name, self.packed[name]) for name in self.changed)
        return merged
