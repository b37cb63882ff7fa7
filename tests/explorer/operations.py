"""What applications do with a session in one request."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from .request import Request

Action = cabc.Callable[[Request], object]

#: What the form holds that the browser was sent before.
FORM_TOKEN = "token"


class Operation(t.NamedTuple):
    """An operation: what the application does before it answers, and what while the
    body streams; or what is done from outside, without any request."""

    name: str
    act: Action
    late: Action | None = None
    outside: Action | None = None


def _read(request: Request) -> None:
    request.look()


def _write(request: Request) -> None:
    request.look()
    request.assign("x")


def _note(request: Request) -> None:
    request.look()
    request.assign(request.name)


def _nest(request: Request) -> None:
    request.look()
    cart = request.session.setdefault("cart", [])
    cart.append(request.name)
    request.assigned["cart"] = tuple(cart)


def _delete(request: Request) -> None:
    request.look()
    request.remove("old")


def _clear(request: Request) -> None:
    request.look()
    request.clear()


def _add(request: Request) -> None:
    _note(request)
    request.session["sum"] = request.session.get("sum", 0) + 1


def _force(request: Request) -> None:
    request.look()
    request.session.modified = True


def _permanent(request: Request) -> None:
    request.look()
    request.make_permanent(True)


def _temporary(request: Request) -> None:
    request.look()
    request.make_permanent(False)


def _regenerate(request: Request) -> None:
    request.look()
    request.regenerate()


def _renew(request: Request) -> None:
    _note(request)
    request.regenerate()


def _login(request: Request) -> None:
    _note(request)
    request.assign(request.user, "u1")


def _form(request: Request) -> None:
    if request.look().get("csrf") != FORM_TOKEN:
        request.refused = True
        return
    request.assign(request.user, "u1")
    request.assign(request.name)


def _remember(request: Request) -> None:
    # The cookie that remembers the user is sent with every request.
    if request.user not in request.look():
        request.assign(request.user, "u1")
        request.assign(request.name)


def _enter(request: Request) -> None:
    _login(request)
    request.regenerate()


def _enter_by_form(request: Request) -> None:
    _form(request)
    if not request.refused:
        request.regenerate()


def _switch(request: Request) -> None:
    _note(request)
    request.assign(request.user, "u2")
    # The same value as before counts as assigned, too.
    request.assign("same", "0")


def _replace(request: Request) -> None:
    request.look()
    request.clear()
    request.assign(request.user, "u2")
    request.assign(request.name)


def _destroy(request: Request) -> None:
    request.look()
    request.destroy()


def _farewell(request: Request) -> None:
    _destroy(request)
    request.assign(request.name)


def _logout(request: Request) -> None:
    request.look()
    request.remove(request.user)


def _revoke(request: Request) -> None:
    assert request.revoked is not None
    request.sessions.revoke(request.revoked)


def _revoke_user(request: Request) -> None:
    request.sessions.revoke_user("u1")


def _revoke_others(request: Request) -> None:
    request.look()
    request.sessions.revoke_user("u1", keep=request.session)
    request.assign(request.name)


def _change_password(request: Request) -> None:
    _revoke_others(request)
    request.regenerate()


def _login_and_revoke(request: Request) -> None:
    _login(request)
    request.sessions.revoke_user("u1", keep=request.session)


def _look_again(request: Request) -> None:
    request.look()


def _write_late(request: Request) -> None:
    request.look()
    request.assign(request.name)


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("read", _read),
        Operation("write", _write),
        Operation("note", _note),
        Operation("nest", _nest),
        Operation("delete", _delete),
        Operation("clear", _clear),
        Operation("add", _add),
        Operation("force", _force),
        Operation("permanent", _permanent),
        Operation("temporary", _temporary),
        Operation("regenerate", _regenerate),
        Operation("renew", _renew),
        Operation("login", _login),
        Operation("form", _form),
        Operation("remember", _remember),
        Operation("enter", _enter),
        Operation("enter form", _enter_by_form),
        Operation("switch", _switch),
        Operation("replace", _replace),
        Operation("destroy", _destroy),
        Operation("farewell", _farewell),
        Operation("logout", _logout),
        Operation("revoke", _read, outside=_revoke),
        Operation("revoke user", _read, outside=_revoke_user),
        Operation("revoke others", _revoke_others),
        Operation("change password", _change_password),
        Operation("login and revoke", _login_and_revoke),
        Operation("read late", _read, late=_look_again),
        Operation("note, read late", _note, late=_look_again),
        Operation("write late", _read, late=_write_late),
    )
}
