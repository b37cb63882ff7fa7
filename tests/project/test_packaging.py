"""What setup.cfg says is what the code needs, and README.rst says the same."""

from __future__ import annotations

import ast
import collections.abc as cabc
import configparser
import pathlib
import re
import sys
from fnmatch import fnmatch
from importlib.metadata import packages_distributions

import pytest
from storeys import foreign_imports
from storeys import imported_with
from storeys import LINE
from storeys import PACKAGE
from storeys import PROGRAMS
from storeys import TREES

PROJECT = pathlib.Path(__file__).parents[2]
README = PROJECT.joinpath("README.rst").read_text()

SETUP = configparser.ConfigParser(interpolation=None)
SETUP.read(PROJECT / "setup.cfg")
REQUIRED = SETUP["options"]["install_requires"].split("\n")[1:]
EXTRAS = {
    name: value.split("\n")[1:]
    for name, value in SETUP["options.extras_require"].items()
}
PYTHONS = [
    (3, int(minor))
    for minor in re.findall(r":: 3\.(\d+)", SETUP["metadata"]["classifiers"])
]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", requirement)[0] for requirement in requirements}


def needed_by(*modules: str) -> set[str]:
    """The distributions that modules of the package import."""
    return distributions(foreign_imports(TREES[module]) for module in modules)


def distributions(imports: cabc.Iterable[set[str]]) -> set[str]:
    """Those that have what is imported, and does not come with Python."""
    imported = set().union(*imports)
    owners = packages_distributions()
    foreign = imported - set(sys.stdlib_module_names)
    return {owners[module][0].lower() for module in foreign}


def test_package_needs_exactly_what_is_always_installed() -> None:
    always = set(LINE) - {"model.seal"}
    assert needed_by("__init__", *always, "paste") == names(REQUIRED)


@pytest.mark.parametrize(
    ("extra", "modules"),
    [
        ("flask", ["flask", "flask_manager"]),
        ("encryption", ["model.seal"]),
        ("demo", [name for name in PROGRAMS if name.startswith("demo.")]),
        ("demo", ["local_server", "cli.site", "cli.group", "cli.main", "__main__"]),
        ("cli", ["demo.runner", "demo.server", "demo.window", "__main__"]),
        (
            "cli",
            [
                name
                for name in PROGRAMS
                if name.startswith("cli.") and name != "cli.flask_group"
            ],
        ),
        ("metrics", ["metrics"]),
    ],
)
def test_extra_alone_is_enough(extra: str, modules: list[str]) -> None:
    assert needed_by(*modules) <= names(REQUIRED + EXTRAS[extra])


def test_tutorial_needs_no_more_than_its_extra() -> None:
    folder = PROJECT / "examples" / "flask_tutorial"
    # The last two come with Flask-SQLAlchemy and Flask-WTF.
    around = {"wsgi_redis_session", "sqlalchemy", "wtforms"}
    imports = [
        foreign_imports(ast.parse(path.read_text())) - around
        for path in folder.glob("*.py")
    ]
    needed = distributions(imports)
    assert "flask-login" in needed
    assert needed <= names(REQUIRED + EXTRAS["tutorial"])


def test_import_adds_little_to_that_of_redis_and_werkzeug() -> None:
    # How long it takes is measured by benchmarks/import_time.py.
    theirs = imported_with("import redis, werkzeug")
    ours = imported_with("import redis, werkzeug, wsgi_redis_session")
    added = {module.partition(".")[0] for module in ours - theirs}
    decimals = {"_decimal", "decimal", "numbers"}
    assert added == {"wsgi_redis_session", "itsdangerous", "ormsgpack", *decimals}


def test_a_distribution_has_the_same_range_wherever_it_is_required() -> None:
    ranges: dict[str, set[str]] = {}
    for requirement in sum(EXTRAS.values(), REQUIRED):
        name, _, rest = re.fullmatch(r"([\w.-]+)(\[.*\])?(.*)", requirement).groups()
        ranges.setdefault(name, set()).add(rest)
    assert {name: found for name, found in ranges.items() if len(found) > 1} == {}


def test_tools_check_against_the_oldest_python() -> None:
    oldest = "{}.{}".format(*PYTHONS[0])
    assert SETUP["options"]["python_requires"] == f">={oldest}"
    assert SETUP["mypy"]["python_version"] == oldest
    ruff = PROJECT.joinpath("pyproject.toml").read_text()
    assert f'target-version = "py{oldest.replace(".", "")}"' in ruff


def test_documentation_names_the_versions_that_can_be_installed() -> None:
    page = PROJECT.joinpath("docs", "deployment.rst").read_text()
    section = page.split("\nSupported versions\n", 1)[1]
    assert "Python {}.{} to {}.{}".format(*PYTHONS[0], *PYTHONS[-1]) in section
    for requirement in REQUIRED + EXTRAS["flask"] + EXTRAS["fast"]:
        assert f"``{requirement}``" in section


def in_its_package(path: pathlib.Path) -> str:
    """Where a file stands, seen from the package in which it is."""
    package = path.parent
    while not package.joinpath("__init__.py").exists():
        package = package.parent
    return path.relative_to(package).as_posix()


def test_badges_say_what_is_so() -> None:
    metadata = SETUP["metadata"]
    pythons = "{}.{}_to_{}.{}".format(*PYTHONS[0], *PYTHONS[-1])
    assert f"/badge/python-{pythons}-blue" in README
    assert f"/badge/license-{metadata['license'].replace('-', '--')}-blue" in README
    assert SETUP["mypy"]["strict"] == "True"
    assert "/badge/typed-mypy_strict-blue" in README


def test_workflow_tests_every_supported_version() -> None:
    workflow = PROJECT.joinpath(".github", "workflows", "ci.yml").read_text()
    versions = ", ".join(f'"{major}.{minor}"' for major, minor in PYTHONS)
    assert f"python: [{versions}]" in workflow


def test_version_stands_in_one_place() -> None:
    version = SETUP["metadata"]["version"]
    places = [
        *PACKAGE.rglob("*.py"),
        *PROJECT.glob("docs/*.py"),
        PROJECT / "README.rst",
    ]
    assert [path for path in places if version in path.read_text()] == []


def test_every_file_beside_the_modules_is_installed() -> None:
    patterns = SETUP["options.package_data"]["*"].split(", ")
    files = {
        in_its_package(path)
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert "py.typed" in files
    # As setuptools does: "*" stands for no slash.
    wanted = {
        pattern: {
            name
            for name in files
            if name.count("/") == pattern.count("/") and fnmatch(name, pattern)
        }
        for pattern in patterns
    }
    assert set().union(*wanted.values()) == files
    assert all(wanted.values())


def test_every_folder_is_installed() -> None:
    assert SETUP["options"]["packages"] == "find:"
    where = SETUP["options.packages.find"]["include"].split("\n")[1:]
    assert where == ["wsgi_redis_session", "wsgi_redis_session.*"]
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert all(folder.joinpath("__init__.py").exists() for folder in folders)
