"""What becomes of a session, by what a request wants and what has become of it already.

The tables are the policy. A row is what a request does, a column what it finds.
"""

from __future__ import annotations

import collections.abc as cabc
import itertools
import typing as t

import pytest

from wsgi_redis_session.lifetimes import ON_ITS_WAY
from wsgi_redis_session.model.record import State
from wsgi_redis_session.request.step import next_step
from wsgi_redis_session.request.step import Sight
from wsgi_redis_session.request.step import Step
from wsgi_redis_session.request.step import UserChange
from wsgi_redis_session.request.step import Wish

WISHES = {
    "reads": Wish(),
    "saves": Wish(saves=True),
    "empties it": Wish(saves=True, is_empty=True),
    "logs in": Wish(saves=True, user=UserChange.LOGIN),
    "changes the user": Wish(saves=True, user=UserChange.SWITCH),
    "logs out": Wish(saves=True, user=UserChange.LOGOUT),
    "logs out, empties it": Wish(saves=True, user=UserChange.LOGOUT, is_empty=True),
    "regenerates": Wish(renews=True),
    "regenerates, saves": Wish(renews=True, saves=True),
    # Without ``user_key``.
    "regenerates to log in": Wish(renews=True, saves=True, may_be_login=True),
    "destroys": Wish(ends=True),
    "destroys, saves": Wish(ends=True, saves=True),
    "rotates": Wish(rotates=True),
    "rotates, saves": Wish(rotates=True, saves=True),
    "adopts": Wish(adopts=True),
}

JUST_NOW, LONG_AGO = ON_ITS_WAY - 1, ON_ITS_WAY

SIGHTS = {
    "nothing": Sight(State.NEW),
    "live": Sight(State.LIVE),
    "moved": Sight(State.MOVED),
    # It was live when the request has loaded it, and is no more.
    "renewed": Sight(State.RENEWED, was_live=True, goes_on=True),
    "renewed,out": Sight(State.RENEWED, was_live=True, goes_on=False),
    "ended": Sight(State.ENDED, was_live=True),
    "gone": Sight(State.GONE, was_live=True),
    # The request has come with the old cookie.
    "renewed<5s": Sight(State.RENEWED, age=JUST_NOW, goes_on=True),
    "renewed>5s": Sight(State.RENEWED, age=LONG_AGO, goes_on=True),
    "renewed,out<5s": Sight(State.RENEWED, age=JUST_NOW, goes_on=False),
    "renewed,out>5s": Sight(State.RENEWED, age=LONG_AGO, goes_on=False),
    "ended<5s": Sight(State.ENDED, age=JUST_NOW),
    "ended>5s": Sight(State.ENDED, age=LONG_AGO),
}

#: What the request has loaded is still as it was.
UNDISTURBED = """
                       nothing  live    moved
reads                  KEEP     KEEP    KEEP
saves                  CREATE   SAVE    FOLLOW
empties it             KEEP     SAVE    FOLLOW
logs in                CREATE   RENEW   FOLLOW
changes the user       CREATE   RENEW   FOLLOW
logs out               CREATE   RENEW   FOLLOW
logs out, empties it   KEEP     END     FOLLOW
regenerates            CREATE   RENEW   FOLLOW
regenerates, saves     CREATE   RENEW   FOLLOW
regenerates to log in  CREATE   RENEW   FOLLOW
destroys               END      END     END
destroys, saves        END      END     END
rotates                -        MOVE    FOLLOW
rotates, saves         -        MOVE    FOLLOW
adopts                 -        MOVE    FOLLOW
"""

#: The same, when the headers have left: nothing is done that takes a cookie.
LATE = """
                       nothing  live    moved
reads                  KEEP     KEEP    KEEP
saves                  REFUSE   SAVE    FOLLOW
empties it             KEEP     SAVE    FOLLOW
logs in                REFUSE   REFUSE  FOLLOW
changes the user       REFUSE   REFUSE  FOLLOW
logs out               REFUSE   REFUSE  FOLLOW
logs out, empties it   KEEP     END     FOLLOW
regenerates            REFUSE   REFUSE  FOLLOW
regenerates, saves     REFUSE   REFUSE  FOLLOW
regenerates to log in  REFUSE   REFUSE  FOLLOW
destroys               END      END     END
destroys, saves        END      END     END
rotates                -        KEEP    FOLLOW
rotates, saves         -        SAVE    FOLLOW
adopts                 -        REFUSE  FOLLOW
"""

