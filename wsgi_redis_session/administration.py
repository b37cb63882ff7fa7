"""What is done with sessions from outside of their requests."""

from __future__ import annotations

import collections.abc as cabc
from uuid import UUID

from .config import SessionConfig
from .errors import ConfigurationError
from .events import Circumstances
from .model.info import SessionInfo
from .model.record import is_digest
from .model.session import Session
from .request.directory import Directory
from .request.loading import Parts
from .store.sessions import RedisStore
from .store.survey import Survey
from .transport.deadline import Deadline


class Administration:
    """The part of a :class:`~wsgi_redis_session.SessionManager` for who runs a site."""

    config: SessionConfig
    parts: Parts
    store: RedisStore

    def revoke(self, session_id: str) -> bool:
        """End a session by its :attr:`~wsgi_redis_session.Session.id`; whether there
        was one, or one that took its place.

        Requests that are still running in it lose their changes. Raises
        :exc:`~wsgi_redis_session.SessionUnavailable` when it may not have ended, and
        :exc:`ValueError` for what is no such id, a session's ``sid`` for example.
        """
        if not is_digest(session_id):
            raise ValueError("revoke() takes the id of a session, as session.id is")
        deadline = self._deadline()
        ended = self.store.end(deadline, session_id)
        if ended:
            about = Circumstances(duration=deadline.spent)
            self.parts.events.emit("revoked", session_id, about=about)
        return ended

    def of_user(
        self, user: str | int | UUID, *, current: Session | None = None
    ) -> list[SessionInfo]:
        """Where a user is logged in: the sessions that are alive, the one first that
        was seen last.

        ``user`` is the value of ``user_key``, or its text: ``42`` and ``"42"`` are the
        same. ``current`` is the session that is to be marked, that of the request, say.

        Raises :exc:`~wsgi_redis_session.SessionUnavailable`,
        :exc:`~wsgi_redis_session.ConfigurationError` without ``user_key``, and
        :exc:`ValueError` for what is no user.
        """
        return self._known_users().devices(self._deadline(), user, current)

    def revoke_user(
        self,
        user: str | int | UUID,
        *,
        device: str | None = None,
        keep: Session | None = None,
    ) -> int:
        """End the sessions of a user: on one device, or all, but for the one to keep;
        how many there were.

        Without ``device`` nothing outlives it whose request began before: neither a
        session nor a login under way, with the old password, say. ``keep`` is the
        session of the request that calls this, which may give it a new session id as
        well. Requests that are still running in the others lose their changes.

        Raises :exc:`~wsgi_redis_session.PartlyRevoked` when Redis fails in the middle,
        :exc:`~wsgi_redis_session.ConfigurationError` without ``user_key``, and
        :exc:`ValueError` for what is no user or no device.
        """
        return self._known_users().revoke(self._deadline(), user, device, keep)

    def is_alive(self, session: Session) -> bool:
        """Whether a session is still there, under the session id that it had: one short
        command, for connections that outlive their request (WebSocket, server-sent
        events).

        Where it is not, it has ended or got a new session id; let the browser connect
        again, with the cookie that it has by then. Raises
        :exc:`~wsgi_redis_session.SessionUnavailable`.
        """
        return self.store.is_alive(self._deadline(), session.id)

    def iterate(self) -> cabc.Iterator[SessionInfo]:
        """All sessions that are stored, in no order; what is stored or ends meanwhile
        may be missing, and one may come twice (``SCAN``).

        It takes a short command for each, and never blocks the server. Raises
        :exc:`~wsgi_redis_session.SessionUnavailable`.
        """
        survey = Survey(
            self.store.transport, self.config.key_prefix, self.parts.operation_timeout
        )
        return survey.sessions()

    def count(self) -> int:
        """How many sessions :meth:`iterate` finds."""
        return sum(1 for _ in self.iterate())

    def _known_users(self) -> Directory:
        directory = self.parts.directory
        if directory is None:
            raise ConfigurationError(
                "user_key=None cannot work here: it must be the name in a session that "
                'says who is logged in, "user_id" say, so that sessions can be found '
                "by their user.",
                "user_key",
            )
        return directory

    def ping(self) -> bool:
        """Ask Redis for a sign of life, for a readiness probe, say.

        Raises :exc:`~wsgi_redis_session.SessionUnavailable` where there is none within
        ``operation_timeout``.
        """
        # A command about a key, so that a cluster has a server to send it to.
        self.store.left(self._deadline(), "ping")
        return True

    def _deadline(self) -> Deadline:
        return Deadline(self.parts.operation_timeout)

    def disconnect(self) -> None:
        """Close the connections to Redis; the next command opens new ones."""
        self.store.transport.drop()
