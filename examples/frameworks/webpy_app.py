"""web.py with ``web.ctx.session``.

.. code-block:: console

    $ export SECRET_KEY=$(python -c 'import secrets; print(secrets.token_hex())')
    $ python examples/frameworks/webpy_app.py

Redis is on this machine, or where ``SESSION_REDIS`` says.
"""

import os
from wsgiref.simple_server import make_server

import web

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware


def find_session():
    """All that web.py needs to have ``web.ctx.session``."""
    web.ctx.session = get_session(web.ctx.environ)


class Index:
    def GET(self):
        session = web.ctx.session
        session["visits"] = session.get("visits", 0) + 1
        return f"visit {session['visits']} of {session.get('user', 'nobody')}\n"


class Login:
    def POST(self):
        web.ctx.session["user"] = web.input().name
        return "welcome\n"


class Logout:
    def POST(self):
        web.ctx.session.destroy()
        return "good bye\n"


app = web.application(("/", Index, "/login", Login, "/logout", Logout))
app.add_processor(web.loadhook(find_session))

# Whenever session["user"] changes, the visitor gets a new session id.
sessions = SessionManager.from_env(user_key="user")
application = SessionMiddleware(app.wsgifunc(), sessions)

if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8000"))
    with make_server("127.0.0.1", port, application) as server:
        print(f"http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()
