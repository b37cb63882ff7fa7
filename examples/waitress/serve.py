"""Serve the application of app.py with sessions."""

import os

from app import application
from waitress import serve

from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware

# SECRET_KEY, SESSION_REDIS and SESSION_<OPTION> of the environment.
sessions = SessionManager.from_env()

if __name__ == "__main__":
    listen = os.environ.get("LISTEN", "127.0.0.1:8000")
    serve(SessionMiddleware(application, sessions), listen=listen, threads=8)
