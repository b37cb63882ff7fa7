"""A response's body, for doors that have no middleware around them."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from .exchange import Exchange


def end_with_body(exchange: Exchange) -> None:
    """A whole body was closed, perhaps by another application, for its own response."""
    if not exchange.has_left:
        exchange.ends_with_body = False
        return
    try:
        if exchange.draft is not None:
            exchange.save_late()
    finally:
        exchange.close()


class SavedBody:
    """A response's body, at whose end is saved what has changed since it began."""

    def __init__(self, body: cabc.Iterable[t.Any], exchange: Exchange) -> None:
        self._body = body
        self._exchange = exchange
        self._iterator: cabc.Iterator[t.Any] | None = None

    def __iter__(self) -> t.Self:
        return self

    def __next__(self) -> t.Any:
        self._exchange.close_headers()
        try:
            if self._iterator is None:
                self._iterator = iter(self._body)
            return next(self._iterator)
        except StopIteration:
            self._exchange.save_late()
            raise
        except BaseException:
            self._exchange.abandon()
            raise

    def close(self) -> None:
        """Close the body, however far it was read; the request is over then."""
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        finally:
            self._exchange.save_and_close()
