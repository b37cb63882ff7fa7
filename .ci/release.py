"""Builds what is released into ``dist``: from the commit that is checked out, and byte
for byte the same wherever and whenever that is done.

.. code-block:: console

    $ pip install build
    $ python .ci/release.py
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

PROJECT = pathlib.Path(__file__).parents[1]
DIST = PROJECT / "dist"


def git(*arguments: str) -> bytes:
    return subprocess.run(  # noqa: S603  # all of it stands here
        ["git", *arguments],  # noqa: S607  # whichever git there is
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout


def build(source: str, when: int) -> None:
    """Build from a directory that has nothing but what is committed."""
    with tarfile.open(fileobj=io.BytesIO(git("archive", "HEAD"))) as archive:
        archive.extractall(source, filter="data")
    subprocess.run(  # noqa: S603  # all of it stands here
        [sys.executable, "-m", "build", "--outdir", str(DIST), source],
        env={**os.environ, "SOURCE_DATE_EPOCH": str(when)},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def normalize(sdist: pathlib.Path, when: int) -> None:
    """Take out of a source distribution who has built it, and when."""
    packed = io.BytesIO()
    with (
        tarfile.open(sdist) as old,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            member.mtime, member.uid, member.gid = when, 0, 0
            member.uname = member.gname = ""
            member.pax_headers = {}
            is_program = member.isdir() or member.mode & 0o100
            member.mode = 0o755 if is_program else 0o644
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    sdist.write_bytes(gzip.compress(packed.getvalue(), mtime=when))


def main() -> None:
    os.umask(0o022)
    when = int(git("log", "-1", "--format=%ct"))
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as source:
        build(source, when)
    for path in sorted(DIST.iterdir()):
        if path.name.endswith(".tar.gz"):
            normalize(path, when)
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.name)


if __name__ == "__main__":
    main()
