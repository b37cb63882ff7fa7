"""What docs/security.rst says of tests is true."""

from __future__ import annotations

import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.rst").read_text()


def every_test() -> set[str]:
    """The names of all tests."""
    return {
        node.name
        for path in ROOT.glob("tests/**/test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def points() -> list[tuple[int, str]]:
    """The points of the checklist, with their numbers."""
    _, _, checklist = PAGE.partition("The checklist\n")
    parts = re.split(r"^(\d+)\. +", checklist, flags=re.MULTILINE)[1:]
    return list(zip(map(int, parts[::2]), parts[1::2], strict=True))


def test_every_test_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"``(test_\w+)``", PAGE))
    assert len(named) > 60
    assert named - every_test() == set()


def test_every_point_of_the_checklist_is_there_once_and_in_order() -> None:
    assert [number for number, _ in points()] == list(range(1, 69))


def test_every_point_says_how_it_is_met_and_by_which_test_or_why_not() -> None:
    for number, text in points():
        verdict = re.search(r"\b(Met|Partly|By option|Not met|There are none)\b", text)
        assert verdict, number
        if verdict[0] != "Not met":
            assert "``test_" in text or "as in 23" in text, number
