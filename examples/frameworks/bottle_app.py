"""Bottle with ``request.session``.

.. code-block:: console

    $ export SECRET_KEY=$(python -c 'import secrets; print(secrets.token_hex())')
    $ python examples/frameworks/bottle_app.py

Redis is on this machine, or where ``SESSION_REDIS`` says.
"""

import os
from wsgiref.simple_server import make_server

import bottle
from bottle import request

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware

# All that Bottle needs to have request.session.
bottle.BaseRequest.session = property(lambda self: get_session(self.environ))

app = bottle.Bottle()


@app.get("/")
def index():
    visits = request.session["visits"] = request.session.get("visits", 0) + 1
    return f"visit {visits} of {request.session.get('user', 'nobody')}\n"


@app.post("/login")
def login():
    request.session["user"] = request.forms.name
    return "welcome\n"


@app.post("/logout")
def logout():
    request.session.destroy()
    return "good bye\n"


# Whenever session["user"] changes, the visitor gets a new session id.
application = SessionMiddleware(app, SessionManager.from_env(user_key="user"))

if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8000"))
    with make_server("127.0.0.1", port, application) as server:
        print(f"http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()
