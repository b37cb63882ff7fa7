"""Django with these sessions as ``request.session``, in one file.

They take the place of ``django.contrib.sessions``; do not install both. What builds on
the latter, like ``django.contrib.auth``, needs Django's own.

.. code-block:: console

    $ export SECRET_KEY=$(python -c 'import secrets; print(secrets.token_hex())')
    $ python examples/frameworks/django_app.py

Redis is on this machine, or where ``SESSION_REDIS`` says.
"""

import os
from wsgiref.simple_server import make_server

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.http import require_POST

from wsgi_redis_session import get_session
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware


def find_session(get_response):
    """All that Django needs to have ``request.session``: a middleware of its own."""

    def middleware(request):
        request.session = get_session(request.META)
        return get_response(request)

    return middleware


def index(request):
    session = request.session
    session["visits"] = session.get("visits", 0) + 1
    user = session.get("user", "nobody")
    return HttpResponse(f"visit {session['visits']} of {user}\n")


@require_POST
def login(request):
    request.session["user"] = request.POST["name"]
    return HttpResponse("welcome\n")


@require_POST
def logout(request):
    request.session.destroy()
    return HttpResponse("good bye\n")


urlpatterns = [path("", index), path("login", login), path("logout", logout)]

settings.configure(
    SECRET_KEY=os.environ["SECRET_KEY"],
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[f"{__name__}.find_session"],
)

# Whenever session["user"] changes, the visitor gets a new session id.
sessions = SessionManager.from_env(user_key="user")
application = SessionMiddleware(get_wsgi_application(), sessions)

if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8000"))
    with make_server("127.0.0.1", port, application) as server:
        print(f"http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()
