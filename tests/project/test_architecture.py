from __future__ import annotations

import ast
import collections.abc as cabc
import pathlib
import sys

import pytest
from storeys import DOORS
from storeys import foreign_imports
from storeys import FRONTS
from storeys import imported_with
from storeys import LINE
from storeys import MODULES
from storeys import nodes_that_run
from storeys import PROGRAMS
from storeys import TREES

import wsgi_redis_session
from wsgi_redis_session import errors


def own_imports(module: str) -> set[str]:
    """The modules of the package that a module imports, in its functions as well."""
    found: set[str] = set()
    folders = module.split(".")[:-1]
    for node in nodes_that_run(TREES[module]):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = folders[: len(folders) + 1 - node.level]
            name = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                inside = ".".join(filter(None, [name, alias.name]))
                found.add(inside if inside in MODULES else name)
        elif isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("wsgi_redis_session")
        elif isinstance(node, ast.Import):
            assert not any("wsgi_redis_session" in name.name for name in node.names)
    return found


def modules_that_import(name: str) -> set[str]:
    return {module for module, tree in TREES.items() if name in foreign_imports(tree)}


def test_every_module_has_its_place() -> None:
    assert sorted(MODULES) == sorted(["__init__", *FRONTS, *LINE, *DOORS, *PROGRAMS])


@pytest.mark.parametrize("module", LINE)
def test_module_imports_only_modules_above_it(module: str) -> None:
    assert own_imports(module) <= set(LINE[: LINE.index(module)])


@pytest.mark.parametrize("module", DOORS)
def test_door_imports_no_other_door_and_no_program(module: str) -> None:
    assert own_imports(module) <= {*LINE, f"{module}_manager"}


@pytest.mark.parametrize("module", PROGRAMS)
def test_program_imports_only_what_is_above_it(module: str) -> None:
    above = {*LINE, *PROGRAMS[: PROGRAMS.index(module)]}
    doors = {"flask"} if module == "cli.flask_group" else set()
    assert own_imports(module) <= above | doors


def test_the_package_itself_imports_only_the_line() -> None:
    assert own_imports("__init__") <= set(LINE)


#: What takes long to import, or few have, and few need.
LATE = {
    "demo.runner": ["app"],
    "options": ["difflib"],
    "manager": ["model.seal", "legacy.adoption", "legacy.reader"],
    "model.moments": ["zoneinfo"],
    # Says what to install where its imports are missing.
    "__main__": ["cli.main", "cli.main"],
}


@pytest.mark.parametrize("module", MODULES)
def test_no_import_is_hidden_in_a_function_or_a_branch(module: str) -> None:
    hidden = [
        node
        for node in nodes_that_run(TREES[module])
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and node not in TREES[module].body
    ]
    assert [getattr(node, "module", None) for node in hidden] == LATE.get(module, [])


def test_only_the_transport_talks_to_clients_of_redis_py() -> None:
    senders = {
        name: sum(
            isinstance(node, ast.Attribute) and node.attr == "execute_command"
            for node in ast.walk(tree)
        )
        for name, tree in TREES.items()
    }
    transport = {name for name in LINE if name.startswith("transport.")}
    assert {name for name, calls in senders.items() if calls} <= transport
    assert modules_that_import("redis") <= {
        *transport,
        "store.commands",
        "store.survey",
    }


def test_only_the_cookie_module_signs_and_parses_cookies() -> None:
    assert modules_that_import("itsdangerous") == {"http.cookie", "legacy.reader"}


def test_only_the_seal_encrypts() -> None:
    assert modules_that_import("cryptography") == {"model.seal"}


def test_only_the_flask_door_knows_flask() -> None:
    assert modules_that_import("flask") == {
        "flask",
        "flask_manager",
        "cli.flask_group",
    }
    assert modules_that_import("pyramid") <= {"pyramid"}
    assert modules_that_import("prometheus_client") == {"metrics"}


