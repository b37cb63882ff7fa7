"""Pyramid with these sessions as ``request.session``.

.. code-block:: console

    $ export SECRET_KEY=$(python -c 'import secrets; print(secrets.token_hex())')
    $ python examples/frameworks/pyramid_app.py

Redis is on this machine, or where ``SESSION_REDIS`` says.
"""

import os
from wsgiref.simple_server import make_server

from pyramid.config import Configurator
from pyramid.response import Response


def index(request):
    session = request.session
    session["visits"] = session.get("visits", 0) + 1
    user = session.get("user", "nobody")
    return Response(f"visit {session['visits']} of {user}\n")


def login(request):
    request.session["user"] = request.POST["name"]
    return Response("welcome\n")


def logout(request):
    request.session.invalidate()
    return Response("good bye\n")


# Each option may be a setting; SECRET_KEY and SESSION_REDIS are taken from the
# environment. Whenever session["user"] changes, the visitor gets a new session id.
settings = {"session.user_key": "user"}

with Configurator(settings=settings) as config:
    config.include("wsgi_redis_session.pyramid")
    config.add_route("index", "/", request_method="GET")
    config.add_route("login", "/login", request_method="POST")
    config.add_route("logout", "/logout", request_method="POST")
    config.add_view(index, route_name="index")
    config.add_view(login, route_name="login")
    config.add_view(logout, route_name="logout")
    application = config.make_wsgi_app()

if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8000"))
    with make_server("127.0.0.1", port, application) as server:
        print(f"http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()
