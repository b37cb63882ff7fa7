"""The requests that the page's buttons send, to this library and to the naive store."""

from __future__ import annotations

import dataclasses
import functools

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import GatewayTimeout
from werkzeug.exceptions import NotFound
from werkzeug.routing import Rule
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from ..manager import SessionManager
from ..middleware import get_session
from . import acts
from . import devices
from .forgery import attempts
from .forgery import own_cookie
from .gates import Gates
from .naive import NaiveStore
from .page import as_json
from .server import Switch
from .window import Feed

#: What stands behind the names of the library's keys and cookie.
_NAIVE = "naive"

_LONGEST = 100


class Experiments:
    """Answers what the experiments' scripts send."""

    def __init__(
        self,
        sessions: SessionManager,
        feed: Feed,
        gates: Gates,
        switch: Switch | None,
    ) -> None:
        self._sessions = sessions
        self._switch = switch
        self._feed = feed
        self._gates = gates
        self._naive = NaiveStore(
            sessions.store.transport,
            f"{sessions.store.key_prefix.rstrip(':')}-{_NAIVE}:",
            f"{sessions.config.cookie_name}_{_NAIVE}",
        )

    def rules(self) -> list[Rule]:
        """Their addresses."""
        endpoints = {
            "/try/<any(ours, naive):lane>/<act>": self._try,
            "/gate/gather": self._gather,
            "/gate/open": self._open,
            "/device/login": self._device_login,
            "/device/look": self._device_look,
            "/device/list": self._device_list,
            "/device/elsewhere": self._elsewhere,
            "/forge": self._forge,
            "/server/<any(stop, start):action>": self._turn,
        }
        return [
            Rule(path, endpoint=endpoint, methods=["POST"])
            for path, endpoint in endpoints.items()
        ]

    def _try(self, request: Request, lane: str, act: str) -> Response:
        """The same act, with a session of either kind."""
        answer = functools.partial(self._answer, request.form, act)
        if lane == _NAIVE:
            return self._naive.answer(request, answer)
        return answer(get_session(request.environ))

    def _answer(
        self, form: MultiDict[str, str], act: str, session: acts.AnySession
    ) -> Response:
        wait = functools.partial(self._gates.stand, form.get("gate", ""))
        match act:
            case "setting":
                name, value = form["name"], _text(form, "value")
                if name not in acts.NAMES:
                    raise BadRequest(f"No experiment writes {name!r}.")
                acts.save_setting(session, name, value, wait)
            case "draft":
                acts.write_draft(session, wait)
            case "poll":
                acts.poll(session, wait)
            case "login":
                acts.log_in(session, _text(form, "user"))
            case "logout":
                acts.log_out(session)
            case "forget":
                acts.forget(session)
            case "look":
                pass
            case _:
                raise NotFound
        return _json(acts.look(session))

    def _gather(self, request: Request) -> Response:
        number = request.form.get("number", 1, type=int)
        if not self._gates.gather(request.form["gate"], number):
            raise GatewayTimeout("The requests did not come.")
        return _json({})

    def _open(self, request: Request) -> Response:
        self._gates.open(request.form["gate"])
        return _json({})

    def _device_login(self, request: Request) -> Response:
        device = request.form["device"]
        try:
            cookie = devices.log_in(self._sessions, _user(request), device)
        except KeyError:
            raise BadRequest(f"There is no {device!r}.") from None
        return _json({"cookie": cookie})

    def _device_look(self, request: Request) -> Response:
        user = devices.who(self._sessions, request.form["cookie"])
        return _json({"user": user})

    def _device_list(self, request: Request) -> Response:
        session = get_session(request.environ)
        infos = self._sessions.of_user(_user(request), current=session)
        return _json([devices.shown(info) for info in infos])

    def _elsewhere(self, request: Request) -> Response:
        _user(request)
        session = get_session(request.environ)
        return _json({"ended": acts.log_out_elsewhere(self._sessions, session)})

    def _forge(self, request: Request) -> Response:
        cookie = own_cookie(self._sessions, request.environ)
        if not cookie:
            raise BadRequest("There is no cookie yet that somebody could change.")
        found = attempts(self._sessions, cookie)
        return _json([dataclasses.asdict(attempt) for attempt in found])

    def _turn(self, request: Request, action: str) -> Response:
        if self._switch is None:
            raise NotFound("The server is not the demo's own.")
        if action == "stop":
            self._switch.stop()
        else:
            self._switch.start()
        self._feed.publish()
        return _json({})


def _user(request: Request) -> str:
    user: str | None = get_session(request.environ).get("user")
    if user is None:
        raise BadRequest("Nobody is logged in.")
    return user


def _text(form: MultiDict[str, str], field: str) -> str:
    text = form[field]
    if not 0 < len(text) <= _LONGEST:
        raise BadRequest(f"The field {field!r} takes 1 to {_LONGEST} characters.")
    return text


def _json(value: object) -> Response:
    return Response(as_json(value), mimetype="application/json")
