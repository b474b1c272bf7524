"""Figures of ``bench.retriever`` as a table of ratios to ours, and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

#: What is shown: the figure, its heading, and its unit.
_ROWS = (
    ("search_p50_ms", "search, p50", "ms"),
    ("search_p95_ms", "search, p95", "ms"),
    ("question_p50_ms", "question to passages, p50", "ms"),
    ("question_p95_ms", "question to passages, p95", "ms"),
    ("build_s", "build, tokenizing included", "s"),
    ("disk_mib", "disk", "MiB"),
    ("rss_mib", "memory of a query process", "MiB"),
    ("open_s", "open to first result", "s"),
    ("add_ms", "add 1,000 passages", "ms"),
    ("delete_ms", "delete 1,000 passages", "ms"),
)
_NAMES = {
    "spanbot": "spanbot",
    "bm25s": "bm25s + numba",
    "tantivy": "tantivy",
    "fts5": "SQLite FTS5",
    "rank_bm25": "rank_bm25",
    "haystack": "Haystack, in memory",
}
_DRAWN = (
    ("search_p50_ms", "search, p50 (ms)"),
    ("search_p95_ms", "search, p95 (ms)"),
    ("build_s", "build (s)"),
    ("rss_mib", "memory of a query process (MiB)"),
)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(record: dict[str, Any]) -> str:
    """Markdown, a table a size: ours with its unit, the others as multiples of it."""
    parts: list[str] = []
    for size, engines in record["sizes"].items():
        ours = engines.get("spanbot")
        if ours is None:
            continue
        others = [engine for engine in _NAMES if engine in engines and engine != "spanbot"]
        heads = [f"{int(size):,} passages", "spanbot", *(_NAMES[engine] for engine in others)]
        lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
        for name, heading, unit in _ROWS:
            cells = [heading, f"{_shown(ours[name])} {unit}"]
            for engine in others:
                value = engines[engine].get(name)
                cells.append("–" if value is None else f"× {_shown(value / ours[name])}")
            lines.append("| " + " | ".join(cells) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def draw(record: dict[str, Any], picture: Path) -> None:
    """How the figures of each engine grow with the passages."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    sizes = [int(size) for size in record["sizes"]]
    figure, grid = pyplot.subplots(2, 2, figsize=(10, 7), layout="constrained")
    for (name, heading), axes in zip(_DRAWN, grid.flat, strict=True):
        for engine, label in _NAMES.items():
            points = [
                (size, record["sizes"][str(size)][engine][name])
                for size in sizes
                if record["sizes"][str(size)].get(engine, {}).get(name) is not None
            ]
            if points:
                axes.plot(*zip(*points, strict=True), "o-", label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
        axes.minorticks_off()
        axes.set_title(heading)
        axes.set_xlabel("passages")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize="small")
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)
