"""Small applications: one for every way in which PEP 3333 lets one respond.

Each asks ``step(environ)`` for its body, at the last moment at which that may still
change the headers: right before the first byte.
"""

from __future__ import annotations

import collections.abc as cabc
import io
import sys
import typing as t
from wsgiref.util import FileWrapper

Environ = dict[str, t.Any]
App = cabc.Callable[[Environ, t.Any], t.Any]
Step = cabc.Callable[[Environ], bytes]
Shape = cabc.Callable[[Step], App]

TEXT = ("Content-Type", "text/plain")

#: By name. What they send is the step's answer, once, unless the name says otherwise.
SHAPES: dict[str, Shape] = {}


def shape(make: Shape) -> Shape:
    SHAPES[make.__name__] = make
    return make


def plain(body: cabc.Callable[[Environ], t.Any]) -> App:
    """An application that answers 200 with this body."""

    def app(environ: Environ, start_response: t.Any) -> t.Any:
        start_response("200 OK", [TEXT])
        return body(environ)

    return app


@shape
def list_(step: Step) -> App:
    return plain(lambda environ: [step(environ)])


@shape
def tuple_(step: Step) -> App:
    return plain(lambda environ: (step(environ),))


@shape
def list_of_three(step: Step) -> App:
    return plain(lambda environ: [step(environ), b"", b"."])


@shape
def list_with_content_length(step: Step) -> App:
    def app(environ: Environ, start_response: t.Any) -> t.Any:
        body = step(environ)
        start_response("200 OK", [TEXT, ("Content-Length", str(len(body)))])
        return [body]

    return app


@shape
def empty_list(step: Step) -> App:
    def body(environ: Environ) -> list[bytes]:
        step(environ)
        return []

    return plain(body)


@shape
def generator(step: Step) -> App:
    """Nothing of it runs before the server iterates."""

    def app(environ: Environ, start_response: t.Any) -> t.Any:
        start_response("200 OK", [TEXT])
        yield step(environ)
        yield b"."

    return app


@shape
def generator_after_start(step: Step) -> App:
    def body(environ: Environ) -> cabc.Iterator[bytes]:
        yield step(environ)
        yield b"."

    return plain(body)


@shape
def generator_of_nothing(step: Step) -> App:
    def body(environ: Environ) -> cabc.Iterator[bytes]:
        step(environ)
        yield from ()

    return plain(body)


@shape
def generator_of_an_empty_part_first(step: Step) -> App:
    def body(environ: Environ) -> cabc.Iterator[bytes]:
        data = step(environ)
        yield b""
        yield data

    return plain(body)


@shape
def map_(step: Step) -> App:
    return plain(lambda environ: map(step, [environ]))


@shape
def class_(step: Step) -> App:
    """The class of PEP 3333's example, whose instances are the body."""

    class Application:
        def __init__(self, environ: Environ, start_response: t.Any) -> None:
            self.environ = environ
            self.start = start_response

        def __iter__(self) -> cabc.Iterator[bytes]:
            self.start("200 OK", [TEXT])
            yield step(self.environ)

    return Application


class LazyBody:
    """Its only part is made when it is iterated over, but it knows how many it has."""

    def __init__(self, step: cabc.Callable[[], bytes]) -> None:
        self.step = step

    def __iter__(self) -> cabc.Iterator[bytes]:
        yield self.step()

    def __len__(self) -> int:
        return 1


@shape
def sized(step: Step) -> App:
    return plain(lambda environ: LazyBody(lambda: step(environ)))


@shape
def sized_and_lazy(step: Step) -> App:
    def app(environ: Environ, start_response: t.Any) -> LazyBody:
        def start() -> bytes:
            start_response("200 OK", [TEXT])
            return step(environ)

        return LazyBody(start)

    return app


@shape
def sequence_protocol(step: Step) -> App:
    class Body:
        def __init__(self, environ: Environ) -> None:
            self.environ = environ

        def __getitem__(self, index: int) -> bytes:
            if index:
                raise IndexError
            return step(self.environ)

    return plain(Body)


@shape
def list_that_is_made_when_iterated(step: Step) -> App:
    class Body(list[bytes]):
        def __init__(self, environ: Environ) -> None:
            self.environ = environ

        def __iter__(self) -> cabc.Iterator[bytes]:
            yield step(self.environ)

    return plain(Body)


@shape
def written(step: Step) -> App:
    def app(environ: Environ, start_response: t.Any) -> list[bytes]:
        write = start_response("200 OK", [TEXT])
        write(step(environ))
        return []

    return app


@shape
def written_and_returned(step: Step) -> App:
    def app(environ: Environ, start_response: t.Any) -> list[bytes]:
        write = start_response("200 OK", [TEXT])
        write(step(environ))
        return [b".", b"."]

    return app


@shape
def written_and_generated(step: Step) -> App:
    def app(environ: Environ, start_response: t.Any) -> cabc.Iterator[bytes]:
        write = start_response("200 OK", [TEXT])
        write(step(environ))
        return iter([b".", b"."])

    return app


@shape
def error_page(step: Step) -> App:
    """It replaces the head of which nothing has left yet."""

    def app(environ: Environ, start_response: t.Any) -> list[bytes]:
        start_response("200 OK", [TEXT])
        try:
            raise ArithmeticError
        except ArithmeticError:
            start_response("500 Sorry", [TEXT], sys.exc_info())
        return [step(environ)]

    return app


@shape
def generated_error_page(step: Step) -> App:
    def app(environ: Environ, start_response: t.Any) -> cabc.Iterator[bytes]:
        start_response("200 OK", [TEXT])
        try:
            raise ArithmeticError
        except ArithmeticError:
            start_response("500 Sorry", [TEXT], sys.exc_info())
        yield step(environ)

    return app


@shape
def file(step: Step) -> App:
    """Sent by the server's own means, where it has any."""

    def body(environ: Environ) -> t.Any:
        wrap = environ.get("wsgi.file_wrapper", FileWrapper)
        return wrap(io.BytesIO(step(environ)))

    return plain(body)
