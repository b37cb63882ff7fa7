"""The session cookie: from a ``Cookie`` header to a verified session id, and back.

The cookie's value is ``<sid>.<created>.<kind>.<drawn>.<issued>.<signature>``: the
session id, when the session began, ``p`` for a permanent session or ``s`` for one that
ends with the browser, when the session id was drawn (both times in milliseconds,
hexadecimal), and what :class:`itsdangerous.TimestampSigner` adds. Nothing in it is
believed before the signature was checked, and nothing but the session id identifies
anybody.
"""

from __future__ import annotations

import collections.abc as cabc
import functools
import hashlib
import hmac
import re
import typing as t
from urllib.parse import quote

from itsdangerous import BadSignature
from itsdangerous import TimestampSigner
from werkzeug.http import dump_cookie
from werkzeug.http import http_date

from ..config import SessionConfig
from ..errors import ConfigurationError
from ..model.record import digest
from ..model.record import from_url_safe_base64
from ..model.record import url_safe_base64

_SALT = b"wsgi-redis-session cookie"

#: Far more than a cookie of ours ever needs; what is longer costs no hash.
_MAX_LENGTH = 256

#: So many cookies are known as genuine without another look.
_VERIFIED_KEPT = 1024

#: Of several genuine cookies, as many are looked at, newest first.
_MAX_CANDIDATES = 4

#: Browsers keep no cookie for longer than 400 days (RFC 6265bis, section 5.5).
_MAX_AGE = 400 * 86400


class Ticket(t.NamedTuple):
    """What a genuine cookie says."""

    sid: str
    #: When the session began, in milliseconds since the epoch.
    created: int
    permanent: bool
    #: When the session id was drawn, in milliseconds since the epoch.
    drawn: int
    #: When the cookie was written, in seconds since the epoch.
    issued: float

    def __repr__(self) -> str:
        return f"<Ticket {digest(self.sid)}>"


class _Signer(TimestampSigner):
    def __init__(
        self, secret_keys: cabc.Iterable[bytes], clock: cabc.Callable[[], float]
    ) -> None:
        keys = [hmac.digest(key, _SALT, "sha256") for key in secret_keys]
        super().__init__(
            keys,
            key_derivation="none",  # derived above, once
            digest_method=hashlib.sha256,
        )
        # Setting up the key is half the work of an HMAC.
        self._keyed = [hmac.new(key, digestmod="sha256") for key in reversed(keys)]
        self._clock = clock

    def get_signature(self, value: str | bytes) -> bytes:
        """The same signature as itsdangerous makes, for half of what it costs."""
        data = value if isinstance(value, bytes) else value.encode("ascii")
        return _signature(self._keyed[0], data)

    def get_timestamp(self) -> int:
        return int(self._clock())

    def has_signed(self, payload: bytes, signature: bytes) -> bool:
        """Compare the text of the signatures: of all the texts that decode to the same
        bytes, only ours is genuine."""
        for keyed in self._keyed:
            if hmac.compare_digest(_signature(keyed, payload), signature):
                return True
        return False


def _signature(keyed: hmac.HMAC, data: bytes) -> bytes:
    mac = keyed.copy()
    mac.update(data)
    return url_safe_base64(mac.digest())


