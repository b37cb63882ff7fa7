"""Who a session belongs to, by the option ``user_key``."""

from __future__ import annotations

import collections.abc as cabc
import hmac
from uuid import UUID

from ..errors import ConfigurationError
from ..model.draft import Draft
from ..model.record import url_safe_base64
from ..model.serializer import Serializer
from .step import UserChange


def user_digest(secret: bytes, user: str) -> str:
    """Stands for a user where nobody is to see who it is. Only the secret key makes it:
    identifiers are few, and could be tried one by one."""
    mac = hmac.digest(secret, b"user " + user.encode("utf-8", "replace"), "sha256")
    return url_safe_base64(mac[:18]).decode("ascii")


class UserKey:
    """The session's name that says who is logged in, if there is one."""

    def __init__(
        self,
        name: str | None,
        serializer: Serializer,
        confirmed_by: str | None,
        secret: bytes | None = None,
    ) -> None:
        self.name = name
        #: The name that becomes ``True`` when a user has confirmed who it is.
        self.confirmed_by = confirmed_by
        self._serializer = serializer
        # Makes the digest that events show; without it they show the identifier.
        self._secret = secret
        self._yes = serializer.dumps(True)
        #: ``None`` under that name is nobody, as if it were not there.
        self._nobody = serializer.dumps(None)

    def names_nobody(self, packed: cabc.Mapping[str, bytes]) -> bool:
        """Whether it is known that nobody is logged in."""
        return self.name is not None and self._user(packed) is None

    def change(
        self,
        draft: Draft,
        before: cabc.Mapping[str, bytes],
        now: cabc.Mapping[str, bytes],
    ) -> UserChange:
        """What a request does to who is logged in.

        Raises :exc:`~wsgi_redis_session.ConfigurationError` where the name stands for
        something that is no identifier.
        """
        if self.name is None:
            return UserChange.NONE
        old, new = self._user(before), self._user(now)
        if old == new:
            return UserChange.NONE
        if new is None:
            return UserChange.LOGOUT
        if (user := self.user(now)) is not None and user == self.user(before):
            return UserChange.NONE  # as a number before, as a text now
        if self.name not in draft.assigned:
            return UserChange.NONE  # what is stored there was no identifier before
        self._check(draft.value(self.name))
        return UserChange.LOGIN if old is None else UserChange.SWITCH

    def shown(self, packed: cabc.Mapping[str, bytes] | None) -> str | None:
        """Who is logged in, as events show it."""
        return None if packed is None else self.digest(self.user(packed))

    def digest(self, user: str | None) -> str | None:
        """A user, by the name that :func:`named` gives, as events show it."""
        if user is None or self._secret is None:
            return user
        return user_digest(self._secret, user)

    def user(self, packed: cabc.Mapping[str, bytes]) -> str | None:
        """Who is logged in, as a text; ``None`` for nobody."""
        found = self._user(packed)
        if found is None:
            return None
        try:
            user = self._serializer.loads(found)
        except Exception:  # whatever a serializer makes of bytes that are damaged
            return None
        return named(user)

    def is_confirmed(
        self, before: cabc.Mapping[str, bytes], now: cabc.Mapping[str, bytes]
    ) -> bool:
        """Whether the user has shown once more who it is, as a framework says."""
        name = self.confirmed_by
        if name is None or self.names_nobody(now):
            return False
        return now.get(name) == self._yes and before.get(name) != self._yes

    def _user(self, packed: cabc.Mapping[str, bytes]) -> bytes | None:
        found = None if self.name is None else packed.get(self.name)
        return None if found == self._nobody else found

    def _check(self, user: object) -> None:
        if named(user) is None:
            raise ConfigurationError(
                f"user_key={self.name!r} cannot work: session[{self.name!r}] is a "
                f"{type(user).__qualname__}, and who is logged in must be a str, an "
                "int or a UUID. Store the user's id there, and what belongs to the "
                "user under another name."
            )


def named(user: object) -> str | None:
    """The same user is meant by an identifier and by its text, which is all that a
    command line has. ``None`` for what is no identifier."""
    if isinstance(user, bool) or not isinstance(user, (str, int, UUID)):
        return None
    return str(user)
