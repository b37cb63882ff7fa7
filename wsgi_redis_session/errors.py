"""Every exception that the library raises, in one tree under :class:`SessionError`.

What a browser sends never raises: a forged, malformed, unknown or expired cookie
means "no session". A wrong setting raises :class:`ConfigurationError` at start-up,
and a Redis that does not answer raises :class:`SessionUnavailable`.
"""

from __future__ import annotations

from werkzeug.exceptions import ServiceUnavailable


class SessionError(Exception):
    """The base of every exception of this library."""


class ConfigurationError(SessionError, ValueError, TypeError):
    """An option cannot work; the message names it, its value and the remedy.

    It is a :exc:`ValueError` and a :exc:`TypeError`, because an option can be wrong
    in its value, its type or its name, and all three end here.

    A message about an option begins with its name, or with the key that the user has
    written for it: an environment variable, say.
    """

    def __init__(self, message: str, option: str | None = None) -> None:
        super().__init__(message)
        #: The option that is meant, as ``SessionManager`` calls it; ``None`` where the
        #: message is about something else.
        self.option = option

    def rename(self, key: str) -> None:
        """Let the message begin with this key, and no longer with the option."""
        message = str(self)
        if self.option is not None and message.startswith(self.option):
            self.args = (key + message.removeprefix(self.option),)


class SessionUnavailable(SessionError, ServiceUnavailable):
    """Redis could not be asked, so nobody knows who this visitor is.

    It is also Werkzeug's ``503 Service Unavailable``: Flask and Werkzeug turn it into
    that response, and any WSGI application may return
    ``error(environ, start_response)``. The error of redis-py is its ``__cause__``.
    """

    #: What the visitor is told.
    description = "The session store does not answer. Please try again in a moment."

    def __init__(self, detail: str = "") -> None:
        super().__init__()
        #: What the developer is told.
        self.detail = detail

    def __str__(self) -> str:
        return self.detail or super().__str__()


class PartlyRevoked(SessionUnavailable):
    """Redis failed while the sessions of a user were revoked.

    What has ended stays so; some of the others may have ended as well. The same call
    once more finishes it.
    """

    def __init__(self, detail: str, ended: list[str], left: list[str]) -> None:
        of_others = f", {len(left)} may not have" if left else ""
        super().__init__(
            f"{detail}; {len(ended)} of the user's sessions have ended{of_others}, and "
            "there may be more: revoke them again"
        )
        #: The ids of the sessions that have ended.
        self.ended = tuple(ended)
        #: Those of the sessions that were found, and may not have ended.
        self.left = tuple(left)


class NotSerializable(SessionError, TypeError):
    """A value that cannot be stored; nothing of the session was stored with it."""


class SessionTooLarge(SessionError, ValueError):
    """The session would exceed ``max_bytes``; nothing of it was stored."""


class HeadersAlreadySent(SessionError, RuntimeError):
    """The session needs a ``Set-Cookie`` header after the headers have left.

    Raised where a streaming body first stores something in a new session, or gives
    one a new session id. Do that before the first byte of the body.
    """


class SessionClosed(SessionError, RuntimeError):
    """A session was changed when its request was over, so that nothing saves it.

    Raised in a thread that outlives its request, say, or in a body that is read after
    it was closed.
    """


class Undecodable(SessionError, ValueError):
    """Stored bytes that cannot be read. It never reaches an application, which
    gets a new session instead."""
