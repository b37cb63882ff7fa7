"""The lists of what meets what, ground by ground."""

from __future__ import annotations

_ANYBODY = (
    "read; write; note; nest; delete; clear; force; permanent; temporary; regenerate; "
    "renew; destroy; farewell; revoke; read late; write late; note, read late"
)
_VISITOR = f"{_ANYBODY}; login; form; remember; enter; logout"
_MEMBER = f"{_ANYBODY}; login; remember; logout; switch; replace; enter"
_PLAIN = f"{_ANYBODY}; enter; enter form; logout"
_USERS = (
    "read; note; permanent; regenerate; login; logout; switch; destroy; revoke user; "
    "revoke others; change password"
)
_ADDERS = "read; add; write; delete; regenerate; destroy"

#: What is left out where the same was tried on a similar ground.
LESS = {"clear", "enter", "farewell", "force", "nest", "renew", "temporary", "write"}

#: And besides, where a migration takes many commands of which each may go wrong.
LEAST = {"form", "note, read late", "permanent", "read late", "replace"}

#: What requests do on each ground, two at a time.
PAIRS = {
    "anonymous": _VISITOR,
    "member": _MEMBER,
    "plain": _PLAIN,
    "plain member": _PLAIN,
    "sums": f"{_ADDERS}; login",
    "plain sums": f"{_ADDERS}; enter",
    "due": _VISITOR,
    "due member": _MEMBER,
    "permanent": _MEMBER,
    "rotating": _VISITOR,
    "rotating member": _MEMBER,
    "rotating sums": f"{_ADDERS}; enter",
    "foreign": _VISITOR,
    "foreign member": _MEMBER,
    "foreign sums": f"{_ADDERS}; enter",
    "visitor of users": "note; login; destroy; revoke user; login and revoke",
    "users": _USERS,
    "due users": _USERS,
    "rotating users": _USERS,
    "foreign users": "read; note; login; logout; destroy; revoke user; revoke others",
    "limited users": "note; login; logout; switch; destroy; regenerate; revoke user",
    "flask": "read; note; nest; login; form; remember; destroy; write late",
    "flask member": "read; note; login; logout; switch; destroy; permanent; temporary",
}

#: Three at a time. Somebody renews the session id, or everybody does.
TRIPLES = {
    "anonymous": """
        login | note | write
        login | write | delete
        login | nest | write late
        login | regenerate | note
        login | destroy | note
        login | revoke | note
        login | permanent | note
        regenerate | note | write
        renew | delete | note
        form | form | note
        form | form | destroy
        remember | remember | remember
        remember | remember | destroy
        login | eve regenerate | note
        login | eve note | eve regenerate
        login | eve login | note
        login | eve write late | note
        login | eve note, read late | note
        login | eve destroy | note
        form | eve form | read
    """,
    "member": """
        switch | note | write
        switch | delete | write late
        switch | logout | note
        switch | switch | note
        replace | note | delete
        logout | remember | note
        logout | regenerate | note
        logout | eve note | eve read late
        destroy | regenerate | note
        destroy | remember | note
        destroy | revoke | regenerate
        regenerate | note | delete
        regenerate | regenerate | note
        regenerate | eve renew | note
    """,
    "plain": """
        enter | enter | note
        enter | note | delete
        enter | destroy | note
        enter form | enter form | note
        enter | eve enter | note
        enter | eve regenerate | note
        enter | eve write late | read
    """,
    "sums": """
        login | add | add
        regenerate | add | add
        add | add | add
        add | add | destroy
    """,
    "plain sums": """
        enter | add | add
        add | add | delete
    """,
    "due": """
        login | read | note
        form | form | read
        login | read | destroy
    """,
    "rotating": """
        note | write | delete
        note | login | read
        read | form | form
        note | regenerate | write
        read | remember | remember
        note | eve regenerate | login
    """,
    "rotating member": """
        read | note | destroy
        note | logout | read
        note | switch | read
        read | read | read
    """,
    "rotating sums": """
        add | add | add
        add | add | enter
    """,
    "foreign": """
        read | read | read
        note | read | login
        read | form | form
        read | eve read | login
    """,
    "foreign member": """
        read | note | destroy
        read | note | logout
        read | read | note
        read | eve note | switch
    """,
    "visitor of users": """
        login | revoke user | destroy
        fresh login | fresh login | revoke user
        fresh login | login | revoke user
        fresh login | revoke user | revoke user
        fresh login | fresh login and revoke
        fresh login | login and revoke
    """,
    "users": """
        fresh login | revoke user
        fresh login | revoke others
        fresh login | change password
        fresh login | note | revoke user
        fresh login | regenerate | revoke user
        fresh login | logout | revoke user
        regenerate | note | revoke user
        regenerate | regenerate | revoke user
    """,
    "limited users": """
        fresh login | note
        fresh login | regenerate
        fresh login | logout
        fresh login | fresh login
        fresh login | fresh login | note
        fresh login | revoke user
    """,
    "foreign sums": """
        add | add | read
        add | add | enter
    """,
    "flask": """
        read | form | form
        note | login | read
    """,
}

