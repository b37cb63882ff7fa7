"""What has to hold before a change is taken in, in sessions that ``.ci/run`` calls.

.. code-block:: console

    $ pip install nox
    $ nox --list
    $ nox -s tests -- tests/store
"""

from __future__ import annotations

import configparser
import pathlib
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
import urllib.request
import zipfile

import nox

PROJECT = pathlib.Path(__file__).parent
PACKAGE = "wsgi_redis_session"

#: Tests wait more than they reckon.
IN_PARALLEL = ("-n", "2", "--dist", "worksteal")

nox.options.sessions = ["lint", "types", "tests"]
nox.options.default_venv_backend = "venv"


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, as README.rst says: with the Redis server that comes along."""
    session.install(".[test]")
    session.run("pytest", *IN_PARALLEL, *session.posargs)


@nox.session
def oldest(session: nox.Session) -> None:
    """The tests with the oldest version of all that setup.cfg requires."""
    constraints = pathlib.Path(session.create_tmp()) / "oldest.txt"
    constraints.write_text("\n".join(oldest_versions()))
    session.install("-c", str(constraints), ".[demo,fast,flask,test]")
    session.run("pip", "list", "--format", "freeze")
    session.run("pytest", *IN_PARALLEL, *session.posargs)


def oldest_versions() -> list[str]:
    """The lower bound of each requirement, as a constraint for pip."""
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(PROJECT / "setup.cfg")
    extras = setup["options.extras_require"]
    text = "\n".join(
        [setup["options"]["install_requires"]]
        + [extras[name] for name in ("demo", "fast", "flask", "test")]
    )
    bounds = re.findall(r"^([\w.-]+)(?:\[.*\])?>=([\w.]+)", text, re.MULTILINE)
    return sorted({f"{name}=={version}" for name, version in bounds})


@nox.session
def newest(session: nox.Session) -> None:
    """The tests with the newest version of everything, and of what that requires."""
    upgrade = ["--upgrade", "--upgrade-strategy", "eager"]
    session.install(*upgrade, ".[demo,fast,flask,test]")
    session.run("pip", "list", "--format", "freeze")
    session.run("pytest", *IN_PARALLEL, *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """The demo, as README.rst says: one page, and an end."""
    session.install(".[demo]")
    command = [session.bin + "/python", "-m", PACKAGE, "demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            session.log(line.rstrip())
            if found := re.search(r"http://[\d.]+:\d+/", line):
                break
        else:
            session.error("the demo said nothing of where it is")
        with urllib.request.urlopen(found[0], timeout=30) as page:
            assert b"<html" in page.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


@nox.session
def wheel(session: nox.Session) -> None:
    """What is released is complete, and its tests pass with the system's own servers.

    The wheel is installed, with hiredis, and the tests are those of the sdist; there is
    nothing else that they could import. ``mod_wsgi`` is compiled against the system's
    Apache.
    """
    session.install("build", "twine")
    with tempfile.TemporaryDirectory() as directory:
        dist = pathlib.Path(directory)
        session.run("python", "-m", "build", "--outdir", directory, ".", silent=True)
        [built] = dist.glob("*.whl")
        [packed] = dist.glob("*.tar.gz")
        session.run("twine", "check", "--strict", str(built), str(packed))
        with tarfile.open(packed) as archive:
            archive.extractall(directory)  # built just now, from here
        unpacked = dist / packed.name.removesuffix(".tar.gz")
        check_sdist(session, unpacked)
        check_wheel(session, built)
        session.install(f"{built}[demo,tutorial]")
        session.install(f"{built}[fast,flask,test]", "mod_wsgi")
        session.run("pip", "check")
        shutil.rmtree(unpacked / PACKAGE)
        session.chdir(unpacked)
        code = f"import sys, {PACKAGE} as p; assert p.__file__.startswith(sys.prefix)"
        session.run("python", "-c", code)
        session.run("pytest", *IN_PARALLEL, *session.posargs)


def committed(*paths: str) -> list[str]:
    """The files of a commit, but for what only git needs."""
    command = ["git", "ls-files", *paths]
    output = subprocess.run(
        command, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return [name for name in output.splitlines() if not name.endswith(".gitignore")]


def check_sdist(session: nox.Session, unpacked: pathlib.Path) -> None:
    """Everything that is committed is released, as it is."""
    for name in committed():
        theirs = unpacked / name
        if not theirs.exists():
            session.error(f"the sdist has no {name}")
        # setuptools adds a section to setup.cfg.
        if name != "setup.cfg" and theirs.read_bytes() != (PROJECT / name).read_bytes():
            session.error(f"the sdist has another {name}")


def check_wheel(session: nox.Session, built: pathlib.Path) -> None:
    """All of the package is released, and nothing else."""
    with zipfile.ZipFile(built) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    if found != set(committed(PACKAGE)):
        session.error(f"the wheel differs in {found ^ set(committed(PACKAGE))}")


@nox.session
def lint(session: nox.Session) -> None:
    """The linter and the formatter."""
    session.install(*required("lint", "ruff"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """The type checkers, for the package and for programs that use it."""
    session.install(".[cli,encryption,flask,lint,metrics]")
    session.run("mypy")
    with tempfile.TemporaryDirectory() as elsewhere:
        # Where only what is installed can be found.
        program = shutil.copy(PROJECT / "tests/support/typed_program.py", elsewhere)
        session.chdir(elsewhere)
        session.run("mypy", "--strict", program)
        session.run("pyright", "--pythonpath", session.bin + "/python", program)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, in which every reference leads somewhere."""
    session.install(".[docs,encryption,flask]")
    target = session.posargs or [str(pathlib.Path(session.create_tmp()) / "html")]
    session.run("sphinx-build", "-nW", "-q", "docs", *target)


def required(extra: str, name: str) -> list[str]:
    """What an extra requires of a distribution."""
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(PROJECT / "setup.cfg")
    lines = setup["options.extras_require"][extra].split()
    return [line for line in lines if line.startswith(name)]
