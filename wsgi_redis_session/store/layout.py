"""What the bytes in Redis mean: the only place that knows.

A session is

====== ===== ========================================================================
offset bytes
====== ===== ========================================================================
0      1     format, 1
1      1     flags: 1 = permanent, 2 = sealed
2      32    the revisions of the last four writers, the last one first, each drawn at
             random; zeros where there were fewer
34     8     binding: more of the same SHA-256, so that a value under a wrong key, or
             the reply to somebody else's question, is found out
42     8     when it began: milliseconds since the epoch, big-endian
50     8     device: drawn at random, the same under each session id
58           a MessagePack map from name (str) to packed value (bin)
====== ===== ========================================================================

One that is sealed (the option ``encrypt``) has its data key before the map, and the map
has hidden names and sealed values

====== ===== ========================================================================
offset bytes
====== ===== ========================================================================
58     8     key id: drawn at random with the data key
66     40    the data key, wrapped with AES (RFC 3394) under HKDF-SHA256 of the secret,
             the session id, and what stands at 58 to 66 and at 42 to 58
106          the map: from the first 96 bits of a name's HMAC-SHA256 under the data key
             (as base64url) to 0xc1, ``s``, a nonce of 12 bytes, and the AES-256-GCM of
             the length of the name in 4 bytes, the name, and the packed value; bound to
             the hidden name and to what stands at 42 to 50
====== ===== ========================================================================

A session that got a new session id, or ended, leaves a tombstone

====== ===== ========================================================================
offset bytes
====== ===== ========================================================================
0      1     0
1      1     ``o`` it moved, and the old session id is good until this expires; ``c`` it
             was renewed, and the old one is good for nothing; ``e`` it ended
2      24    the digest of the successor's session id; not there if it has none
26     32    ``o``: the successor's session id XOR HMAC-SHA256(old session id,
             ``successor`` and the successor's digest)
26           ``c``: if nobody was logged in, the session as it was
====== ===== ========================================================================
"""

from __future__ import annotations

import struct
import typing as t

import ormsgpack

from ..errors import Undecodable
from ..model.record import is_digest
from ..model.record import Record
from ..model.record import State
from ..model.record import Stored
from ..model.record import Tombstone

_HEADER = struct.Struct(">BB32s8sQ8s")
_FORMAT = 1
_PERMANENT = 1
_SEALED = 2
_ENVELOPE_BYTES = 48
_SESSION = b"\1"
_TOMBSTONE = b"\0"
_RENEWED = b"\0c"

_STATES = {
    state.value.encode("ascii"): state
    for state in (State.MOVED, State.RENEWED, State.ENDED)
}
_BINDING = slice(34, 42)
_SUCCESSOR = slice(2, 26)
_WRAPPED_SID_BYTES = 32


def write(record: Record) -> bytes:
    """The value of a session."""
    flags = _PERMANENT if record.permanent else 0
    sealed = record.sealed
    if sealed is not None:
        flags |= _SEALED
    header = _HEADER.pack(
        _FORMAT,
        flags,
        record.revisions,
        record.binding,
        record.created,
        record.device,
    )
    if sealed is None:
        return header + ormsgpack.packb(record.packed)
    return header + sealed.envelope + ormsgpack.packb(sealed.hidden)


def parse(value: bytes) -> Stored | Tombstone:
    """What a value means.

    Raises :exc:`~wsgi_redis_session.errors.Undecodable` for what is none of ours.
    """
    if value[:1] == _TOMBSTONE:
        return read_tombstone(value)
    if len(value) <= _HEADER.size or value[0] != _FORMAT:
        raise Undecodable("the value has no header of ours")
    _, flags, revisions, binding, created, device = _HEADER.unpack_from(value)
    start = _HEADER.size
    if flags & _SEALED:
        start += _ENVELOPE_BYTES
    try:
        packed = ormsgpack.unpackb(value[start:])
    except ValueError as error:
        raise Undecodable("the value is no MessagePack map") from error
    if type(packed) is not dict or not set(map(type, packed.values())) <= {bytes}:
        raise Undecodable("the value is no map of packed values")
    is_permanent = bool(flags & _PERMANENT)
    envelope = value[_HEADER.size : start]
    return Stored(is_permanent, revisions, binding, created, device, packed, envelope)


def read(value: bytes) -> Stored:
    """Raises :exc:`~wsgi_redis_session.errors.Undecodable` for what is no session."""
    stored = parse(value)
    if isinstance(stored, Tombstone):
        raise Undecodable("the value is no session")
    return stored


def is_bound(value: object, *, binding: bytes) -> bool:
    """Whether a value, or nothing, can be what stands under the session id that it was
    asked for: what another one holds, or held, cannot."""
    if type(value) is not bytes:
        return value is None
    if value[:2] == _RENEWED:
        value = value[_SUCCESSOR.stop :]
    return value[:1] != _SESSION or value[_BINDING] == binding


class Head(t.NamedTuple):
    """What the first bytes of a session say: all but its names and values."""

    permanent: bool
    #: When it began, in milliseconds since the epoch.
    created: int
    device: bytes


#: Where they end.
HEAD = str(_HEADER.size - 1)


def head(value: bytes) -> Head | None:
    """What they say; ``None`` for what is no session."""
    if len(value) < _HEADER.size or value[0] != _FORMAT:
        return None
    _, flags, _, _, created, device = _HEADER.unpack_from(value)
    return Head(bool(flags & _PERMANENT), created, device)


def is_ours(value: bytes) -> bool:
    """Whether a value was written by this library: no other one's begins so."""
    return value[:1] in (_SESSION, _TOMBSTONE)


def is_tombstone(value: bytes) -> bool:
    """Whether a session was here that has moved or ended."""
    return value[:1] == _TOMBSTONE


def is_ended(tombstone: bytes) -> bool:
    """Whether it is that of a session whose visitor has logged out."""
    return tombstone[1:2] == State.ENDED.value.encode("ascii")


def write_tombstone(tombstone: Tombstone) -> bytes:
    """The value of a tombstone, without what was frozen."""
    state = tombstone.state.value.encode("ascii")
    return (
        _TOMBSTONE + state + tombstone.successor.encode("ascii") + tombstone.wrapped_sid
    )


def successor(head: bytes) -> str:
    """The digest of the successor that the first bytes of a tombstone name, "" for
    none."""
    found = head[_SUCCESSOR].decode("ascii", "replace")
    return found if is_digest(found) else ""


def read_tombstone(value: bytes) -> Tombstone:
    """Raises :exc:`~wsgi_redis_session.errors.Undecodable`."""
    state = _STATES.get(value[1:2])
    follower, rest = successor(value), value[_SUCCESSOR.stop :]
    if state is State.ENDED and len(value) == _SUCCESSOR.start:
        return Tombstone(state)
    if state is None or not follower:
        raise Undecodable("the tombstone cannot be read")
    if state is State.MOVED and len(rest) == _WRAPPED_SID_BYTES:
        return Tombstone(state, follower, wrapped_sid=rest)
    if state is State.RENEWED:
        return Tombstone(state, follower, frozen=read(rest) if rest else None)
    if rest or state is State.MOVED:
        raise Undecodable("the tombstone has a wrong length")
    return Tombstone(state, follower)
