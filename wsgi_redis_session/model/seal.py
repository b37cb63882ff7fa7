"""Values that Redis holds and nobody reads there: the option ``encrypt``.

Each session has a data key of its own, with which its values are sealed one by one. The
data key is stored beside them, wrapped with a key that takes both a secret of the site
and the session id to derive. The session id is in the browser's cookie only, so Redis
and the secrets together open nothing.

AES-256-GCM (NIST SP 800-38D) with a random nonce for each value; for the data key AES
key wrap (RFC 3394) under HKDF-SHA256 (RFC 5869) of the secret and the session id.
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
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap

from ..errors import Undecodable
from .record import Record
from .record import Sealed
from .record import Stored
from .record import url_safe_base64

_SALT = b"wsgi-redis-session encryption "
_KEY_BYTES = 32
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12


#: MessagePack never begins with the first byte; the second one says what follows.
_MARK = b"\xc1s"

#: So many bytes of a name's digest stand in the place of the name.
_HIDDEN_BYTES = 12

#: What is sealed begins with the length of the name, and the name.
_LENGTH = struct.Struct(">I")


class Seal:
    """Seals what is stored, and opens it.

    ``secret_keys`` are the secrets of the site: the first one wraps data keys, the
    others still open what they have wrapped. What is sealed opens under the same
    ``key_prefix`` only. ``accepts_plain`` says whether sessions are read that are not
    sealed.
    """

    def __init__(
        self,
        secret_keys: cabc.Sequence[bytes],
        key_prefix: str,
        *,
        accepts_plain: bool,
    ) -> None:
        # The first half of HKDF, which is the same for all sessions.
        salt = _SALT + key_prefix.encode()
        extracted = [hmac.digest(salt, key, "sha256") for key in secret_keys]
        self._extracted = [HMAC(key, SHA256()) for key in extracted]
        #: Whether there may be something that is not sealed.
        self.accepts_plain = accepts_plain
        #: Seal what is known of users, by the same secrets.
        self.of_users = [UserSeal(key) for key in extracted]

    def open(self, stored: Stored, sid: str, session_id: str, drawn: int) -> Record:
        """The session of a session id.

        Raises :exc:`~wsgi_redis_session.errors.Undecodable` for one that is not sealed,
        that was changed, or that was moved here.
        """
        permanent, revisions, binding, created, device, packed, envelope = stored
        if envelope:
            began = created.to_bytes(8)
            sealed = self._unwrapped(envelope, sid, began + device, packed)
            packed = _opened(sealed, began)
        elif self.accepts_plain:
            sealed = _fresh()
        else:
            raise Undecodable("the session is not sealed")
        return Record(
            sid,
            session_id,
            binding,
            created,
            drawn,
            device,
            permanent,
            revisions,
            packed,
            sealed,
        )

    def close(self, record: Record) -> Record:
        """A session with its values sealed; those that are already stay as they are."""
        sealed = record.sealed or _fresh()
        key, key_id, aead, envelope, _, _, is_stale = sealed
        began = record.created.to_bytes(8)
        if is_stale:
            wrapping = _wrapping(
                self._extracted[0], record.sid, key_id + began + record.device
            )
            envelope = key_id + aes_key_wrap(wrapping, key)
        known = _by_name(sealed)
        stored: dict[str, bytes] = {}
        for name, value in record.packed.items():
            old, hidden, data = known.get(name) or (None, hide(key, name), b"")
            if value != old:
                data = _sealed(aead, name, value, hidden.encode() + began)
            stored[hidden] = data
        sealed = Sealed(key, key_id, aead, envelope, stored, dict(record.packed), False)
        # What _replace() does, for half of what it costs.
        return Record(*record[:-1], sealed)

    def words(
        self, names: list[str], base: Record, ours: Record, with_values: bool
    ) -> list[bytes]:
        """What ``save.lua`` is told of names that a request has changed: the hidden
        names and, with their values, what was stored under each when it was loaded."""
        assert ours.sealed is not None  # close() has made it
        key, known = ours.sealed.key, _hidden(ours.sealed)
        if base.sealed is not None and base.sealed.key == key:
            known = _hidden(base.sealed) | known
        words = [(known.get(name) or hide(key, name)).encode() for name in names]
        if with_values:
            before = _by_name(base.sealed) if base.sealed else {}
            words += [before[name][2] if name in before else b"" for name in names]
        return words

    def _unwrapped(
        self, envelope: bytes, sid: str, about: bytes, hidden: dict[str, bytes]
    ) -> Sealed:
        """The data key of a session, with all that is sealed with it."""
        key_id, wrapped = envelope[:_KEY_ID_BYTES], envelope[_KEY_ID_BYTES:]
        about = key_id + about
        is_stale = False
        for extracted in self._extracted:
            try:
                key = aes_key_unwrap(_wrapping(extracted, sid, about), wrapped)
            except InvalidUnwrap:
                is_stale = True
                continue
            return Sealed(key, key_id, AESGCM(key), envelope, hidden, {}, is_stale)
        raise Undecodable("the data key is that of another session or another secret")


class UserSeal:
    """Hides who has which sessions, and seals what is known of them.

    Unlike a session's values this opens with the secret alone: it is for the site to
    know a user's sessions.
    """

    def __init__(self, extracted: bytes) -> None:
        self._naming = hmac.digest(extracted, b"users\1", "sha256")
        self._aead = AESGCM(hmac.digest(extracted, b"devices\1", "sha256"))

    def name(self, user: bytes) -> bytes:
        """What stands for a user in Redis."""
        return hmac.digest(self._naming, user, "sha256")

    def close(self, plain: bytes, about: bytes) -> bytes:
        """Seal something, so that it opens only where the same is true of it."""
        return _encrypted(self._aead, plain, about)

    def open(self, data: bytes, about: bytes) -> bytes:
        """The way back; raises :exc:`~wsgi_redis_session.errors.Undecodable`."""
        return _decrypted(self._aead, data, about)


def hide(key: bytes, name: str) -> str:
    """What is stored in the place of a name, by the data key."""
    mac = hmac.digest(key, b"name" + name.encode(), "sha256")
    return url_safe_base64(mac[:_HIDDEN_BYTES]).decode("ascii")


def _opened(sealed: Sealed, began: bytes) -> dict[str, bytes]:
    """The names and values of a session that began then."""
    aead, packed = sealed.aead, sealed.packed
    for hidden, data in sealed.hidden.items():
        plain = _decrypted(aead, data, hidden.encode() + began)
        (size,) = _LENGTH.unpack_from(plain)
        packed[plain[4 : 4 + size].decode()] = plain[4 + size :]
    return packed


def _sealed(aead: AESGCM, name: str, packed: bytes, about: bytes) -> bytes:
    """A name and its value, so that they open only where the same is true of them."""
    raw = name.encode()
    return _encrypted(aead, _LENGTH.pack(len(raw)) + raw + packed, about)


def _encrypted(aead: AESGCM, plain: bytes, about: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return _MARK + nonce + aead.encrypt(nonce, plain, about)


def _decrypted(aead: AESGCM, data: bytes, about: bytes) -> bytes:
    if data[:2] != _MARK:
        raise Undecodable("a value in a sealed session is not sealed")
    try:
        return aead.decrypt(data[2:14], data[14:], about)
    except (InvalidTag, ValueError):
        raise Undecodable("a value is not what was sealed here") from None


def _fresh() -> Sealed:
    """A data key that nobody has, for a session of which nothing is sealed yet."""
    drawn = secrets.token_bytes(_KEY_BYTES + _KEY_ID_BYTES)
    key, key_id = drawn[:_KEY_BYTES], drawn[_KEY_BYTES:]
    return Sealed(key, key_id, AESGCM(key), b"", {}, {}, True)


def _by_name(sealed: Sealed) -> dict[str, tuple[bytes, str, bytes]]:
    """By name: a value, and the hidden name and the sealed value that stand for it."""
    pairs = zip(sealed.packed.items(), sealed.hidden.items(), strict=True)
    return {name: (value, *stored) for (name, value), stored in pairs}


def _hidden(sealed: Sealed) -> dict[str, str]:
    """By name: what is stored in its place."""
    return dict(zip(sealed.packed, sealed.hidden, strict=True))


def _wrapping(extracted: HMAC, sid: str, about: bytes) -> bytes:
    """What the data key of one session id is wrapped with (RFC 5869, section 2.3), if
    so much is true of the session under each of its session ids."""
    expanded = extracted.copy()
    expanded.update(sid.encode("ascii") + about + b"\1")
    return expanded.finalize()
