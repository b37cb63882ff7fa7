"""CherryPy with ``cherrypy.request.session``.

.. code-block:: console

    $ export SECRET_KEY=$(python -c 'import secrets; print(secrets.token_hex())')
    $ python examples/frameworks/cherrypy_app.py

Redis is on this machine, or where ``SESSION_REDIS`` says.
"""

import os
from wsgiref.simple_server import make_server

import cherrypy

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware


@cherrypy.tools.register("on_start_resource", name="redis_session")
def find_session():
    """All that CherryPy needs to have ``cherrypy.request.session``."""
    cherrypy.request.session = get_session(cherrypy.request.wsgi_environ)


class Site:
    @cherrypy.expose
    def index(self):
        session = cherrypy.request.session
        session["visits"] = session.get("visits", 0) + 1
        return f"visit {session['visits']} of {session.get('user', 'nobody')}\n"

    @cherrypy.expose
    @cherrypy.tools.allow(methods=["POST"])
    def login(self, name):
        cherrypy.request.session["user"] = name
        return "welcome\n"

    @cherrypy.expose
    @cherrypy.tools.allow(methods=["POST"])
    def logout(self):
        cherrypy.request.session.destroy()
        return "good bye\n"


app = cherrypy.Application(Site(), "", {"/": {"tools.redis_session.on": True}})

# Whenever session["user"] changes, the visitor gets a new session id.
application = SessionMiddleware(app, SessionManager.from_env(user_key="user"))

if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8000"))
    with make_server("127.0.0.1", port, application) as server:
        print(f"http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()
