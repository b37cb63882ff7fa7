"""An application in the session middleware."""

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware


def count(environ, start_response):
    session = get_session(environ)
    session["visits"] = session.get("visits", 0) + 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"visit {session['visits']}\n".encode()]


# SECRET_KEY, SESSION_REDIS and SESSION_<OPTION> of the environment.
application = SessionMiddleware(count, SessionManager.from_env())
