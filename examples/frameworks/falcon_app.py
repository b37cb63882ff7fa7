"""Falcon with ``req.session``.

.. code-block:: console

    $ export SECRET_KEY=$(python -c 'import secrets; print(secrets.token_hex())')
    $ python examples/frameworks/falcon_app.py

Redis is on this machine, or where ``SESSION_REDIS`` says.
"""

import os
from wsgiref.simple_server import make_server

import falcon

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware
from wsgi_redis_session import SessionUnavailable


class Request(falcon.Request):
    """All that Falcon needs to have ``req.session``."""

    @property
    def session(self):
        return get_session(self.env)


class Index:
    def on_get(self, req, resp):
        session = req.session
        session["visits"] = session.get("visits", 0) + 1
        resp.text = f"visit {session['visits']} of {session.get('user', 'nobody')}\n"


class Login:
    def on_post(self, req, resp):
        req.session["user"] = req.get_media()["name"]
        resp.text = "welcome\n"


class Logout:
    def on_post(self, req, resp):
        req.session.destroy()
        resp.text = "good bye\n"


def unavailable(req, resp, error, params):
    """While Redis does not answer, Falcon would say 500 otherwise."""
    raise falcon.HTTPServiceUnavailable(description=error.description)


app = falcon.App(request_type=Request)
app.add_error_handler(SessionUnavailable, unavailable)
app.add_route("/", Index())
app.add_route("/login", Login())
app.add_route("/logout", Logout())

# Whenever session["user"] changes, the visitor gets a new session id.
application = SessionMiddleware(app, SessionManager.from_env(user_key="user"))

if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8000"))
    with make_server("127.0.0.1", port, application) as server:
        print(f"http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()