class SessionCookie:
    """Reads and writes the cookie of one configuration."""

    def __init__(
        self,
        config: SessionConfig,
        secret_key: str | bytes,
        secret_key_fallbacks: cabc.Iterable[str | bytes] = (),
    ) -> None:
        self._config = config
        current = _secret("secret_key", secret_key)
        fallbacks = secret_key_fallbacks or ()
        if isinstance(fallbacks, (str, bytes)) or not isinstance(
            fallbacks, cabc.Iterable
        ):
            raise ConfigurationError(
                "secret_key_fallbacks must be a list of earlier secret keys, "
                "not a single one.",
                "secret_key_fallbacks",
            )
        earlier = [_secret("secret_key_fallbacks", key) for key in fallbacks]
        #: The secret that signs, and those that are still accepted.
        self.secret_keys = [current, *earlier]
        # itsdangerous signs with the last one and tries the last one first.
        self._signer = _Signer(reversed(self.secret_keys), config.clock)
        # A browser sends the same cookie again and again, and verifying it is a fifth
        # of what a read takes beside Redis. Only genuine ones are kept.
        self._verify = functools.lru_cache(_VERIFIED_KEPT)(self._verified)
        # Browsers drop SameSite=None without Secure (RFC 6265bis, section 5.7).
        is_cross_site = (config.cookie_samesite or "").title() == "None"
        self._secure = True if is_cross_site else config.cookie_secure
        name = re.escape(config.cookie_name)
        self._pattern = re.compile(rf"(?:^|;)[ \t]*{name}[ \t]*(?:=([^;]*))?(?=;|\Z)")
        self._for_browser_session = _prepared(config, lasting=False)
        self._for_a_time = _prepared(config, lasting=True)

    def read(self, header: str) -> list[Ticket] | None:
        """The genuine cookies in a ``Cookie`` header, the newest first.

        A browser may send several of one name, for different paths and domains, in an
        order that says nothing (RFC 6265bis, section 5.8.3). ``None`` means that there
        was a cookie of our name, but none that we have signed.
        """
        values = self.values(header)
        tickets = []
        for value in values:
            if len(value) <= _MAX_LENGTH:
                try:
                    tickets.append(self._verify(value))
                except BadSignature:
                    continue
        if not (tickets and len(values) > 1):
            return tickets if tickets or not values else None
        tickets.sort(key=lambda ticket: (ticket.issued, ticket), reverse=True)
        newest: dict[str, Ticket] = {}
        for ticket in tickets:
            newest.setdefault(ticket.sid, ticket)
        return list(newest.values())[:_MAX_CANDIDATES]

    def values(self, header: str) -> set[str]:
        """What a ``Cookie`` header has under our name, genuine or not."""
        if self._config.cookie_name not in header:
            return set()
        return {value.strip(' \t"') for value in self._pattern.findall(header)}

    def write(
        self,
        sid: str,
        created: int,
        permanent: bool,
        drawn: int,
        *,
        secure: bool,
        max_age: float | None,
        script_name: str = "",
    ) -> str:
        """The ``Set-Cookie`` value that gives the browser a session id, which was drawn
        then.

        ``max_age`` is in seconds, ``None`` until the browser is closed. ``secure`` says
        whether this request came over https, and ``script_name`` where the application
        is mounted (``SCRIPT_NAME``, PEP 3333).
        """
        kind = "p" if permanent else "s"
        value = self._signer.sign(f"{sid}.{created:x}.{kind}.{drawn:x}").decode("ascii")
        if max_age is None:
            return self._dump(value, secure, script_name)
        seconds = min(int(max_age), _MAX_AGE)
        expires = self._config.clock() + seconds
        return self._dump(value, secure, script_name, max_age=seconds, expires=expires)

    def clear(self, *, secure: bool, script_name: str = "") -> str:
        """The ``Set-Cookie`` value that makes the browser forget the cookie."""
        return self._dump("", secure, script_name, max_age=0, expires=0)

    def _verified(self, value: str) -> Ticket:
        """What a cookie says; raises :exc:`BadSignature` for one that is not ours."""
        try:
            payload, _, signature = value.encode("ascii").rpartition(b".")
        except UnicodeEncodeError as error:
            raise BadSignature("it is not ASCII") from error
        if not self._signer.has_signed(payload, signature):
            raise BadSignature("nobody has signed it")
        parts = payload.split(b".")
        if len(parts) != 5:
            raise BadSignature("signed by an earlier version")
        sid, created, kind, drawn, issued = parts
        return Ticket(
            sid.decode("ascii"),
            int(created, 16),
            kind == b"p",
            int(drawn, 16),
            int.from_bytes(from_url_safe_base64(issued)),
        )

    def _dump(
        self,
        value: str,
        secure: bool,
        script_name: str,
        *,
        max_age: int | None = None,
        expires: float | None = None,
    ) -> str:
        if self._secure != "auto":
            secure = self._secure
        if max_age is None or expires is None:
            attributes = self._for_browser_session[secure]
        else:
            attributes = (
                self._for_a_time[secure]
                .replace(_EXPIRES, http_date(expires))
                .replace(str(_SECONDS), str(max_age))
            )
        if self._config.cookie_path == "auto":
            attributes = attributes.replace(_PATH, _mount_path(script_name))
        return f"{self._config.cookie_name}={value}{attributes}"


#: What stands in prepared attributes for what is different each time.
_EXPIRES = "-expires-"
_PATH = "/-path-"
_SECONDS = 987654321

#: What stands in a path as it is, but for what would end the attribute (RFC 3986,
#: section 3.3).
_IN_PATH = "/!$&'()*+,:=@~"


#: Browsers ignore a longer one (RFC 6265bis, section 5.6).
_MAX_PATH = 1024


def _mount_path(script_name: str) -> str:
    """The path of an application; the environment has its bytes decoded as Latin-1."""
    path = quote(script_name.encode("latin-1", "replace"), safe=_IN_PATH)
    return path if 0 < len(path) <= _MAX_PATH else "/"


def _prepared(config: SessionConfig, *, lasting: bool) -> dict[bool, str]:
    """The attributes of the cookie without and with Secure."""
    name = config.cookie_name
    return {
        secure: dump_cookie(
            name,
            "",
            max_age=_SECONDS if lasting else None,
            expires=_EXPIRES if lasting else None,
            path=_PATH if config.cookie_path == "auto" else config.cookie_path,
            domain=config.cookie_domain,
            secure=secure,
            httponly=config.cookie_httponly,
            samesite=config.cookie_samesite,
            partitioned=config.cookie_partitioned,
        ).removeprefix(f"{name}=")
        for secure in (False, True)
    }


def _secret(option: str, key: str | bytes) -> bytes:
    if not isinstance(key, (str, bytes)) or not key:
        raise ConfigurationError(
            f"{option} is missing or not a non-empty string. Make one with "
            "python -c 'import secrets; print(secrets.token_hex())', keep it out of "
            "the source, and give every worker the same one: "
            'secret_key=os.environ["SECRET_KEY"].',
            option,
        )
    # os.environ has surrogates for bytes that are no UTF-8.
    return key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key
