"""The modules of the package, in the order in which they may import one another."""

from __future__ import annotations

import ast
import collections.abc as cabc
import pathlib
import subprocess
import sys

import wsgi_redis_session

PACKAGE = pathlib.Path(wsgi_redis_session.__file__).parent

#: A module may import those above it.
LINE = [
    "errors",
    "outage_log",
    "events",
    "options",
    "model.record",
    "model.seal",
    "model.csrf",
    "model.info",
    "model.changes",
    "model.outcome",
    "model.messagepack",
    "model.moments",
    "model.serializer",
    "model.packing",
    "model.compression",
    "model.values",
    "model.source",
    "model.draft",
    "model.session",
    "rules",
    "config",
    "environment",
    "lifetimes",
    "http.cookie",
    "http.headers",
    "http.visitor",
    "transport.deadline",
    "transport.question",
    "transport.link",
    "transport.pool",
    "transport.breaker",
    "transport.server",
    "transport.transport",
    "transport.cluster",
    "transport.urls",
    "transport.sentinels",
    "transport.connect",
    "store.layout",
    "store.results",
    "store.scripts",
    "store.commands",
    "store.sessions",
    "store.survey",
    "store.users",
    "legacy.unpickler",
    "legacy.reader",
    "legacy.inheritance",
    "legacy.forgotten",
    "legacy.adoption",
    "legacy.migration",
    "request.step",
    "request.turns",
    "request.user",
    "request.directory",
    "request.version",
    "request.loading",
    "request.successor",
    "request.outlook",
    "request.wishes",
    "request.commit",
    "request.exchange",
    "request.body",
    "administration",
    "manager",
    "response",
    "middleware",
]

#: The doors may import all of them, and nothing imports the doors.
DOORS = ["flask_manager", "flask", "metrics", "paste", "pyramid"]

#: What is run and not imported; these may import one another, in this order.
PROGRAMS = [
    "local_server",
    "demo.forms",
    "demo.gates",
    "demo.source",
    "demo.window",
    "demo.server",
    "demo.acts",
    "demo.devices",
    "demo.naive",
    "demo.forgery",
    "demo.page",
    "demo.experiments",
    "demo.app",
    "demo.runner",
    "cli.output",
    "cli.statistics",
    "cli.site",
    "cli.findings",
    "cli.sessions",
    "cli.migrate",
    "cli.check",
    "cli.group",
    "cli.main",
    "__main__",
    "cli.flask_group",
]

FOLDERS = ["model", "http", "transport", "store", "legacy", "request", "demo", "cli"]

FRONTS = [f"{folder}.__init__" for folder in FOLDERS]


def module_name(path: pathlib.Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = {module_name(path): path for path in PACKAGE.glob("**/*.py")}
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


def is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def nodes_that_run(node: ast.AST) -> cabc.Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not is_for_types_only(child):
            yield child
            yield from nodes_that_run(child)


def foreign_imports(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in nodes_that_run(tree):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


def imported_with(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after a statement."""
    code = f"import sys; {statement}; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    output = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=PACKAGE.parent
    ).stdout
    return set(output.split())
