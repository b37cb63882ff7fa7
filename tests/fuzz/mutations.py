"""Genuine data, damaged: far more of it gets past the first check than of noise."""

from __future__ import annotations

import random

#: Bytes that mean something to MessagePack, to a header or to a layout.
_TELLING = bytes([0, 1, 2, 0x7F, 0x80, 0xA0, 0xC0, 0xC1, 0xC4, 0xD9, 0xDE, 0xDF, 0xFF])


def damaged(draw: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """The data with one to four things done to them."""
    for _ in range(draw.choice((1, 1, 1, 2, 2, 4))):
        data = draw.choice(_WAYS)(draw, data, draw.choice(others))
    return data


def _flip(draw: random.Random, data: bytes, other: bytes) -> bytes:
    if not data:
        return draw.randbytes(1)
    at = draw.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]


def _tell(draw: random.Random, data: bytes, other: bytes) -> bytes:
    at = draw.randint(0, len(data))
    return data[:at] + bytes([draw.choice(_TELLING)]) + data[at + 1 :]


def _cut(draw: random.Random, data: bytes, other: bytes) -> bytes:
    start = draw.randint(0, len(data))
    return data[:start] + data[start + draw.choice((1, 2, 8, 1000)) :]


def _shorten(draw: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: draw.randint(0, len(data))]


def _insert(draw: random.Random, data: bytes, other: bytes) -> bytes:
    at = draw.randint(0, len(data))
    return data[:at] + draw.randbytes(draw.choice((1, 2, 8, 100))) + data[at:]


def _repeat(draw: random.Random, data: bytes, other: bytes) -> bytes:
    start = draw.randint(0, len(data))
    piece = data[start : start + draw.choice((1, 8, 64))]
    return data[:start] + piece * draw.choice((2, 16)) + data[start:]


def _splice(draw: random.Random, data: bytes, other: bytes) -> bytes:
    """The rest of something else, from the same place on."""
    at = draw.randint(0, len(data))
    return data[:at] + other[at:]


def _patch(draw: random.Random, data: bytes, other: bytes) -> bytes:
    """A part of something else, in the same place."""
    at, size = draw.randint(0, len(data)), draw.choice((1, 8, 24, 48))
    return data[:at] + other[at : at + size] + data[at + size :]


_WAYS = (_flip, _flip, _tell, _cut, _shorten, _insert, _repeat, _splice, _patch)


def deep(draw: random.Random) -> bytes:
    """MessagePack in which many values stand in each other."""
    data = b"\xc0"
    for _ in range(draw.choice((1, 10, 100, 1000))):
        inner = draw.choice((b"\x91", b"\x81\xa1a")) * draw.randrange(1000) + data
        if len(inner) > 1_000_000:
            break
        code = draw.choice((1, 2, 3, 10, 12))
        data = b"\xc9" + len(inner).to_bytes(4) + bytes([code]) + inner
    return data
