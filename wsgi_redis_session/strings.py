"""Options that come as text, from an environment or an ``.ini`` file."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import pkgutil
import typing as t

from .config import SessionConfig
from .errors import ConfigurationError

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

#: Options that name something in a module, as ``package.module:name``.
_REFERENCES = ("serializer", "on_conflict", "on_event", "clock")


def from_environment(environ: cabc.Mapping[str, str]) -> dict[str, t.Any]:
    """The arguments of a manager, from ``SECRET_KEY``, ``SECRET_KEY_FALLBACKS`` (with
    commas between them), ``SESSION_REDIS`` and ``SESSION_<OPTION>``."""
    texts = {
        field.name: environ[key]
        for field in dataclasses.fields(SessionConfig)
        if (key := f"SESSION_{field.name.upper()}") in environ
    }
    for name, key in (
        ("secret_key", "SECRET_KEY"),
        ("secret_key_fallbacks", "SECRET_KEY_FALLBACKS"),
        ("redis", "SESSION_REDIS"),
    ):
        if key in environ:
            texts[name] = environ[key]
    return from_strings(texts)


def from_strings(texts: cabc.Mapping[str, str]) -> dict[str, t.Any]:
    """The arguments of a manager from text.

    Durations are seconds; ``true`` and ``false`` are booleans; ``none`` is ``None``;
    functions are written ``package.module:name``.

    Raises :exc:`~wsgi_redis_session.ConfigurationError`.
    """
    return {name: _value(name, text.strip()) for name, text in texts.items()}


def _value(name: str, text: str) -> t.Any:
    if name in ("redis", "secret_key"):
        return text
    if name == "secret_key_fallbacks":
        return [key.strip() for key in text.split(",") if key.strip()]
    if name in _REFERENCES:
        return _resolve(name, text)
    if text.lower() == "none" and name != "cookie_samesite":
        return None
    default = next(
        (
            field.default
            for field in dataclasses.fields(SessionConfig)
            if field.name == name
        ),
        text,
    )
    return _converted(default, text)


def _converted(default: object, text: str) -> t.Any:
    """As the default is; what does not fit is refused by the configuration."""
    if isinstance(default, str):
        return _BOOLEANS.get(text.lower(), text) if default == "auto" else text
    if isinstance(default, bool):
        return _BOOLEANS.get(text.lower(), text)
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _resolve(name: str, text: str) -> t.Any:
    try:
        return pkgutil.resolve_name(text)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(
            f"{name}={text!r} cannot work: write package.module:name ({error})."
        ) from error
