"""Kinds of options: which values of an option can work, and how text is read as one.

An option is a line of :class:`~wsgi_redis_session.SessionConfig` that calls
:func:`option` with its default, its kind and its documentation. All else follows: the
check at start-up, the names of its environment variable and of Flask's key, what text
stands for there, and its row in the table of the documentation.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import pkgutil
import re
import typing as t
from datetime import timedelta

from .errors import ConfigurationError

T = t.TypeVar("T")


class Kind:
    """What an option takes.

    ``allowed`` ends the sentence "it must be ...". ``accepts`` says whether a value can
    work. ``read`` is given a text without the blanks around it and returns the value
    that it stands for; where it stands for none, it returns the text, which ``accepts``
    then refuses, or raises :exc:`ValueError` with what to write instead.
    """

    def __init__(
        self,
        allowed: str,
        accepts: cabc.Callable[[t.Any], bool],
        read: cabc.Callable[[str], t.Any] = str,
    ) -> None:
        self.allowed = allowed
        self.accepts = accepts
        self.read = read

    def or_none(self) -> Kind:
        """This kind, or ``None``, which is ``none`` in text."""
        return Kind(
            self.allowed,
            lambda value: value is None or self.accepts(value),
            lambda text: None if text.lower() == "none" else self.read(text),
        )


def option(default: T, kind: Kind, doc: str, *, flask: str | None = None) -> T:
    """An option of a configuration, as a field of a dataclass.

    ``doc`` is its documentation in reStructuredText. ``flask`` is the key that Flask
    has for it, where that is not ``SESSION_<OPTION>``.
    """
    return dataclasses.field(
        default=default, metadata={"kind": kind, "doc": doc, "flask": flask}
    )


def quoted(value: str | bool | None) -> str:
    """A value as messages and documentation write it."""
    return f'"{value}"' if isinstance(value, str) else str(value)


def wrong(name: str, value: object, allowed: str) -> ConfigurationError:
    """The error of an option whose value cannot work."""
    message = f"{name}={value!r} cannot work: it must be {allowed}."
    return ConfigurationError(message, name)


def refuse_unknown(
    names: cabc.Iterable[str], known: cabc.Collection[str], *, prefix: str = ""
) -> None:
    """Raise :exc:`~wsgi_redis_session.ConfigurationError` for a name that is not known.

    ``prefix`` is what the user writes before each of them.
    """
    for name in names:
        if name not in known:
            raise ConfigurationError(_unknown(name, known, prefix))


def _unknown(name: str, known: cabc.Collection[str], prefix: str) -> str:
    likely = [*known, "secret_key", "secret_key_fallbacks"]
    close = _closest(name.lower(), likely, 0.5)
    hint = (
        f"did you mean {prefix + close[0]!r}?"
        if close
        else f"the options are {', '.join(prefix + other for other in known)}."
    )
    return f"There is no option {prefix + name!r}: {hint}"


def near_misses(key: str, known: cabc.Collection[str]) -> list[str]:
    """Which of the known keys may have been meant by one that is not known; none where
    it has nothing to do with sessions.

    The order of the words does not count, nor does ``SESSION``, which all have.
    """
    if "SESSION" not in key or key in known:
        return []
    meant = {_sorted_words(other): other for other in known}
    return [meant[words] for words in _closest(_sorted_words(key), meant, 0.7)]


def _closest(text: str, others: cabc.Iterable[str], cutoff: float) -> list[str]:
    """Those that are most like a text, at most three; 1.0 is the same, 0.0 nothing."""
    from difflib import get_close_matches  # slow to import, and rarely needed

    return get_close_matches(text, list(others), n=3, cutoff=cutoff)


def _sorted_words(key: str) -> str:
    return "_".join(sorted(word for word in key.split("_") if word != "SESSION"))


def read(name: str, text: str, kind: Kind) -> t.Any:
    """The value of an option that was given as text; what is none is left to the check.

    Raises :exc:`~wsgi_redis_session.ConfigurationError`.
    """
    try:
        return kind.read(text)
    except ValueError as error:
        message = f"{name}={text!r} cannot work: {error}."
        raise ConfigurationError(message, name) from error.__cause__


@contextlib.contextmanager
def named_by(keys: cabc.Mapping[str, str]) -> cabc.Iterator[None]:
    """Let an error about an option name the key that the user writes for it."""
    try:
        yield
    except ConfigurationError as error:
        if error.option is not None and error.option in keys:
            error.rename(keys[error.option])
        raise


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


def _boolean(text: str) -> bool | str:
    return _BOOLEANS.get(text.lower(), text)


BOOLEAN = Kind("True or False", lambda value: isinstance(value, bool), _boolean)


def boolean_or(word: str) -> Kind:
    """True, False or this word."""
    return Kind(
        f"True, False or {quoted(word)}",
        lambda value: value == word or isinstance(value, bool),
        _boolean,
    )


def choice(*words: str | None) -> Kind:
    """One of these words, or ``None`` where it is among them."""
    *others, last = map(quoted, words)
    kind = Kind(f"{', '.join(others)} or {last}", lambda value: value in words)
    return kind.or_none() if None in words else kind


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or not value:
        return False
    # No UTF-8 has them.
    return not any("\ud800" <= char <= "\udfff" for char in value)


TEXT = Kind("a non-empty string", _is_text)


def _number(text: str) -> int | float | str:
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    return text


def whole_number(minimum: int) -> Kind:
    """An integer that is not below ``minimum``."""

    def accepts(value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return value >= minimum

    return Kind(f"a whole number of at least {minimum}", accepts, _number)


def _duration(limit: str, shortest: float) -> Kind:
    longest = 100 * 365 * 86400.0

    def accepts(value: object) -> bool:
        if isinstance(value, timedelta):
            value = value.total_seconds()
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return shortest <= value <= longest

    allowed = f"a timedelta or a number of seconds, {limit} and at most 100 years"
    return Kind(allowed, accepts, _number)


#: Redis counts in milliseconds.
DURATION = _duration("more than zero", 0.001)
DURATION_OR_ZERO = _duration("zero or more", 0.0)


def _resolve(text: str) -> t.Any:
    try:
        return pkgutil.resolve_name(text)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"write package.module:name ({error})") from error


CALLABLE = Kind("a callable", callable, _resolve)


def _are_callable(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and all(map(callable, value))
    return callable(value)


def _resolve_all(text: str) -> t.Any:
    found = [_resolve(name.strip()) for name in text.split(",")]
    return found[0] if len(found) == 1 else found


CALLABLES = Kind("a callable or a list of them", _are_callable, _resolve_all)


def _is_serializer(value: t.Any) -> bool:
    try:
        packed = value.dumps("")
        return isinstance(packed, bytes) and bool(value.loads(packed) == "")
    except (AttributeError, TypeError, ValueError):
        return False


SERIALIZER = Kind(
    "an object whose dumps() returns bytes that its loads() takes",
    _is_serializer,
    _resolve,
)

_TOKEN = frozenset(
    "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)


def _is_cookie_name(value: object) -> bool:
    # The value needs its part of the 4096 bytes that browsers keep.
    return (
        isinstance(value, str) and 1 <= len(value) <= 256 and _TOKEN.issuperset(value)
    )


COOKIE_NAME = Kind(
    "a name of 1 to 256 ASCII letters, digits and !#$%&'*+-.^_`|~ "
    "(RFC 9110, section 5.6.2)",
    _is_cookie_name,
)


def _is_cookie_path(value: object) -> bool:
    # Browsers ignore a longer one (RFC 6265bis, section 5.6).
    if not isinstance(value, str) or not value.startswith("/") or len(value) > 1024:
        return False
    # Others end the attribute early or break the header.
    return all("!" <= char <= "~" and char not in ",;" for char in value)


COOKIE_PATH = Kind(
    'a path of at most 1024 ASCII characters that begins with "/", or "auto"',
    lambda value: value == "auto" or _is_cookie_path(value),
)


def _is_domain(value: object) -> bool:
    # A host name (RFC 1123, section 2.1); its port is left out of the cookie.
    host = r"(?a)\.?(?=.{1,253}$)[\w-]{1,63}(\.[\w-]{1,63})*(:\d+)?"
    return isinstance(value, str) and re.fullmatch(host, value) is not None


COOKIE_DOMAIN = Kind(
    'a domain name, as in "example.com", or None', _is_domain
).or_none()


_SAMESITE = ("Lax", "Strict", "None")

#: Here "none" is a value, and ``None`` an empty text.
COOKIE_SAMESITE = Kind(
    '"Lax", "Strict", "None" or None',
    lambda value: (
        value is None or (isinstance(value, str) and value.title() in _SAMESITE)
    ),
    lambda text: text or None,
)
