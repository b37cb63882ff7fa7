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

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..errors import Undecodable
from .record import Record
from .record import Sealed
from .record import Stored
from .record import url_safe_base64

_SALT = b"wsgi-redis-session encryption"
_KEY_BYTES = 32
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12

#: MessagePack never begins with the first byte; the second one says what follows.
_MARK = b"\xc1s"
_SEALED_AT = len(_MARK) + _NONCE_BYTES

#: So many bytes of a name's digest stand in the place of the name.
_HIDDEN_BYTES = 12

#: Before a value stands its name, and before that the length of the name.
_LENGTH_BYTES = 4


class DataKey:
    """What the values of one session are sealed with.

    ``created`` is when the session began, in milliseconds since the epoch: what is
    sealed opens in no session that began at another time.
    """

    __slots__ = ("_aead", "_began", "data", "id")

    def __init__(self, data: bytes, key_id: bytes, created: int) -> None:
        self.data = data
        #: Drawn at random: values merge only with those of the same data key.
        self.id = key_id
        self._aead = AESGCM(data)
        self._began = created.to_bytes(8)

    @classmethod
    def fresh(cls, created: int) -> DataKey:
        """A data key that nobody has."""
        drawn = secrets.token_bytes(_KEY_BYTES + _KEY_ID_BYTES)
        return cls(drawn[:_KEY_BYTES], drawn[_KEY_BYTES:], created)

    def __repr__(self) -> str:
        return f"<DataKey {self.id.hex()}>"

    def hide(self, name: str) -> str:
        """What is stored in the place of a name."""
        mac = hmac.digest(self.data, b"name" + name.encode(), "sha256")
        return url_safe_base64(mac[:_HIDDEN_BYTES]).decode("ascii")

    def seal(self, hidden: str, name: str, packed: bytes) -> bytes:
        """A name and its value, so that they open under the hidden name only."""
        raw = name.encode()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        plain = len(raw).to_bytes(_LENGTH_BYTES) + raw + packed
        return _MARK + nonce + self._aead.encrypt(nonce, plain, self._about(hidden))

    def open(self, hidden: str, sealed: bytes) -> tuple[str, bytes]:
        """A name and its value.

        Raises :exc:`~wsgi_redis_session.errors.Undecodable`.
        """
        if not sealed.startswith(_MARK):
            raise Undecodable("a value in a sealed session is not sealed")
        nonce = sealed[len(_MARK) : _SEALED_AT]
        try:
            plain = self._aead.decrypt(nonce, sealed[_SEALED_AT:], self._about(hidden))
        except (InvalidTag, ValueError):
            raise Undecodable("a sealed value is not what was sealed here") from None
        end = _LENGTH_BYTES + int.from_bytes(plain[:_LENGTH_BYTES])
        return plain[_LENGTH_BYTES:end].decode(), plain[end:]

    def _about(self, hidden: str) -> bytes:
        return hidden.encode() + self._began


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
            hmac.new(hmac.digest(_SALT, key, "sha256"), digestmod="sha256")
            for key in secret_keys
        ]
        self._accepts_plain = accepts_plain

    def open(self, stored: Stored, sid: str, session_id: str, drawn: int) -> Record:
        """The session of a session id.

        Raises :exc:`~wsgi_redis_session.errors.Undecodable` for one that is not sealed,
        that was changed, or that was moved here.
        """
        created, packed = stored.created, dict[str, bytes]()
        entries = dict[str, tuple[bytes, str, bytes]]()
        if stored.envelope:
            key, is_stale = self._unwrap(stored, sid)
            for hidden, sealed in stored.packed.items():
                name, value = key.open(hidden, sealed)
                packed[name] = value
                entries[name] = value, hidden, sealed
        elif self._accepts_plain:
            key, is_stale, packed = DataKey.fresh(created), True, stored.packed
        else:
            raise Undecodable("the session is not sealed")
        return Record(
            sid,
            session_id,
            stored.binding,
            created,
            drawn,
            stored.device,
            stored.permanent,
            stored.revisions,
            packed,
            Sealed(key, stored.envelope, entries, is_stale),
        )

    def close(self, record: Record) -> Record:
        """A session with its values sealed; those that are already stay as they are."""
        sealed = record.sealed
        if sealed is None:
            sealed = Sealed(DataKey.fresh(record.created), b"", {}, is_stale=True)
        key, envelope, known, is_stale = sealed
        if is_stale:
            envelope = self._wrap(key, record)
        entries = dict[str, tuple[bytes, str, bytes]]()
        for name, value in record.packed.items():
            entry = known.get(name)
            if entry is None or entry[0] != value:
                hidden = key.hide(name)
                entry = value, hidden, key.seal(hidden, name, value)
            entries[name] = entry
        sealed = Sealed(key, envelope, entries, is_stale=False)
        return record._replace(sealed=sealed)

    def words(
        self, names: list[str], base: Record, ours: Record, with_values: bool
    ) -> list[bytes]:
        """What ``save.lua`` is told of names that a request has changed: the hidden
        names and, with their values, what was stored under each when it was loaded."""
        assert ours.sealed is not None  # close() has made it
        key = ours.sealed.key
        words = [key.hide(name).encode() for name in names]
        if with_values:
            before = base.sealed.entries if base.sealed else {}
            words += [before[name][2] if name in before else b"" for name in names]
        return words

    def _wrap(self, key: DataKey, record: Record) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        about = _about(key.id, record.created, record.device)
        wrapping = _wrapping(self._extracted[0], record.sid)
        return key.id + nonce + wrapping.encrypt(nonce, key.data, about)

    def _unwrap(self, stored: Stored, sid: str) -> tuple[DataKey, bool]:
        """The data key of a session, and whether it is to be wrapped anew."""
        envelope = stored.envelope
        key_id, wrapped = envelope[:_KEY_ID_BYTES], envelope[_KEY_ID_BYTES:]
        nonce, wrapped = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        about = _about(key_id, stored.created, stored.device)
        for extracted in self._extracted:
            try:
                data = _wrapping(extracted, sid).decrypt(nonce, wrapped, about)
            except InvalidTag:
                continue
            is_stale = extracted is not self._extracted[0]
            return DataKey(data, key_id, stored.created), is_stale
        raise Undecodable("the data key is that of another session or another secret")


def _wrapping(extracted: hmac.HMAC, sid: str) -> AESGCM:
    """What the data key of one session id is wrapped with (RFC 5869, section 2.3)."""
    expanded = extracted.copy()
    expanded.update(sid.encode("ascii") + b"\1")
    return AESGCM(expanded.digest())


def _about(key_id: bytes, created: int, device: bytes) -> bytes:
    """What is true of a session under each of its session ids."""
    return key_id + created.to_bytes(8) + device
