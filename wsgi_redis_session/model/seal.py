"""Values that Redis holds and nobody reads there: the option ``encrypt``.

Each session has a data key of its own, with which its values are sealed one by one. The
data key is stored beside them, wrapped with a key that takes both a secret of the site
and the session id to derive. The session id is in the browser's cookie only, so Redis
and the secrets together open nothing.

AES-256-GCM (NIST SP 800-38D) with a random nonce for each value, and HKDF-SHA256
(RFC 5869) of the secret and the session id.
"""

from __future__ import annotations

import collections.abc as cabc
import hmac
import secrets
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from ..errors import Undecodable
from .record import Record
from .record import Sealed
from .record import Stored
from .record import url_safe_base64

_SALT = b"wsgi-redis-session encryption"
_KEY_BYTES = 32
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12

#: Key id, nonce, and the data key with the tag of its AES-GCM.
_ENVELOPE = struct.Struct("8s12s48s")

#: MessagePack never begins with the first byte; the second one says what follows.
_MARK = b"\xc1s"

#: So many bytes of a name's digest stand in the place of the name.
_HIDDEN_BYTES = 12

#: What is sealed begins with the length of the name, in so many bytes, and the name.
_LENGTH_BYTES = 4


class Seal:
    """Seals what is stored, and opens it.

    ``secret_keys`` are the secrets of the site: the first one wraps data keys, the
    others still open what they have wrapped. ``accepts_plain`` says whether sessions
    are read that are not sealed.
    """

    def __init__(
        self, secret_keys: cabc.Iterable[bytes], *, accepts_plain: bool
    ) -> None:
        # The first half of HKDF, which is the same for all sessions.
        self._extracted = [
            HMAC(hmac.digest(_SALT, key, "sha256"), SHA256()) for key in secret_keys
        ]
        self._accepts_plain = accepts_plain

    def open(self, stored: Stored, sid: str, session_id: str, drawn: int) -> Record:
        """The session of a session id.

        Raises :exc:`~wsgi_redis_session.errors.Undecodable` for one that is not sealed,
        that was changed, or that was moved here.
        """
        if stored.envelope:
            sealed, packed = self._opened(stored, sid)
        elif self._accepts_plain:
            sealed, packed = _fresh(), stored.packed
        else:
            raise Undecodable("the session is not sealed")
        return Record(
            sid,
            session_id,
            stored.binding,
            stored.created,
            drawn,
            stored.device,
            stored.permanent,
            stored.revisions,
            packed,
            sealed,
        )

    def close(self, record: Record) -> Record:
        """A session with its values sealed; those that are already stay as they are."""
        sealed = record.sealed or _fresh()
        key, key_id, aead, envelope, known, is_stale = sealed
        began = record.created.to_bytes(8)
        if is_stale:
            envelope = self._wrapped(key, key_id, began + record.device, record.sid)
        entries: dict[str, tuple[bytes, str, bytes]] = {}
        for name, value in record.packed.items():
            entry = known.get(name)
            if entry is None or entry[0] != value:
                hidden = hide(key, name) if entry is None else entry[1]
                about = hidden.encode() + began
                entry = value, hidden, _sealed(aead, name, value, about)
            entries[name] = entry
        sealed = Sealed(key, key_id, aead, envelope, entries, False)
        # What _replace() does, for half of what it costs.
        return Record(*record[:-1], sealed)

    def words(
        self, names: list[str], base: Record, ours: Record, with_values: bool
    ) -> list[bytes]:
        """What ``save.lua`` is told of names that a request has changed: the hidden
        names and, with their values, what was stored under each when it was loaded."""
        assert ours.sealed is not None  # close() has made it
        key = ours.sealed.key
        words = [hide(key, name).encode() for name in names]
        if with_values:
            before = base.sealed.entries if base.sealed else {}
            words += [before[name][2] if name in before else b"" for name in names]
        return words

    def _opened(self, stored: Stored, sid: str) -> tuple[Sealed, dict[str, bytes]]:
        """How a session is sealed, and its values."""
        envelope, began = stored.envelope, stored.created.to_bytes(8)
        key, key_id, is_stale = self._unwrapped(envelope, began + stored.device, sid)
        packed: dict[str, bytes] = {}
        entries: dict[str, tuple[bytes, str, bytes]] = {}
        aead = AESGCM(key)
        for hidden, sealed in stored.packed.items():
            if sealed[:2] != _MARK:
                raise Undecodable("a value in a sealed session is not sealed")
            about = hidden.encode() + began
            try:
                plain = aead.decrypt(sealed[2:14], sealed[14:], about)
            except (InvalidTag, ValueError):
                raise Undecodable("a value is not what was sealed here") from None
            end = _LENGTH_BYTES + int.from_bytes(plain[:_LENGTH_BYTES])
            name, value = plain[_LENGTH_BYTES:end].decode(), plain[end:]
            packed[name] = value
            entries[name] = value, hidden, sealed
        return Sealed(key, key_id, aead, envelope, entries, is_stale), packed

    def _wrapped(self, key: bytes, key_id: bytes, about: bytes, sid: str) -> bytes:
        """The envelope of a data key, for one session id."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        wrapping = _wrapping(self._extracted[0], sid)
        return key_id + nonce + wrapping.encrypt(nonce, key, key_id + about)

    def _unwrapped(
        self, envelope: bytes, about: bytes, sid: str
    ) -> tuple[bytes, bytes, bool]:
        """A data key, its id, and whether it is to be wrapped anew."""
        key_id, nonce, wrapped = _ENVELOPE.unpack(envelope)
        is_stale = False
        for extracted in self._extracted:
            try:
                key = _wrapping(extracted, sid).decrypt(nonce, wrapped, key_id + about)
            except InvalidTag:
                is_stale = True
                continue
            return key, key_id, is_stale
        raise Undecodable("the data key is that of another session or another secret")


def hide(key: bytes, name: str) -> str:
    """What is stored in the place of a name, by the data key."""
    mac = hmac.digest(key, b"name" + name.encode(), "sha256")
    return url_safe_base64(mac[:_HIDDEN_BYTES]).decode("ascii")


def _sealed(aead: AESGCM, name: str, packed: bytes, about: bytes) -> bytes:
    """A name and its value, so that they open only where the same is true of them."""
    raw = name.encode()
    nonce = secrets.token_bytes(_NONCE_BYTES)
    plain = len(raw).to_bytes(_LENGTH_BYTES) + raw + packed
    return _MARK + nonce + aead.encrypt(nonce, plain, about)


def _fresh() -> Sealed:
    """A data key that nobody has, for a session of which nothing is sealed yet."""
    drawn = secrets.token_bytes(_KEY_BYTES + _KEY_ID_BYTES)
    key, key_id = drawn[:_KEY_BYTES], drawn[_KEY_BYTES:]
    return Sealed(key, key_id, AESGCM(key), b"", {}, True)


def _wrapping(extracted: HMAC, sid: str) -> AESGCM:
    """What the data key of one session id is wrapped with (RFC 5869, section 2.3)."""
    expanded = extracted.copy()
    expanded.update(sid.encode("ascii") + b"\1")
    return AESGCM(expanded.finalize())
