"""What a request did to a session, and how two versions of one session merge."""

from __future__ import annotations

import collections.abc as cabc
import typing as t


class Changes(t.NamedTuple):
    """What a request did to a session, compared with what it had loaded."""

    #: All names and packed values, as this request sees them.
    packed: cabc.Mapping[str, bytes]
    #: Names that were added or got another value.
    changed: list[str]
    #: Names that were removed.
    removed: list[str]

    def __repr__(self) -> str:
        return f"<Changes to {len(self.names)} names>"

    @classmethod
    def between(
        cls, base: cabc.Mapping[str, bytes], packed: cabc.Mapping[str, bytes]
    ) -> Changes:
        """What turns one into the other."""
        changed = [name for name in packed if packed[name] != base.get(name)]
        return cls(packed, changed, [name for name in base if name not in packed])

    @property
    def names(self) -> list[str]:
        """All names that were changed or removed."""
        return [*self.changed, *self.removed]

    def words(self, before: cabc.Mapping[str, bytes] | None) -> list[bytes]:
        """The names, and if asked for what each of them stood for before."""
        words = [name.encode() for name in (*self.changed, *self.removed)]
        if before is not None:
            words += [before.get(name, b"") for name in self.names]
        return words

    def onto(self, theirs: cabc.Mapping[str, bytes]) -> dict[str, bytes]:
        """Merge: these changes applied to what another request has stored.

        Names that are stored stay in their order, new ones follow in ours.
        """
        merged = {
            name: packed for name, packed in theirs.items() if name not in self.removed
        }
        merged.update((name, self.packed[name]) for name in self.changed)
        return merged
