"""What can be known of MessagePack before anything is made of it."""

from __future__ import annotations

import collections.abc as cabc

#: How many bytes say how long the value is that follows.
_LENGTHS = dict(
    zip(b"\xc4\xc5\xc6\xc7\xc8\xc9\xd9\xda\xdb", (1, 2, 4) * 3, strict=True)
)

#: Extensions, floats, integers and extensions again, in the order of their tags.
_FIXED = (1, 1, 1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17)

#: How many bytes the value itself has, or has beside that; none where it is in the tag.
_SIZES = (
    dict(zip(range(0xC7, 0xD9), _FIXED, strict=True))
    | {0xA0 + size: size for size in range(32)}
    | dict.fromkeys((*range(0x80), *range(0xE0, 0x100), 0xC0, 0xC2, 0xC3), 0)
    | dict.fromkeys((0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB), 0)
)

#: Extensions: the number of their type is their first byte.
_EXTENSIONS = frozenset((*range(0xC7, 0xCA), *range(0xD4, 0xD9)))

#: How many bytes say how many values follow.
_ARRAYS, _MAPS = {0xDC: 2, 0xDD: 4}, {0xDE: 2, 0xDF: 4}


#: What a value begins with that others may stand in: all but strings of bytes or text.
_HEADS = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0), *_EXTENSIONS))


def most_levels(data: bytes) -> int:
    """At most how many levels of values stand in each other, found out at once."""
    return len(data) - len(data.translate(None, _HEADS))


def count_tuple_keys(data: bytes) -> int:
    """How many keys of dictionaries are tuples.

    Raises :exc:`LookupError` for what is no MessagePack.
    """
    return sum(is_tuple_key for _, is_tuple_key in _walk(data))


def count_levels(data: bytes, nesting: cabc.Container[int]) -> int:
    """How many levels of values stand in each other, those included that are in
    extensions of types that are ``nesting`` MessagePack.

    Raises :exc:`LookupError` for what is no MessagePack.
    """
    return max(level for level, _ in _walk(data, nesting))


def _walk(
    data: bytes, nesting: cabc.Container[int] = ()
) -> cabc.Iterator[tuple[int, bool]]:
    """Of each value, at which level it stands and whether it is an array that is a
    key."""
    at = 0
    # What is still to come at each level, whether every second of it is a key, and
    # where an extension ends.
    levels = [(1, False, 0)]
    while levels:
        left, is_map, end = levels.pop()
        if not left:
            if end and at != end:
                raise LookupError("an extension is not as long as it says")
            continue
        levels.append((left - 1, is_map, end))
        level, tag = len(levels), data[at]
        at += 1
        if tag in _SIZES:
            yield level, False
            head = _LENGTHS.get(tag, 0)
            end = at + head + int.from_bytes(data[at : at + head]) + _SIZES[tag]
            at += head
            if tag in _EXTENSIONS and data[at] in nesting:
                levels.append((1, False, end))
                at += 1
            else:
                at = end
            continue
        heads = _MAPS if tag in _MAPS or tag < 0x90 else _ARRAYS
        yield level, heads is _ARRAYS and is_map and left % 2 == 0
        head = heads.get(tag, 0)
        count = int.from_bytes(data[at : at + head]) if head else tag & 0xF
        at += head
        if heads is _MAPS:
            levels.append((2 * count, True, 0))
        else:
            levels.append((count, False, 0))
