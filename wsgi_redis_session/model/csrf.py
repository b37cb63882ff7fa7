"""Tokens for forms: a session's secret, different each time that it is shown.

What is the same in each response can be guessed from the lengths of compressed ones
(BREACH), so each token has a mask of its own.
"""

from __future__ import annotations

import hmac
import secrets

from .record import from_url_safe_base64
from .record import url_safe_base64
from .record import xor

_BYTES = 16


def new_secret() -> str:
    """A secret for a session."""
    return secrets.token_hex(_BYTES)


def masked(secret: str) -> str:
    """A token for a form, from a session's secret."""
    mask = secrets.token_bytes(_BYTES)
    return url_safe_base64(mask + xor(mask, bytes.fromhex(secret))).decode("ascii")


def matches(token: object, secret: str) -> bool:
    """Whether a token was made from this secret, in constant time."""
    if not isinstance(token, str) or len(token) > 4 * _BYTES:
        return False
    try:
        data = from_url_safe_base64(token.encode("ascii"))
    except ValueError:
        return False
    if len(data) != 2 * _BYTES:
        return False
    found = xor(data[:_BYTES], data[_BYTES:])
    return hmac.compare_digest(found.hex(), secret)
