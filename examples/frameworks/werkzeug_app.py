"""Werkzeug, without a framework, with ``request.session``.

.. code-block:: console

    $ export SECRET_KEY=$(python -c 'import secrets; print(secrets.token_hex())')
    $ python examples/frameworks/werkzeug_app.py

Redis is on this machine, or where ``SESSION_REDIS`` says.
"""

import os

from werkzeug import Request as PlainRequest
from werkzeug import Response
from werkzeug.routing import Map
from werkzeug.routing import Rule
from werkzeug.serving import make_server

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware


class Request(PlainRequest):
    @property
    def session(self):
        return get_session(self.environ)


def index(request):
    session = request.session
    session["visits"] = session.get("visits", 0) + 1
    user = session.get("user", "nobody")
    return Response(f"visit {session['visits']} of {user}\n")


def login(request):
    request.session["user"] = request.form["name"]
    return Response("welcome\n")


def logout(request):
    request.session.destroy()
    return Response("good bye\n")


pages = Map(
    [
        Rule("/", methods=["GET"], endpoint=index),
        Rule("/login", methods=["POST"], endpoint=login),
        Rule("/logout", methods=["POST"], endpoint=logout),
    ]
)


# It answers what is an HTTP exception, as SessionUnavailable is one: 503.
@Request.application
def app(request):
    page, _ = pages.bind_to_environ(request.environ).match()
    return page(request)


# Whenever session["user"] changes, the visitor gets a new session id.
application = SessionMiddleware(app, SessionManager.from_env(user_key="user"))

if __name__ == "__main__":
    server = make_server("127.0.0.1", int(os.environ.get("PORT", "8000")), application)
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
