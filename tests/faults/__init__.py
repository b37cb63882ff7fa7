"""What becomes of sessions when Redis fails, under load.

.. code-block:: console

    $ python -m tests.faults [FAULT ...] [--site ours|bare|flask-session]
    $ python -m tests.faults.soak [--seconds N]
    $ python -m tests.faults.history [--requests N]

The first prints a line for each fault: fifty visitors use a site under gunicorn, others
its pages without a session, and then a server is killed, hangs, is replaced, and so on.
The second does everything at once for ten minutes and looks at what is left; the third
looks at the order of what many requests have stored. They run the Redis or Valkey that
:class:`~wsgi_redis_session.local_server.LocalServer` finds. ``test_faults.py`` is a
short form in this process; it knows no figure that depends on how fast the machine is.
"""
