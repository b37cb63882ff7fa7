"""Tries every order in which the Redis commands of a few requests can be carried out,
and holds what came out against what the library promises.

.. code-block:: console

    $ python -m tests.explorer                       # all of it, some minutes
    $ python -m tests.explorer --family anonymous    # one family
    $ python -m tests.explorer --replay "anonymous: login | write" "A B B A A"

Two requests that overlap touch each other only in Redis, and Redis carries out one
command at a time. So the orders of their commands are all that can happen, and there
are few enough to try each one: a request is a whole WSGI call in a greenlet, which
hands over to the scheduler before each command. What it computes between two commands
nobody else can see, so nothing is gained by stopping it there as well. Lost replies,
retries and killed workers are more ways in which one command can go.

``wire``
    one connection to a real server, the clock, and how both are put back;
``schedule``, ``choices``
    who goes next, and all the ways to decide it;
``request``, ``operations``
    a WSGI call that notes what its application does and sees, and what
    applications do;
``grounds``, ``site``
    what is there before the first request: options, a session, its cookie;
``scenarios``, ``meetings``
    which requests meet on which ground;
``history``, ``promises``, ``renewals``, ``logins``
    what happened, seen from outside, and the promises;
``play``, ``report``
    one schedule after the other, and what was found.
"""
