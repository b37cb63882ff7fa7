"""Sessions from a PasteDeploy ``.ini`` file, for Pyramid's ``pserve`` and gunicorn's
``--paste``.

.. code-block:: ini

    [filter:sessions]
    use = egg:wsgi-redis-session
    redis = redis://localhost:6379/0
    secret_key = ...

and ``filter-with = sessions`` in the application's section. Every option of
``SessionManager`` can stand there; ``secret_key`` and ``redis`` may come from the
environment variables ``SECRET_KEY`` and ``SESSION_REDIS`` instead. PasteDeploy wants a
``%`` as ``%%``, and gives a filter what stands in ``[DEFAULT]`` only where it asks for
it, as in ``get secret_key = secret_key``.
"""

from __future__ import annotations

import collections.abc as cabc
import os
import typing as t

from .environment import from_strings
from .manager import SessionManager
from .middleware import SessionMiddleware

if t.TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def filter_app_factory(
    app: WSGIApplication, global_conf: cabc.Mapping[str, str], **local_conf: str
) -> SessionMiddleware:
    """``paste.filter_app_factory``: the application inside the middleware."""
    return filter_factory(global_conf, **local_conf)(app)


def filter_factory(
    global_conf: cabc.Mapping[str, str], **local_conf: str
) -> cabc.Callable[[WSGIApplication], SessionMiddleware]:
    """``paste.filter_factory``: what puts the middleware around an application.

    Raises :exc:`~wsgi_redis_session.ConfigurationError`.
    """
    options = from_strings(local_conf)
    options.setdefault("secret_key", os.environ.get("SECRET_KEY", ""))
    sessions = SessionManager(**options)
    return lambda app: SessionMiddleware(app, sessions)
