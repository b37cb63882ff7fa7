"""The session that an application sees: a mapping, and what can be wished for it."""

from __future__ import annotations

import collections.abc as cabc
import copy
import operator
import typing as t

from .csrf import masked
from .csrf import matches
from .csrf import new_secret
from .draft import Draft
from .source import Source
from .values import AUTHENTICATED
from .values import CSRF
from .values import OWN_NAMES


class Session(cabc.MutableMapping[str, t.Any]):
    """A visitor's data, kept in Redis; used like a dictionary.

    Names are strings, values are what the serializer takes. Changes are saved when
    the response starts, those made while its body streams at its end. Changing a
    nested value needs no flag.

    Looking at it for the first time loads it, which raises
    :exc:`~wsgi_redis_session.SessionUnavailable` while Redis does not answer. Changing
    it when its request is over raises :exc:`~wsgi_redis_session.SessionClosed`.
    """

    __slots__ = ("__weakref__", "_draft", "_source")

    def __init__(self, source: Source) -> None:
        self._source = source
        self._draft: Draft | None = None

    def _look(self) -> Draft:
        self._source.accessed = True
        draft = self._draft
        if draft is None:
            draft = self._draft = self._source.load()
        return draft

    # What the session is.

    @property
    def accessed(self) -> bool:
        """Whether the application has looked at the session, so that its response
        depends on the cookie; it may say otherwise."""
        return self._source.accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        self._source.accessed = value

    @property
    def new(self) -> bool:
        """Whether nothing is stored for this visitor yet."""
        return self._look().is_new

    @property
    def id(self) -> str:
        """A one-way digest of the session id: safe to show and to log, useless as a
        cookie. It changes with :meth:`regenerate`."""
        return self._look().base.id

    @property
    def sid(self) -> str:
        """The secret in the visitor's cookie. Never log it or show it."""
        return self._look().base.sid

    @property
    def created(self) -> float:
        """When the session began, in seconds since the epoch."""
        return self._look().base.created / 1000

    @property
    def device(self) -> str:
        """Drawn at random when the session began; it stays when the session id changes,
        and :meth:`SessionManager.of_user
        <wsgi_redis_session.SessionManager.of_user>` lists it."""
        return self._look().base.device.hex()

    @property
    def authenticated_at(self) -> float | None:
        """When the user last logged in, by the option ``user_key``, or confirmed who it
        is, in seconds since the epoch; ``None`` where nobody has.

        Compare it with the time before what is worth a second look: a change of the
        password, say.
        """
        found = self._own(AUTHENTICATED)
        return found / 1000 if isinstance(found, int) else None

    @property
    def permanent(self) -> bool:
        """Whether the session outlives the browser, for ``permanent_lifetime``."""
        return self._look().permanent

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self._look().set_permanent(bool(value))

    @property
    def modified(self) -> bool:
        """Whether the application has changed the session.

        Setting it to ``True`` saves the session even if nothing in it has changed,
        which prolongs it; setting it to ``False`` keeps it from being saved, until
        another name is set or removed.
        """
        return self._draft is not None and self._draft.is_modified

    @modified.setter
    def modified(self, value: bool) -> None:
        self._look().set_modified(bool(value))

    def regenerate(self) -> None:
        """Give the session a new session id; the data stay, and whoever has the old one
        gains nothing by it.

        Do this whenever the visitor gains rights, above all at login, against session
        fixation (OWASP Session Management Cheat Sheet, "Renew the Session ID After Any
        Privilege Level Change"). The option ``user_key`` does it by itself.
        """
        self._look().renew()

    def confirm(self) -> None:
        """The user has shown once more who it is: sets :attr:`authenticated_at`, and
        does what :meth:`regenerate` does."""
        draft = self._look()
        draft.renew()
        draft.assign(AUTHENTICATED, self._source.now())

    def csrf_token(self) -> str:
        """A token for a form, different each time, that :meth:`check_csrf_token` knows.

        It is good until the session id changes at a login, a logout,
        :meth:`regenerate` or :meth:`confirm`; so answer a login with a redirect and not
        with a form. A visitor who has no session gets one.
        """
        draft, secret = self._look(), self._own(CSRF)
        is_shut_out = draft.wants_new_sid and CSRF not in draft.assigned
        if not isinstance(secret, str) or is_shut_out:
            secret = new_secret()
            draft.assign(CSRF, secret)
        return masked(secret)

    def check_csrf_token(self, token: str | None) -> bool:
        """Whether what a form has sent is a token of this session's, in constant
        time."""
        secret = self._own(CSRF)
        return isinstance(secret, str) and matches(token, secret)

    def destroy(self) -> None:
        """End the session: its data go, and its cookie never works again.

        What is stored afterwards goes into a new session.
        """
        self._look().end()

    # The mapping.

    def __getitem__(self, name: str) -> t.Any:
        return self._look().value(name)

    def __setitem__(self, name: str, value: t.Any) -> None:
        draft = self._look()
        if type(name) is not str and not isinstance(name, str):
            raise TypeError(
                f"names in a session are strings, not {type(name).__qualname__}"
            )
        if name in OWN_NAMES:
            raise ValueError(f"{name!r} is a name that the library itself uses")
        draft.assign(name, value)

    def __delitem__(self, name: str) -> None:
        self._look().remove(name)

    def __iter__(self) -> cabc.Iterator[str]:
        # Unpacked first: one unreadable value ends the session, not the loop.
        for name in self._names():
            self.get(name)
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> list[str]:
        return [name for name in self._look().names() if name not in OWN_NAMES]

    def _own(self, name: str) -> t.Any:
        """What the library keeps under one of its own names, or ``None``."""
        draft = self._look()
        try:
            return draft.value(name)
        except KeyError:
            return None

    def popitem(self) -> tuple[str, t.Any]:
        """Remove and return the name that was added last, and its value."""
        for name in reversed(self):
            return name, self.pop(name)
        raise KeyError("the session is empty")

    def clear(self) -> None:
        """Remove every name. :meth:`destroy` is what ends the session for good."""
        draft = self._look()
        for name in draft.names():
            draft.remove(name)

    def __reversed__(self) -> cabc.Iterator[str]:
        return reversed(list(self))

    def __or__(self, other: cabc.Mapping[str, t.Any]) -> dict[str, t.Any]:
        return dict(self) | dict(other)

    def __ror__(self, other: cabc.Mapping[str, t.Any]) -> dict[str, t.Any]:
        return dict(other) | dict(self)

    def __ior__(self, other: t.Any) -> t.Self:  # type: ignore[misc]  # as with dict
        self.update(other)
        return self

    def copy(self) -> dict[str, t.Any]:
        """A plain dictionary of the names and values."""
        return dict(self)

    def __copy__(self) -> dict[str, t.Any]:
        return dict(self)

    def __deepcopy__(self, memo: dict[int, t.Any]) -> dict[str, t.Any]:
        return copy.deepcopy(dict(self), memo)

    def __repr__(self) -> str:
        draft = self._draft
        if draft is None:
            return "<Session not loaded>"
        state = " permanent" if draft.permanent else ""
        state += " new" if draft.is_new else ""
        return f"<Session {draft.base.id}{state}>"


#: The request that a session belongs to. It is no attribute of a session, because in a
#: template, ``{{ session.source }}`` is to be the value of that name.
source_of: cabc.Callable[[Session], Source] = operator.attrgetter("_source")
