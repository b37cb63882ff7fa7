"""The figures as pictures (SVG), by matplotlib where it is installed."""

from __future__ import annotations

import importlib.util
import pathlib
import statistics
import typing as t

if t.TYPE_CHECKING:
    from growth import Rows
    from in_process import Cost
    from served import Load

OTHERS = "#94a3b8"
COLORS = {
    "wsgi-redis-session, middleware": "#0f766e",
    "wsgi-redis-session in Flask": "#0f766e",
    "the same, encrypted": "#0f766e",
    "ours": "#0f766e",
    "Flask-Session": "#b45309",
}

_USES = ("read", "write")

can_draw = importlib.util.find_spec("matplotlib") is not None


def _pyplot() -> t.Any:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "the same file for the same figures"
    matplotlib.rcParams["svg.fonttype"] = "none"  # a browser knows its letters
    matplotlib.rcParams["font.family"] = "sans-serif"
    return pyplot


def _save(figure: t.Any, title: str, file: pathlib.Path) -> None:
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    _pyplot().close(figure)


def costs(title: str, found: list[Cost], file: pathlib.Path) -> None:
    """What a read and a write cost, one bar for each library."""
    figure, axes = _pyplot().subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for use, axis in zip(("read", "write"), axes, strict=True):
        rows = [cost for cost in found if cost.use == use]
        names = [cost.peer for cost in rows]
        values = [statistics.median(cost.rounds) for cost in rows]
        _bars(axis, f"{use}, microseconds", names, values)
    axes[0].invert_yaxis()  # both have the same one
    _save(figure, title, file)


def loads(title: str, found: list[Load], file: pathlib.Path) -> None:
    """Requests a second of 16 connections, one bar for each site."""
    few = [load for load in found if load.connections == 16 and load.use in _USES]
    workers = list(dict.fromkeys(load.worker for load in few))
    size = len(workers), len(_USES)
    figure, axes = _pyplot().subplots(*size, figsize=(9, 4), sharey=True)
    for row, worker in zip(axes, workers, strict=True):
        for axis, use in zip(row, _USES, strict=True):
            rows = [load for load in few if (load.worker, load.use) == (worker, use)]
            names = [load.site for load in rows]
            values = [load.requests_per_second for load in rows]
            _bars(axis, f"{worker}, {use}, requests a second", names, values)
    axes[0][0].invert_yaxis()  # all have the same one
    _save(figure, f"{title}, 16 connections", file)


def growth(title: str, rows: Rows, file: pathlib.Path) -> None:
    """Microseconds of a read and a write, a point for each row."""
    figure, axis = _pyplot().subplots(figsize=(9, 3))
    names = [name for name, _, _ in rows]
    for use, column, style in (("read", 1, "o-"), ("write", 2, "s--")):
        values = [row[column] for row in rows]
        axis.plot(names, values, style, color=COLORS["ours"], label=use)
    axis.set_yscale("log")
    axis.set_yticks([100, 200, 500, 1_000, 2_000, 5_000, 10_000])
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.yaxis.set_minor_formatter("")
    axis.set_ylabel("microseconds", fontsize=8)
    axis.legend(fontsize=8, frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    _save(figure, title, file)


def _bars(axis: t.Any, title: str, names: list[str], values: list[float]) -> None:
    bars = axis.barh(names, values, color=[COLORS.get(name, OTHERS) for name in names])
    axis.bar_label(bars, fmt="%.0f", padding=3, fontsize=8)
    axis.set_title(title, fontsize=10, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
