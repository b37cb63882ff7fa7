# For worker_class = "gevent", first: from gevent import monkey; monkey.patch_all()
from wsgi_redis_session import SessionManager
from wsgi_redis_session import SessionMiddleware

wsgi_app = "app:app"
workers = 2
threads = 4

# SECRET_KEY, SESSION_REDIS and SESSION_<OPTION> of the environment.
sessions = SessionManager.from_env()


def post_worker_init(worker):
    worker.wsgi = SessionMiddleware(worker.wsgi, sessions)