#: Somebody has been given a new cookie, and then it is used beside the old one.
AFTER = {
    "anonymous": """
        login > jar note | eve destroy
        login > jar note | eve regenerate
        login > jar note | eve note
        login > jar note | eve login
        login > jar read late | eve write late
        login > jar regenerate | eve destroy
        login > jar regenerate | eve regenerate
        login > jar regenerate | jar note
        login > jar logout | jar note
        login > jar logout | eve login
        login > jar destroy | eve note
        login > jar destroy | jar regenerate
        login > jar switch | eve note
        regenerate > jar login | eve destroy
        regenerate > jar login | eve login
        fresh remember | fresh remember
        fresh note | fresh note
        fresh remember | fresh remember | fresh remember
    """,
    "member": """
        regenerate > jar note | eve destroy
        regenerate > jar regenerate | eve destroy
        regenerate > jar logout | eve note
        switch > jar note | eve destroy
        switch > jar logout | eve note
        logout > jar login | eve note
        logout > jar login | eve destroy
    """,
    "visitor of users": """
        login > revoke user > fresh login
        login > jar note | revoke user
        login > jar regenerate | revoke user
        login > jar regenerate | eve destroy
        revoke user > revoke user
        fresh login > revoke user > revoke user
        login > fresh login | revoke user
    """,
    "users": """
        revoke user > fresh login
        revoke user > revoke user
        regenerate > jar note | revoke user
        regenerate > jar revoke others
        fresh login > change password
        fresh login > revoke user > revoke user
        logout > jar login | revoke user
        switch > jar note | revoke user
        switch > jar regenerate | revoke user
    """,
    "rotating users": """
        read > jar note | revoke user
        read > note | revoke user
        read > jar regenerate | revoke user
    """,
    "limited users": """
        fresh login > fresh login
        fresh login > note | fresh login
        regenerate > fresh login > jar note
    """,
    "plain": """
        enter > jar note | eve destroy
        enter > jar note | eve regenerate
        enter > jar regenerate | eve enter
    """,
    "rotating": """
        read > jar note | note
        read > jar delete | write
        read > jar login | note
        read > jar login | eve login
        read > jar regenerate | note
        read > jar destroy | note
        read > jar note | eve destroy
    """,
    "rotating member": """
        read > read > jar destroy
        note > read > jar logout
        read > jar logout | note
        read > jar switch | note
        read > jar destroy | remember
        read > jar note | eve destroy
    """,
    "foreign": """
        read > jar note | note
        read > jar login | note
        read > jar login | eve login
        read > jar regenerate | note
        read > jar destroy | note
        read > jar note | eve destroy
    """,
    "foreign member": """
        read > read > jar destroy
        note > read > jar logout
        read > jar logout | note
        read > jar destroy | remember
        read > jar switch | note
    """,
}

#: How far the clock is moved, in seconds: what is measured in five seconds, in a
#: minute and in ten is not over, and over.
LATER = (2, 6, 61, 660)
