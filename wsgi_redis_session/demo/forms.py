"""What the page's forms send, and who may send them."""

from __future__ import annotations

import json
import typing as t
from urllib.parse import urlsplit

from werkzeug.exceptions import BadRequest
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Request

#: How deep what a visitor enters as JSON may be nested.
_MAX_DEPTH = 8


def refuse_foreign(request: Request) -> None:
    """Keep the forms of other sites from acting for a visitor.

    SameSite=Lax does most of it, but to it all ports of a host are one site, and a
    login needs no cookie. A client that sends neither header is no browser.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        is_own = site in ("same-origin", "none")
    else:
        is_own = origin is None or urlsplit(origin).netloc == request.host
    if not is_own:
        raise Forbidden("This form was sent by another site.")


def text_of(request: Request, field: str, longest: int) -> str:
    """A field that has to be there, in so many characters at most."""
    text = request.form.get(field, "").strip()
    if not 0 < len(text) <= longest:
        raise BadRequest(f"The field {field!r} takes 1 to {longest} characters.")
    return text


def nested(text: str) -> t.Any:
    """What a visitor has entered: a list or an object of JSON is one, all else text."""
    if text[:1] not in ("[", "{") or text.count("[") + text.count("{") > _MAX_DEPTH:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
