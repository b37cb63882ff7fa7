"""Options that come as text, from an environment or an ``.ini`` file."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import pkgutil
import typing as t

from .config import SessionConfig
from .errors import ConfigurationError

#: The type of each option, as it is written in the configuration.
_TYPES = {field.name: str(field.type) for field in dataclasses.fields(SessionConfig)}

#: The environment variable of each argument of a manager.
VARIABLES = {
    "redis": "SESSION_REDIS",
    "secret_key": "SECRET_KEY",
    "secret_key_fallbacks": "SECRET_KEY_FALLBACKS",
    **{name: f"SESSION_{name.upper()}" for name in _TYPES},
}

#: Options that name something in a module, as ``package.module:name``.
_REFERENCES = ("serializer", "on_conflict", "on_event", "clock")

_BOOLEANS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


def from_environment(environ: cabc.Mapping[str, str]) -> dict[str, t.Any]:
    """The arguments of a manager, from ``SECRET_KEY``, ``SECRET_KEY_FALLBACKS`` (with
    commas between them), ``SESSION_REDIS`` and ``SESSION_<OPTION>``."""
    return from_strings(
        {name: environ[key] for name, key in VARIABLES.items() if key in environ}
    )


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


@contextlib.contextmanager
def named_as(names: cabc.Mapping[str, str]) -> cabc.Iterator[None]:
    """Let an error about one of these options begin with the name that the user knows
    it by."""
    try:
        yield
    except ConfigurationError as error:
        option = str(error).partition(" ")[0].partition("=")[0]
        if option not in names:
            raise
        message = f"{names[option]}: {error}"
        raise ConfigurationError(message) from error.__cause__


def _value(name: str, text: str) -> t.Any:
    if name == "secret_key":
        return text  # to the letter, as whoever else signs with it has it
    text = text.strip()
    if name == "secret_key_fallbacks":
        return [key.strip() for key in text.split(",") if key.strip()]
    if name == "cookie_samesite":
        return text or None
    kind = _TYPES.get(name, "str")
    if text.lower() == "none" and kind.endswith("| None"):
        return None
    if name in _REFERENCES:
        return _resolve(name, text)
    # What does not fit is refused by the configuration.
    if kind.startswith("bool"):
        return _BOOLEANS.get(text.lower(), text)
    if kind.startswith(("int", "Duration")):
        return _number(text)
    return text


def _number(text: str) -> int | float | str:
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    return text


def _resolve(name: str, text: str) -> t.Any:
    try:
        return pkgutil.resolve_name(text)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"{name}={text!r} cannot work: write package.module:name ({error})."
        ) from error
