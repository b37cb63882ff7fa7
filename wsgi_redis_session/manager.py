"""The policy between cookie and store: which session a request gets and what becomes
of it. Both doors, the WSGI middleware and Flask, share one manager."""

from __future__ import annotations

import collections.abc as cabc
import os
import typing as t

from .client import connect
from .commit import Commit
from .commit import Outcome
from .commit import UNCHANGED
from .config import from_strings
from .config import SessionConfig
from .config import VARIABLES
from .cookie import SessionCookie
from .events import EventLog
from .lifetimes import Lifetimes
from .options import named_by
from .record import is_digest
from .serializer import MessagePackSerializer
from .session import Session
from .store import Client
from .store import RedisStore
from .visit import Site
from .visit import Visit

if t.TYPE_CHECKING:
    from .legacy import LegacyReader


class SessionManager:
    """The sessions of one site: where they are kept, and by which rules.

    ``redis`` is a URL (``redis://``, ``rediss://``, ``unix://``, ``valkey://``) or a
    client of redis-py; ``None`` takes the environment variable ``SESSION_REDIS``, and
    where that is not set localhost. ``secret_key`` signs the cookies; cookies signed
    with one of ``secret_key_fallbacks`` are still accepted. The other options are the
    fields of :class:`~wsgi_redis_session.config.SessionConfig`.

    One manager serves all threads, greenlets and forked workers of a process. Nothing
    is sent until a session is looked at.

    Raises :exc:`~wsgi_redis_session.ConfigurationError` for an option that cannot work.
    """

    #: What :meth:`open` returns.
    session_class: type[Session] = Session

    def __init__(
        self,
        redis: str | Client | None = None,
        *,
        secret_key: str | bytes = "",
        secret_key_fallbacks: cabc.Iterable[str | bytes] = (),
        **options: t.Any,
    ) -> None:
        config = SessionConfig.from_options(options)
        self.config = config
        self.cookie = SessionCookie(config, secret_key, secret_key_fallbacks)
        self.store = RedisStore(connect(redis, config), config.key_prefix)
        self._site = Site(
            config=config,
            cookie=self.cookie,
            events=EventLog(config.on_event),
            legacy=self._legacy_reader(),
            lifetimes=Lifetimes(config),
            serializer=config.serializer or MessagePackSerializer(),
            store=self.store,
        )

    @classmethod
    def from_env(
        cls, environ: cabc.Mapping[str, str] | None = None, **options: t.Any
    ) -> SessionManager:
        """A manager configured by environment variables: ``SECRET_KEY``,
        ``SECRET_KEY_FALLBACKS`` (with commas between them), ``SESSION_REDIS`` and each
        option as ``SESSION_<OPTION>``.

        Durations are seconds, ``none`` is ``None``, functions are written
        ``package.module:name``. ``options`` take precedence. Raises
        :exc:`~wsgi_redis_session.ConfigurationError`, naming the variable.
        """
        environ = os.environ if environ is None else environ
        keys = {name: VARIABLES[name] for name in VARIABLES if name not in options}
        texts = {name: environ[key] for name, key in keys.items() if key in environ}
        with named_by(keys):
            return cls(**from_strings(texts), **options)

    def _legacy_reader(self) -> LegacyReader | None:
        if self.config.migrate_from is None:
            return None
        from .legacy import LegacyReader  # slow to import, and rarely needed

        return LegacyReader(
            self.cookie.secret_keys, allow_pickle=self.config.migrate_pickle
        )

    def open(self, cookie_header: str, script_name: str = "") -> Session:
        """The session of the request with this ``Cookie`` header.

        ``script_name`` is where the application is mounted, for ``cookie_path="auto"``.
        It is lazy: neither is the cookie verified nor Redis asked until the
        application looks at the session.
        """
        visit = Visit(self._site, cookie_header, script_name)
        return self.session_class(visit, self._site.serializer)

    def load(self, cookie_header: str) -> Session:
        """The same, loaded at once, for a WebSocket or a script, say.

        Raises :exc:`~wsgi_redis_session.SessionUnavailable`.
        """
        session = self.open(cookie_header)
        len(session)
        return session

    def commit(
        self, session: Session, *, secure: bool = False, headers_sent: bool = False
    ) -> Outcome:
        """Do what the application wants with its session, before the browser knows.

        ``secure`` says whether the request came over https. After a commit the session
        may change further and be committed again, with ``headers_sent`` once no cookie
        can be set any more.

        Raises :exc:`~wsgi_redis_session.NotSerializable`,
        :exc:`~wsgi_redis_session.SessionTooLarge`,
        :exc:`~wsgi_redis_session.HeadersAlreadySent` or
        :exc:`~wsgi_redis_session.SessionUnavailable`; the browser's cookie then stands.
        """
        record = session._record
        visit: t.Any = session._source
        if record is None or session._is_settled() or visit.closed:
            return UNCHANGED
        is_read_only = session._is_clean(record) and not record.foreign_sid
        if is_read_only and not visit.renew_cookie:
            session._looked = False
            return UNCHANGED
        commit = Commit(
            session, record, visit, secure=secure, headers_sent=headers_sent
        )
        outcome = commit.run()
        session._looked = False
        return outcome

    def close(self, session: Session) -> None:
        """The request is over, and what it does to its session from now on is lost."""
        visit: t.Any = session._source
        visit.closed = True

    def is_serving(self, session: object) -> bool:
        """Whether this is a session of our cookie whose request is still running."""
        visit = getattr(session, "_source", None)
        return (
            visit is not None
            and not visit.closed
            and visit.site.config.cookie_name == self.config.cookie_name
        )

    def revoke(self, session_id: str) -> None:
        """End a session by its :attr:`~wsgi_redis_session.Session.id`.

        Requests that are still running in it lose their changes. Raises
        :exc:`~wsgi_redis_session.SessionUnavailable` when it may not have ended, and
        :exc:`ValueError` for what is no such id, a session's ``sid`` for example.
        """
        if not is_digest(session_id):
            raise ValueError("revoke() takes the id of a session, as session.id is")
        self.store.delete(session_id)
        self._site.events.emit("destroyed", session_id, "revoked")
