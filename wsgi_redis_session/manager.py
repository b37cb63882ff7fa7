"""The policy between cookie and store: which session a request gets and what becomes
of it. Both doors, the WSGI middleware and Flask, share one manager."""

from __future__ import annotations

import collections.abc as cabc
import os
import typing as t

from .administration import Administration
from .config import SessionConfig
from .environment import from_strings
from .environment import VARIABLES
from .environment import warn_of_near_misses
from .errors import ConfigurationError
from .events import EventLog
from .http.cookie import SessionCookie
from .lifetimes import Lifetimes
from .model.outcome import Outcome
from .model.packing import Packing
from .model.serializer import MessagePackSerializer
from .model.serializer import Serializer
from .model.session import Session
from .model.session import source_of
from .model.source import Stage
from .options import named_by
from .request.directory import Directory
from .request.exchange import Exchange
from .request.loading import Loader
from .request.loading import Parts
from .request.turns import Turns
from .request.user import UserKey
from .store.results import Limits
from .store.sessions import RedisStore
from .store.users import UserIndex
from .transport.connect import connect
from .transport.transport import Client
from .transport.transport import Transport

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from .model.seal import Seal
    from .request.loading import Adoption


class SessionManager(Administration):
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

    #: The name in a session that a framework sets to ``True`` when its user has shown
    #: once more who it is.
    confirmed_by: str | None = None

    def __init__(
        self,
        redis: str | Client | Transport | None = None,
        *,
        secret_key: str | bytes = "",
        secret_key_fallbacks: cabc.Iterable[str | bytes] = (),
        **options: t.Any,
    ) -> None:
        config = SessionConfig.from_options(options)
        events, lifetimes = EventLog(config.on_event, config.clock), Lifetimes(config)
        serializer = config.serializer or MessagePackSerializer()
        transport = connect(redis, config, events)
        limits = Limits(config.max_bytes or 0, config.max_names or 0)
        self.config = config
        #: Who is told what happens.
        self.events = events
        #: Makes bytes of values, and values of bytes.
        self.serializer = serializer
        self.cookie = SessionCookie(config, secret_key, secret_key_fallbacks)
        seal = self._seal()
        self.store = RedisStore(transport, config.key_prefix, limits, seal)
        adoption, user_key = self._adoption(serializer, lifetimes), self._user_key()
        directory = self._directory(user_key, lifetimes, events, seal)
        #: What all requests share; for doors.
        self.parts = Parts(
            config=config,
            cookie=self.cookie,
            directory=directory,
            events=events,
            lifetimes=lifetimes,
            loader=Loader(
                self.store, self.cookie, lifetimes, adoption, directory, config
            ),
            operation_timeout=config.seconds("operation_timeout"),
            packing=Packing(serializer),
            session_class=self.session_class,
            store=self.store,
            turns=Turns(),
            user_key=user_key,
        )

    @classmethod
    def from_env(
        cls, environ: cabc.Mapping[str, str] | None = None, **options: t.Any
    ) -> SessionManager:
        """A manager configured by environment variables: ``SECRET_KEY``,
        ``SECRET_KEY_FALLBACKS`` (with commas between them), ``SESSION_REDIS`` and each
        option as ``SESSION_<OPTION>``.

        Durations are seconds, ``none`` is ``None``, functions are written
        ``package.module:name``. ``options`` take precedence. A variable that looks like
        a misspelt one of these is logged. Raises
        :exc:`~wsgi_redis_session.ConfigurationError`, naming the variable.
        """
        environ = os.environ if environ is None else environ
        warn_of_near_misses(environ)
        keys = {name: VARIABLES[name] for name in VARIABLES if name not in options}
        texts = {name: environ[key] for name, key in keys.items() if key in environ}
        with named_by(keys):
            return cls(**from_strings(texts), **options)

    def _user_key(self) -> UserKey:
        is_plain = self.config.event_users == "plain"
        secret = None if is_plain else self.cookie.secret_keys[0]
        name, confirmed_by = self.config.user_key, self.confirmed_by
        return UserKey(name, self.serializer, confirmed_by, secret)

    def _seal(self) -> Seal | None:
        encrypt = self.config.encrypt
        if not encrypt:
            return None
        try:
            from .model.seal import Seal  # needs what few have installed
        except ImportError as error:
            raise ConfigurationError(
                f"encrypt={encrypt!r} cannot work: it needs the package cryptography: "
                "pip install 'wsgi-redis-session[encryption]'.",
                "encrypt",
            ) from error
        secret_keys = self.cookie.secret_keys
        accepts_plain = encrypt == "migrate"
        return Seal(secret_keys, self.config.key_prefix, accepts_plain=accepts_plain)

    def _adoption(
        self, serializer: Serializer, lifetimes: Lifetimes
    ) -> Adoption | None:
        config = self.config
        if config.migrate_from is None:
            return None
        from .legacy.adoption import Adoption  # slow to import, and rarely needed
        from .legacy.reader import LegacyReader

        reader = LegacyReader(
            self.cookie.secret_keys,
            allow_pickle=config.migrate_pickle,
            only_signed=config.migrate_signed,
            max_bytes=config.max_bytes,
        )
        prefix = config.migrate_prefix
        return Adoption(reader, serializer, self.store, lifetimes, prefix)

    def _directory(
        self,
        user_key: UserKey,
        lifetimes: Lifetimes,
        events: EventLog,
        seal: Seal | None,
    ) -> Directory | None:
        config, store = self.config, self.store
        if config.user_key is None:
            return None
        index = UserIndex(store.transport, config.key_prefix, seal)
        return Directory(index, store, user_key, lifetimes, events, config)

    def exchange(self, environ: WSGIEnvironment) -> Exchange:
        """What a door holds of the request with this WSGI environment.

        It is lazy: neither is the cookie verified nor Redis asked until the application
        looks at the session.
        """
        return Exchange(self.parts, environ)

    def open(self, cookie_header: str, script_name: str = "") -> Session:
        """The session of the request with this ``Cookie`` header, where there is no
        WSGI environment.

        ``script_name`` is where the application is mounted, for ``cookie_path="auto"``.
        """
        environ = {"HTTP_COOKIE": cookie_header, "SCRIPT_NAME": script_name}
        return self.session_class(self.exchange(environ))

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
        :exc:`~wsgi_redis_session.ConfigurationError`, for a user that is no identifier,
        :exc:`~wsgi_redis_session.HeadersAlreadySent` or
        :exc:`~wsgi_redis_session.SessionUnavailable`; the browser's cookie then stands.
        """
        exchange = source_of(session)
        if not isinstance(exchange, Exchange):
            raise TypeError("commit() takes a session that open() or load() has made")
        if secure:
            exchange.environ["wsgi.url_scheme"] = "https"
        if headers_sent:
            exchange.close_headers()
        return exchange.commit()

    def close(self, session: Session) -> None:
        """The request is over: changing its session is an error from here on."""
        source = source_of(session)
        if isinstance(source, Exchange):
            source.close()

    def serving(self, session: object) -> Exchange | None:
        """The exchange of a session of our cookie whose request is still running."""
        # Asking an abstract base class takes its time.
        is_session = type(session) is self.session_class
        if not (is_session or isinstance(session, Session)):
            return None
        found: t.Any = session
        source = source_of(found)
        if not isinstance(source, Exchange) or source.stage is Stage.OVER:
            return None
        is_ours = source.parts.config.cookie_name == self.config.cookie_name
        return source if is_ours else None
