"""What options are called elsewhere, and what they are as text."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t

from .config import SessionConfig
from .events import logger
from .options import Kind
from .options import near_misses
from .options import read

_FIELDS = dataclasses.fields(SessionConfig)

_KINDS: dict[str, Kind] = {field.name: field.metadata["kind"] for field in _FIELDS}

#: The environment variable of each argument of a manager.
VARIABLES = {
    "redis": "SESSION_REDIS",
    "secret_key": "SECRET_KEY",
    "secret_key_fallbacks": "SECRET_KEY_FALLBACKS",
    **{name: f"SESSION_{name.upper()}" for name in _KINDS},
}

#: The same for Flask's configuration.
FLASK_KEYS = VARIABLES | {
    field.name: field.metadata["flask"] for field in _FIELDS if field.metadata["flask"]
}


def from_strings(texts: cabc.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The arguments of a manager from text; what is no text stays as it is.

    Durations are seconds; ``true`` and ``false`` are booleans; ``none`` is ``None``,
    but for ``cookie_samesite``, where it is a value and an empty text is ``None``;
    functions are written ``package.module:name``.

    Raises :exc:`~wsgi_redis_session.ConfigurationError`.
    """
    return {
        name: _value(name, text) if isinstance(text, str) else text
        for name, text in texts.items()
    }


def _value(name: str, text: str) -> t.Any:
    if name == "secret_key":
        return text  # to the letter, as whoever else signs with it has it
    text = text.strip()
    if name == "secret_key_fallbacks":
        return [key.strip() for key in text.split(",") if key.strip()]
    return read(name, text, _KINDS[name]) if name in _KINDS else text


def warn_of_near_misses(environ: cabc.Mapping[str, str]) -> None:
    """Log each variable that looks like a misspelt one of ours; the environment is not
    ours alone, so it is no error."""
    known = set(VARIABLES.values())
    for key in environ:
        if meant := near_misses(key, known):
            logger.warning(
                "The environment variable %s means nothing to the sessions; did you "
                "mean %s?",
                key,
                " or ".join(meant),
            )
