"""An application that has sessions and does not know where they come from."""

from wsgi_redis_session import get_session


def app(environ, start_response):
    session = get_session(environ)
    session["visits"] = session.get("visits", 0) + 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"visit {session['visits']}\n".encode()]
