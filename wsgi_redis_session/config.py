"""All options of a :class:`~wsgi_redis_session.SessionManager`, each in one place."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import time
import typing as t
from datetime import timedelta

from .options import BOOLEAN
from .options import boolean_or
from .options import CALLABLE
from .options import CALLABLES
from .options import choice
from .options import COOKIE_DOMAIN
from .options import COOKIE_NAME
from .options import COOKIE_PATH
from .options import COOKIE_SAMESITE
from .options import DURATION
from .options import DURATION_OR_ZERO
from .options import Kind
from .options import option
from .options import quoted
from .options import refuse_unknown
from .options import SERIALIZER
from .options import TEXT
from .options import whole_number
from .options import wrong
from .rules import ORDER
from .rules import RULES

if t.TYPE_CHECKING:
    from .events import Observer
    from .model.serializer import Serializer

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


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SessionConfig:
    """The options of a session manager, checked when they are given.

    Durations are a :class:`~datetime.timedelta` or seconds. Every wrong value raises
    :exc:`~wsgi_redis_session.ConfigurationError` naming the option.
    """

    cookie_name: str = option(
        "session",
        COOKIE_NAME,
        "The cookie's name; ``__Host-`` and ``__Secure-`` names are held to their "
        "rules (RFC 6265bis, section 4.1.3).",
    )
    cookie_path: str = option(
        "/",
        COOKIE_PATH,
        'The path that the cookie is sent for; ``"auto"`` is where the application is '
        "mounted (``SCRIPT_NAME``).",
    )
    cookie_domain: str | None = option(
        None,
        COOKIE_DOMAIN,
        "The domain that the cookie is sent to; ``None`` is this host only.",
    )
    cookie_secure: bool | t.Literal["auto"] = option(
        "auto",
        boolean_or("auto"),
        '``True``, ``False``, or ``"auto"``: Secure where the request came over https.',
    )
    cookie_httponly: bool = option(True, BOOLEAN, "Hides the cookie from JavaScript.")
    cookie_samesite: str | None = option(
        "Lax",
        COOKIE_SAMESITE,
        '``"Lax"``, ``"Strict"``, ``"None"``, which implies Secure, or ``None`` for no '
        "such attribute.",
    )
    cookie_partitioned: bool = option(
        False, BOOLEAN, "One cookie for each embedding site (CHIPS); implies Secure."
    )

    idle_timeout: Duration = option(
        timedelta(days=1),
        DURATION,
        "A session that nobody uses for so long ends. Its cookie lasts until the "
        "browser is closed.",
    )
    permanent_lifetime: Duration = option(
        timedelta(days=31),
        DURATION,
        "The same for a session that was made permanent; its cookie lasts as long.",
        flask="PERMANENT_SESSION_LIFETIME",
    )
    permanent: bool = option(
        False,
        BOOLEAN,
        "Whether a new session is permanent until the application says otherwise.",
    )
    lifetime: Duration | None = option(
        timedelta(days=90),
        DURATION.or_none(),
        "A session ends when it is that old, used or not; ``None`` is never.",
    )
    rotate_interval: Duration | None = option(
        None,
        DURATION.or_none(),
        "A session id that is so old is replaced in passing, while its session goes "
        "on; ``None`` is never.",
    )
    touch_interval: Duration | None = option(
        None,
        DURATION_OR_ZERO.or_none(),
        "A session in use and its cookie are prolonged at most this often; ``0`` is "
        "with each response, ``None`` a twentieth of the idle timeout, but at most "
        "five minutes.",
    )

    key_prefix: str = option(
        "wsgi-session:", TEXT, "What every key in Redis begins with."
    )
    user_key: str | None = option(
        None,
        TEXT.or_none(),
        "The name that says who is logged in; when its value changes, so does the "
        "session id. ``of_user`` and ``revoke_user`` need it.",
    )
    max_sessions_per_user: int | None = option(
        None,
        whole_number(1).or_none(),
        "On how many devices a user is logged in at most: a login ends the oldest; "
        "``None`` is no limit.",
    )
    keep_address: t.Literal["full", "network"] | None = option(
        "full",
        choice("full", "network", None),
        'What is kept of a user\'s address: ``"network"`` is its first 24 bits, or 48 '
        "with IPv6, ``None`` nothing.",
    )
    keep_user_agent: bool = option(
        True, BOOLEAN, "Whether a user's browser is kept, as it calls itself."
    )
    serializer: Serializer | None = option(
        None,
        SERIALIZER.or_none(),
        "An object with ``dumps(value)`` and ``loads(bytes)``; ``None`` is the "
        "lossless MessagePack one.",
    )
    encrypt: bool | t.Literal["migrate"] = option(
        False,
        boolean_or("migrate"),
        "Whether what is stored is sealed, so that Redis and the secrets together open "
        'no session; ``"migrate"`` reads plain sessions, too, and seals them.',
    )
    max_bytes: int | None = option(
        1024 * 1024,
        whole_number(1).or_none(),
        "A session whose stored value is larger is refused; ``None`` is no limit.",
    )
    max_names: int | None = option(
        1000,
        whole_number(1).or_none(),
        "A session with more names is refused; ``None`` is no limit.",
    )
    on_conflict: OnConflict | None = option(
        None,
        CALLABLE.or_none(),
        "``on_conflict(name, base, ours, theirs)`` returns the value to save when two "
        "requests have changed the same name; without it the last one wins. "
        "``MISSING`` stands for no value.",
    )
    answer_unavailable: bool = option(
        True,
        BOOLEAN,
        "Whether the middleware answers 503 itself where Redis is away and the "
        "application lets that through.",
    )
    on_unavailable: t.Literal["raise", "anonymous"] = option(
        "raise",
        choice("raise", "anonymous"),
        '``"anonymous"``: without Redis, sessions read as empty and what is stored is '
        "dropped. Logins and logouts still raise.",
    )
    on_event: Observer | cabc.Sequence[Observer] | None = option(
        None,
        CALLABLES.or_none(),
        "Called with each ``SessionEvent``; one callable or a list of them.",
    )
    event_users: t.Literal["digest", "plain"] = option(
        "digest",
        choice("digest", "plain"),
        "Whether events show a digest of who the user is, or the identifier itself.",
    )

    operation_timeout: Duration = option(
        1.0,
        DURATION,
        "How long a request waits for its session to be loaded, and how long for it to "
        "be saved, all attempts, connections and commands together.",
    )
    connect_timeout: Duration = option(
        1.0, DURATION, "How long a client made from a URL waits for a connection."
    )
    read_timeout: Duration = option(
        1.0, DURATION, "How long a client made from a URL waits for a reply."
    )
    retries: int = option(
        1,
        whole_number(0),
        "How often a client made from a URL tries again after a connection failed or a "
        "reply did not come.",
    )
    max_connections: int = option(
        50,
        whole_number(1),
        "How many connections a client made from a URL opens at most, in each process.",
    )
    pool_timeout: Duration = option(
        1.0, DURATION, "How long a request waits while all connections are in use."
    )
    wait_replicas: int = option(
        0,
        whole_number(0),
        "What is written counts as stored when it has arrived at so many replicas of "
        "Redis.",
    )

    migrate_from: t.Literal["flask-session"] | None = option(
        None,
        choice("flask-session", None),
        '``"flask-session"``: sessions of Flask-Session and of the classic Flask '
        "snippet go on as ours.",
    )
    migrate_prefix: str = option(
        "session:", TEXT, "What the keys of those sessions begin with."
    )
    migrate_signed: bool = option(
        False,
        BOOLEAN,
        "Whether only those are accepted whose cookie the old site has signed.",
    )
    migrate_pickle: bool = option(
        False,
        BOOLEAN,
        "Whether those that are pickled are read, too, as far as they hold plain data.",
    )

    clock: cabc.Callable[[], float] = option(
        time.time, CALLABLE, "Returns the seconds since the epoch."
    )

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if not kind.accepts(value):
                raise wrong(name, value, kind.allowed)
        for name, allowed, applies, reason in RULES:
            value = getattr(self, name)
            if value not in allowed and applies(self):
                reason = reason.format(name=self.cookie_name)
                raise wrong(name, value, f"{quoted(allowed[0])}, because {reason}")
        for name, limit, reason in ORDER:
            value = getattr(self, name)
            if value is not None and self.seconds(name) >= self.seconds(limit):
                limit = limit.replace("_", " ")
                raise wrong(name, value, f"less than the {limit}, or {reason}")

    @classmethod
    def from_options(cls, options: cabc.Mapping[str, t.Any]) -> SessionConfig:
        """Build the configuration, naming an option that does not exist."""
        refuse_unknown(options, _KINDS)
        return cls(**options)

    def differences(self, other: SessionConfig) -> list[str]:
        """The options in which another configuration is not like this one."""
        return [n for n in _KINDS if getattr(self, n) != getattr(other, n)]

    def seconds(self, option: str) -> float:
        """The value of a duration option in seconds."""
        value = getattr(self, option)
        return value.total_seconds() if isinstance(value, timedelta) else float(value)


_KINDS: dict[str, Kind] = {
    field.name: field.metadata["kind"] for field in dataclasses.fields(SessionConfig)
}