def test_only_the_configuration_knows_the_time_of_day() -> None:
    # All others ask its clock; requests, the client and the server measure how long
    # they take.
    assert modules_that_import("time") == {
        "config",
        "local_server",
        "request.exchange",
        "transport.cluster",
        "transport.deadline",
        "transport.sentinels",
        "transport.server",
        "transport.transport",
    }


def test_pure_modules_import_nothing_that_reaches_out() -> None:
    reaching = {"asyncio", "os", "redis", "socket", "subprocess", "threading"}
    for module in LINE[: LINE.index("transport.deadline")]:
        assert not foreign_imports(TREES[module]) & reaching


def test_importing_the_package_imports_no_framework_and_no_program() -> None:
    imported = imported_with("import wsgi_redis_session")
    assert "wsgi_redis_session.middleware" in imported
    assert not imported & {"flask", "jinja2", "pyramid"}
    for module in (*DOORS, *PROGRAMS, "model.seal"):
        assert f"wsgi_redis_session.{module}" not in imported


def test_import_of_the_flask_door_is_seen_by_this_check() -> None:
    assert "flask" in imported_with("import wsgi_redis_session.flask")


TESTS = pathlib.Path(__file__).parents[1]

#: What is longer than it may be; nothing is to be added.
LONG = {
    "demo.app",
    "demo.page",
}
LONG_TESTS = {"test_demo.py", "test_flask_tutorial.py"}


def lines(path: pathlib.Path) -> int:
    return path.read_text().count("\n")


def test_no_module_is_long() -> None:
    lengths = {name: lines(path) for name, path in MODULES.items()}
    assert {name for name, length in lengths.items() if length > 320} <= LONG


def test_no_file_of_tests_is_long() -> None:
    lengths = {path.name: lines(path) for path in TESTS.rglob("*.py")}
    assert {name for name, length in lengths.items() if length > 600} <= LONG_TESTS


def functions(tree: ast.AST) -> cabc.Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def test_no_function_is_long() -> None:
    lengths = {
        f"{module}.{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for module, tree in TREES.items()
        for function in functions(tree)
    }
    assert {name for name, length in lengths.items() if length > 40} <= LONG


#: Names that begin with an underscore and are documented all the same, or of which
#: there is no other.
OF_OTHERS = {
    "_replace",  # of every named tuple
    "_get_current_object",  # of Werkzeug's LocalProxy
    "_on_close",  # what a response of Werkzeug does at its end, which only it can say
    "_Unpickler",  # the one of Python's that is written in Python
    "_SubParsersAction",  # what argparse returns, which has no public name
}


@pytest.mark.parametrize("module", MODULES)
def test_no_object_uses_what_is_private_to_another(module: str) -> None:
    uses = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.endswith("__")
        and node.attr not in OF_OTHERS
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    ]
    assert uses == []


@pytest.mark.parametrize("module", MODULES)
def test_no_module_imports_what_is_private_to_another(module: str) -> None:
    imported = [
        alias.name
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name.startswith("_") and node.module != "_typeshed"
    ]
    assert imported == []


def test_nothing_reads_what_could_run_code_but_the_migration() -> None:
    assert modules_that_import("pickle") <= {"legacy.reader", "legacy.unpickler"}
    assert not modules_that_import("marshal") | modules_that_import("shelve")
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            # The unpickler that calls what a pickle names.
            used = node.attr if isinstance(node, ast.Attribute) else ""
            assert ast.unparse(node) not in ("pickle.load", "pickle.loads"), name
            assert used != "Unpickler", name
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "compile"), name


def test_all_exceptions_are_in_one_tree() -> None:
    found = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and value.__module__ == errors.__name__
    ]
    assert len(found) > 5
    assert all(issubclass(error, errors.SessionError) for error in found)


def test_public_names_are_those_that_are_listed() -> None:
    for name in wsgi_redis_session.__all__:
        assert hasattr(wsgi_redis_session, name)
    public = {
        name
        for name, value in vars(wsgi_redis_session).items()
        if not name.startswith("_") and not isinstance(value, type(sys))
    }
    assert public == set(wsgi_redis_session.__all__)
