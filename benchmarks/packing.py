"""What it costs to seal values, and what compression gains.

.. code-block:: console

    $ python benchmarks/packing.py

The first table is the time that ``encrypt`` adds to a read and to a write of a session,
in microseconds: the best of many runs, because everything else on the machine only adds
to it. A read opens the data key and every value; a write seals the values that have
changed; a new session and a closing renewal draw and wrap a data key as well. "1 KB in
one value" has room for at most 6 microseconds a direction.

The second one is what libraries make of a shopping cart, and how long they take for
that; those that the standard library does not have are measured if they are installed.
"""

from __future__ import annotations

import bz2
import collections.abc as cabc
import importlib
import lzma
import random
import secrets
import sys
import timeit
import typing as t
import zlib

import ormsgpack

from wsgi_redis_session.model.record import Record
from wsgi_redis_session.model.seal import Seal
from wsgi_redis_session.store import layout

#: Names and bytes of each value.
SHAPES = {
    "1 KB in one value": (1, 1024),
    "1 KB in 10 values": (10, 102),
    "20 KB in one value": (1, 20 * 1024),
    "20 KB in 10 values": (10, 2048),
}

#: Things in a cart.
CARTS = (1, 3, 7, 14, 35, 140)

_WORDS = "alpha bravo charlie delta echo foxtrot golf hotel india juliet".split()  # noqa: SIM905


def microseconds(action: cabc.Callable[[], object]) -> float:
    """The best of many runs."""
    timer = timeit.Timer(action)
    number = max(1, int(0.002 / max(timer.timeit(1), 1e-7)))
    return min(timer.repeat(200, number)) / number * 1e6


def sealing(names: int, size: int) -> list[float]:
    """What a read and two kinds of write take longer than without."""
    seal = Seal([b"a secret"], "sessions:", accepts_plain=False)
    packed = {f"name{n}": secrets.token_bytes(size) for n in range(names)}
    fresh = Record.fresh(1_800_000_000_000).revised(packed, False)
    owner = fresh.sid, fresh.id, fresh.drawn
    plain, sealed = layout.write(fresh), layout.write(seal.close(fresh))
    loaded = seal.open(layout.read(sealed), *owner)
    changed = {**loaded.packed, "name0": secrets.token_bytes(size)}
    saved, saved_plainly = loaded.revised(changed, False), fresh.revised(changed, False)
    return [
        microseconds(lambda: seal.open(layout.read(sealed), *owner))
        - microseconds(lambda: layout.read(plain).under(*owner)),
        microseconds(lambda: layout.write(seal.close(saved)))
        - microseconds(lambda: layout.write(saved_plainly)),
        microseconds(lambda: layout.write(seal.close(fresh)))
        - microseconds(lambda: layout.write(fresh)),
    ]


def cart(size: int) -> bytes:
    """What a shop keeps."""
    draw = random.Random(size)
    return ormsgpack.packb(
        [
            {
                "sku": f"{draw.getrandbits(64):016x}",
                "title": " ".join(draw.choices(_WORDS, k=4)),
                "quantity": draw.randint(1, 9),
                "price": draw.randint(100, 99_999),
                "colour": draw.choice(_WORDS),
            }
            for _ in range(size)
        ]
    )


def libraries() -> cabc.Iterator[tuple[str, t.Any, t.Any]]:
    """How each packs and unpacks."""
    for level in (1, 6, 9):
        yield (
            f"zlib {level}",
            lambda data, at=level: zlib.compress(data, at),
            (zlib.decompress),
        )
    yield "bz2", bz2.compress, bz2.decompress
    yield "lzma", lzma.compress, lzma.decompress
    for name, options in (("zstandard", {"level": 3}), ("lz4.frame", {})):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        if name == "zstandard":
            packing = module.ZstdCompressor(**options)
            yield name, packing.compress, module.ZstdDecompressor().decompress
        else:
            yield name, module.compress, module.decompress


def main() -> int:
    print(f"Python {sys.version.split()[0]}; microseconds that encrypt adds")
    print(f"{'':24}{'read':>10}{'write':>10}{'new':>10}")
    for title, shape in SHAPES.items():
        row = sealing(*shape)
        print(f"{title:24}" + "".join(f"{number:10.1f}" for number in row))
    print(f"\n{'library':12}{'bytes':>8}{'packed':>8}{'pack us':>10}{'unpack us':>10}")
    for size in CARTS:
        data = cart(size)
        for name, pack, unpack in libraries():
            packed = pack(data)
            times = [
                microseconds(lambda pack=pack, data=data: pack(data)),
                microseconds(lambda unpack=unpack, packed=packed: unpack(packed)),
            ]
            figures = "".join(f"{number:10.1f}" for number in times)
            print(f"{name:12}{len(data):8}{len(packed):8}{figures}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