#: Somebody has renewed or ended the session since the request has loaded it.
OVERTAKEN = """
                       renewed  renewed,out  ended  gone
reads                  KEEP     KEEP         KEEP   KEEP
saves                  DROP     DROP         DROP   DROP
empties it             DROP     DROP         DROP   DROP
logs in                PART     DROP         DROP   DROP
changes the user       PART     DROP         DROP   DROP
logs out               END      END          DROP   DROP
logs out, empties it   END      END          DROP   DROP
regenerates            DROP     DROP         DROP   DROP
regenerates, saves     DROP     DROP         DROP   DROP
regenerates to log in  PART     DROP         DROP   DROP
destroys               END      END          END    END
destroys, saves        END      END          END    END
rotates                DROP     DROP         DROP   DROP
rotates, saves         DROP     DROP         DROP   DROP
adopts                 DROP     DROP         DROP   DROP
"""

#: The session was renewed, or has ended, before the request came with the old cookie.
#: Who has sent it may have sent it before he was given a new one.
STRAGGLING = """
                       renewed<5s  renewed>5s  ended<5s  ended>5s
reads                  KEEP        KEEP        KEEP      KEEP
saves                  DROP        CREATE      DROP      CREATE
empties it             DROP        CREATE      DROP      CREATE
logs in                CREATE      CREATE      DROP      CREATE
changes the user       CREATE      CREATE      DROP      CREATE
logs out               END         END         DROP      CREATE
logs out, empties it   END         END         DROP      CREATE
regenerates            KEEP        KEEP        KEEP      KEEP
regenerates, saves     DROP        CREATE      DROP      CREATE
regenerates to log in  CREATE      CREATE      DROP      CREATE
destroys               END         END         END       END
destroys, saves        END         END         END       END
"""

#: Such a session has ended after it was renewed.
STRAGGLING_AFTER_A_LOGOUT = """
                       renewed,out<5s  renewed,out>5s
reads                  KEEP            KEEP
saves                  DROP            CREATE
logs in                DROP            CREATE
changes the user       DROP            CREATE
logs out               END             END
regenerates            KEEP            KEEP
regenerates, saves     DROP            CREATE
regenerates to log in  DROP            CREATE
destroys               END             END
"""


def cells(table: str, *, is_late: bool = False) -> cabc.Iterator[t.Any]:
    """The cases of a table; where it says "-" there is none."""
    head, *rows = table.strip("\n").split("\n")
    for row in rows:
        wish = row[:21].strip()
        for sight, step in zip(head.split(), row[21:].split(), strict=True):
            if step != "-":
                yield pytest.param(
                    WISHES[wish]._replace(is_late=is_late),
                    SIGHTS[sight],
                    Step[step],
                    id=f"{wish}: {sight}{', late' * is_late}",
                )


@pytest.mark.parametrize(
    ("wish", "sight", "step"),
    [
        *cells(UNDISTURBED),
        *cells(LATE, is_late=True),
        *cells(OVERTAKEN),
        *cells(STRAGGLING),
        *cells(STRAGGLING_AFTER_A_LOGOUT),
    ],
)
def test_request_takes_the_step_of_the_table(
    wish: Wish, sight: Sight, step: Step
) -> None:
    assert next_step(wish, sight) is step


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
@pytest.mark.parametrize("sight", SIGHTS.values(), ids=SIGHTS)
def test_late_request_does_what_any_does_but_for_what_takes_a_cookie(
    wish: Wish, sight: Sight
) -> None:
    step = next_step(wish, sight)
    late = next_step(wish._replace(is_late=True), sight)
    if step in (Step.CREATE, Step.PART, Step.RENEW):
        # A new session that would hold nothing takes no cookie.
        is_nothing = wish.is_empty and step is not Step.RENEW
        assert late is (Step.KEEP if is_nothing else Step.REFUSE)
    elif step is Step.MOVE:
        can_wait = wish.rotates
        without = next_step(wish._replace(rotates=False), sight)
        assert late is (without if can_wait else Step.REFUSE)
    else:
        assert late is step


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
@pytest.mark.parametrize("sight", SIGHTS.values(), ids=SIGHTS)
def test_redis_is_asked_only_for_what_decides(wish: Wish, sight: Sight) -> None:
    unasked = sight._replace(age=None, goes_on=None)
    step = next_step(wish, unasked)
    if step is Step.ASK_SUCCESSOR:
        answers = {
            next_step(wish, sight._replace(goes_on=goes_on, age=age))
            for goes_on, age in itertools.product([True, False], [JUST_NOW, LONG_AGO])
        }
        assert len(answers) > 1
    elif step is Step.ASK_AGE:
        answers = {
            next_step(wish, sight._replace(age=age)) for age in (JUST_NOW, LONG_AGO)
        }
        assert answers == {Step.DROP, Step.CREATE}
    else:
        assert step is next_step(wish, sight)
