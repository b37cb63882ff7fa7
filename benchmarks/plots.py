"""The figures as pictures (SVG), by matplotlib where it is installed."""

from __future__ import annotations

import importlib.util
import pathlib
import statistics
import typing as t

if t.TYPE_CHECKING:
    from in_process import Cost

OTHERS = "#94a3b8"
COLORS = {
    "wsgi-redis-session, middleware": "#0f766e",
    "wsgi-redis-session in Flask": "#0f766e",
    "Flask-Session": "#b45309",
}

can_draw = importlib.util.find_spec("matplotlib") is not None


def costs(title: str, found: list[Cost], file: pathlib.Path) -> None:
    """What a read and a write cost, one bar for each library."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "the same file for the same figures"
    matplotlib.rcParams["svg.fonttype"] = "none"  # a browser knows its letters
    matplotlib.rcParams["font.family"] = "sans-serif"
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    for use, axis in zip(("read", "write"), axes, strict=True):
        rows = [cost for cost in found if cost.use == use]
        names = [cost.peer for cost in rows]
        values = [statistics.median(cost.rounds) for cost in rows]
        colors = [COLORS.get(name, OTHERS) for name in names]
        bars = axis.barh(names, values, color=colors)
        axis.bar_label(bars, fmt="%.0f", padding=3, fontsize=8)
        axis.set_title(f"{use}, microseconds", fontsize=10, loc="left")
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    axes[0].invert_yaxis()  # both have the same one
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
