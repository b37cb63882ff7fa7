"""All options of a :class:`~wsgi_redis_session.SessionManager` and their defaults."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import re
import time
import typing as t
from datetime import timedelta

from .errors import ConfigurationError

if t.TYPE_CHECKING:
    from .events import SessionEvent
    from .serializer import Serializer

#: A length of time: a :class:`~datetime.timedelta` or a number of seconds.
Duration = timedelta | float

#: Called as ``(name, base, ours, theirs)`` with the value that was loaded, the one
#: that this request wants to save and the one that another request saved meanwhile;
#: a value that is not there is :data:`MISSING`. Returns the value to save.
OnConflict = cabc.Callable[[str, t.Any, t.Any, t.Any], t.Any]


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


#: Stands for "this name has no value" where ``on_conflict`` is called or answers.
MISSING: t.Final = _Missing()

_TOKEN = frozenset(
    "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

#: A host name (RFC 1123, section 2.1); its port is left out of the cookie.
_DOMAIN = re.compile(r"\.?(?=.{1,253}$)[\w-]{1,63}(\.[\w-]{1,63})*(:\d+)?", re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SessionConfig:
    """The options of a session manager, checked when they are given.

    Durations are a :class:`~datetime.timedelta` or seconds. Every wrong value raises
    :exc:`~wsgi_redis_session.ConfigurationError` naming the option.
    """

    #: Name of the cookie. ``__Host-`` and ``__Secure-`` names are held to the rules
    #: of RFC 6265bis, section 4.1.3.
    cookie_name: str = "session"
    #: Path that the browser sends the cookie for; ``"auto"`` is the one under which
    #: the application is mounted.
    cookie_path: str = "/"
    #: Domain that the browser sends the cookie to; ``None`` is this host only.
    cookie_domain: str | None = None
    #: ``True``, ``False``, or ``"auto"``: Secure when the request came over https.
    cookie_secure: bool | t.Literal["auto"] = "auto"
    #: Hide the cookie from JavaScript.
    cookie_httponly: bool = True
    #: ``"Lax"``, ``"Strict"`` or ``"None"``, which implies Secure; ``None`` leaves the
    #: attribute out.
    cookie_samesite: str | None = "Lax"
    #: Keep one cookie per embedding site (CHIPS); implies Secure.
    cookie_partitioned: bool = False

    #: A session that nobody uses for so long ends. Its cookie lasts until the
    #: browser is closed.
    idle_timeout: Duration = timedelta(days=1)
    #: The same for a session that was made ``permanent``; its cookie lasts as long.
    permanent_lifetime: Duration = timedelta(days=31)
    #: Whether a new session is permanent until the application says otherwise.
    permanent: bool = False
    #: A session ends when it is this old, used or not; ``None`` is never.
    lifetime: Duration | None = timedelta(days=90)
    #: A session id that is so old is replaced in passing, while its session goes on;
    #: ``None`` is never.
    rotate_interval: Duration | None = None
    #: A session in use is prolonged at most this often; ``None`` is a twentieth of
    #: the idle timeout, but at most five minutes.
    touch_interval: Duration | None = None

    #: What every key in Redis begins with.
    key_prefix: str = "wsgi-session:"
    #: The session's name that says who is logged in. When its value changes, the
    #: session gets a new session id by itself.
    user_key: str | None = None
    #: Turns values into bytes and back; ``None`` is the lossless MessagePack one.
    serializer: Serializer | None = None
    #: A session whose stored value is larger than this is refused; ``None`` is no
    #: limit.
    max_bytes: int | None = 1024 * 1024
    #: A session with more names than this is refused; ``None`` is no limit.
    max_names: int | None = 1000
    #: Decides when two requests have changed the same name; ``None`` lets the last
    #: one win.
    on_conflict: OnConflict | None = None
    #: Whether the middleware answers 503 itself where Redis is away and nobody else
    #: does.
    answer_unavailable: bool = True
    #: ``"raise"``, or ``"anonymous"``: without Redis a session reads as empty, what
    #: is written to it is dropped, and only ending or renewing one raises.
    on_unavailable: t.Literal["raise", "anonymous"] = "raise"
    #: Called with every :class:`~wsgi_redis_session.SessionEvent`.
    on_event: cabc.Callable[[SessionEvent], object] | None = None

    #: How long a client made from a URL waits for a connection to be accepted.
    connect_timeout: Duration = 1.0
    #: How long it waits for a reply.
    read_timeout: Duration = 1.0
    #: How often it tries again after a connection failed or a reply did not come.
    retries: int = 1
    #: How many connections it opens at most, in each process.
    max_connections: int = 50
    #: How long a request waits for one of them to become free.
    pool_timeout: Duration = 5.0

    #: ``"flask-session"``: a cookie that Flask-Session or the classic Flask snippet has
    #: written still works, and its session becomes one of ours.
    migrate_from: t.Literal["flask-session"] | None = None
    #: What the keys of those sessions begin with.
    migrate_prefix: str = "session:"
    #: Accept only those of their cookies that the old site has signed.
    migrate_signed: bool = False
    #: Read those of them that are pickled, too, as far as they hold plain data.
    migrate_pickle: bool = False

    #: Returns the seconds since the epoch.
    clock: cabc.Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._check_cookie()
        self._check_lifetimes()
        for option in ("connect_timeout", "read_timeout", "pool_timeout"):
            self._check_duration(option)
        if self.migrate_from not in (None, "flask-session"):
            raise _wrong("migrate_from", self.migrate_from, '"flask-session" or None')
        for option in (
            "answer_unavailable",
            "permanent",
            "migrate_signed",
            "migrate_pickle",
        ):
            self._check_bool(option)
        self._check_integer("max_connections", minimum=1)
        self._check_integer("retries", minimum=0)
        for option in ("max_bytes", "max_names"):
            if getattr(self, option) is not None:
                self._check_integer(option, minimum=1)
        self._check_text("key_prefix")
        self._check_text("migrate_prefix")
        if self.user_key is not None:
            self._check_text("user_key")
        for option in ("on_conflict", "on_event"):
            value = getattr(self, option)
            if value is not None and not callable(value):
                raise _wrong(option, value, "a callable")
        if not callable(self.clock):
            raise _wrong("clock", self.clock, "a callable")
        if self.serializer is not None:
            self._check_serializer(self.serializer)
        if self.on_unavailable not in ("raise", "anonymous"):
            raise _wrong(
                "on_unavailable", self.on_unavailable, '"raise" or "anonymous"'
            )

    @classmethod
    def from_options(cls, options: cabc.Mapping[str, t.Any]) -> SessionConfig:
        """Build the configuration, naming an option that does not exist."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in options:
            if name not in known:
                raise ConfigurationError(_unknown(name, known))
        return cls(**options)

    def seconds(self, option: str) -> float:
        """The value of a duration option in seconds."""
        value = getattr(self, option)
        return value.total_seconds() if isinstance(value, timedelta) else float(value)

    def _check_lifetimes(self) -> None:
        for option in ("idle_timeout", "permanent_lifetime"):
            self._check_duration(option)
        for option in ("lifetime", "rotate_interval"):
            if getattr(self, option) is not None:
                self._check_duration(option)
        if self.touch_interval is None:
            return
        self._check_duration("touch_interval", zero=True)
        for option in ("idle_timeout", "permanent_lifetime"):
            if self.seconds("touch_interval") >= self.seconds(option):
                raise _wrong(
                    "touch_interval",
                    self.touch_interval,
                    f"less than {option}, or sessions end while they are used",
                )

    def _check_cookie(self) -> None:
        name = self.cookie_name
        is_token = isinstance(name, str) and _TOKEN.issuperset(name)
        # The value needs its part of the 4096 bytes that browsers keep.
        if not is_token or not 1 <= len(name) <= 256:
            raise _wrong(
                "cookie_name",
                name,
                "a name of 1 to 256 ASCII letters, digits and !#$%&'*+-.^_`|~ "
                "(RFC 9110, section 5.6.2)",
            )
        if self.cookie_secure != "auto" and not isinstance(self.cookie_secure, bool):
            raise _wrong("cookie_secure", self.cookie_secure, 'True, False or "auto"')
        for option in ("cookie_httponly", "cookie_partitioned"):
            self._check_bool(option)
        path = self.cookie_path
        is_path = path == "auto" or (
            isinstance(path, str) and path.startswith("/") and not _unsafe(path)
        )
        # Browsers ignore a longer one (RFC 6265bis, section 5.6).
        if not is_path or len(path) > 1024:
            raise _wrong(
                "cookie_path",
                path,
                'a path of at most 1024 ASCII characters that begins with "/", or '
                '"auto"',
            )
        domain = self.cookie_domain
        if domain is not None and not (
            isinstance(domain, str) and _DOMAIN.fullmatch(domain)
        ):
            raise _wrong(
                "cookie_domain", domain, 'a domain name, as in "example.com", or None'
            )
        samesite = self.cookie_samesite
        if samesite is not None and (
            not isinstance(samesite, str)
            or samesite.title() not in ("Lax", "Strict", "None")
        ):
            raise _wrong("cookie_samesite", samesite, '"Lax", "Strict", "None" or None')
        self._check_secure_rules()

    def _check_secure_rules(self) -> None:
        """RFC 6265bis, sections 4.1.2.7 and 4.1.3; browsers drop what breaks them."""
        secure = self.cookie_secure is True
        samesite_none = (self.cookie_samesite or "").title() == "None"
        if samesite_none and self.cookie_secure is False:
            raise _wrong(
                "cookie_secure",
                self.cookie_secure,
                'True, because cookie_samesite="None" needs Secure',
            )
        if self.cookie_partitioned and self.cookie_secure is False:
            raise _wrong(
                "cookie_secure",
                self.cookie_secure,
                "True, because cookie_partitioned needs Secure",
            )
        # Browsers compare the prefixes without regard to case.
        prefix = self.cookie_name.lower()
        if prefix.startswith(("__secure-", "__host-", "__http-")) and not secure:
            raise _wrong(
                "cookie_secure",
                self.cookie_secure,
                f"True, because the name {self.cookie_name!r} needs Secure",
            )
        if prefix.startswith("__host-") and self.cookie_domain is not None:
            raise _wrong(
                "cookie_domain",
                self.cookie_domain,
                f"None, because the name {self.cookie_name!r} allows no Domain",
            )
        if prefix.startswith("__host-") and self.cookie_path != "/":
            raise _wrong(
                "cookie_path",
                self.cookie_path,
                f'"/", because the name {self.cookie_name!r} needs it',
            )
        if prefix.startswith(("__http-", "__host-http-")) and not self.cookie_httponly:
            raise _wrong(
                "cookie_httponly",
                self.cookie_httponly,
                f"True, because the name {self.cookie_name!r} needs HttpOnly",
            )

    def _check_bool(self, option: str) -> None:
        if not isinstance(getattr(self, option), bool):
            raise _wrong(option, getattr(self, option), "True or False")

    @staticmethod
    def _check_serializer(serializer: Serializer) -> None:
        try:
            works = serializer.loads(packed := serializer.dumps("")) == ""
        except (AttributeError, TypeError, ValueError):
            works = False
        if not works or not isinstance(packed, bytes):
            raise _wrong(
                "serializer",
                serializer,
                "an object whose dumps() returns bytes that its loads() takes",
            )

    def _check_duration(self, option: str, *, zero: bool = False) -> None:
        value = getattr(self, option)
        allowed = "a timedelta or a number of seconds, " + (
            "zero or more" if zero else "more than zero"
        )
        if isinstance(value, bool) or not isinstance(value, (timedelta, int, float)):
            raise _wrong(option, value, allowed)
        # An integer may be too large for a float.
        seconds = value.total_seconds() if isinstance(value, timedelta) else value
        shortest = 0.0 if zero else 0.001
        longest = 100 * 365 * 86400.0
        if not shortest <= seconds <= longest:
            raise _wrong(option, value, f"{allowed} and at most 100 years")

    def _check_integer(self, option: str, *, minimum: int) -> None:
        value = getattr(self, option)
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise _wrong(option, value, f"a whole number of at least {minimum}")

    def _check_text(self, option: str) -> None:
        value = getattr(self, option)
        if not isinstance(value, str) or not value or not _is_unicode(value):
            raise _wrong(option, value, "a non-empty string")


def _unsafe(text: str) -> bool:
    """Whether a cookie attribute would end early or break the header."""
    return any(char in ";," or not " " < char < "\x7f" for char in text)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _unknown(name: str, known: list[str]) -> str:
    from difflib import get_close_matches  # slow to import, and rarely needed

    likely = [*known, "secret_key", "secret_key_fallbacks"]
    close = get_close_matches(name.lower(), likely, n=1, cutoff=0.5)
    hint = (
        f"did you mean {close[0]!r}?"
        if close
        else f"the options are {', '.join(known)}."
    )
    return f"There is no option {name!r}: {hint}"


def _wrong(option: str, value: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"{option}={value!r} cannot work: it must be {allowed}.")
