"""Figures of ``bench.ablation``: scores, differences with intervals, the table, the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bench.ablation_variants import VARIANTS
from bench.open_questions import Found
from bench.open_report import with_interval
from reader.compare import compare
from reader.squad import Example

#: What is drawn and shown: the figure's place in the report, and what it is called.
_SHOWN = (
    ("squad", "SQuAD dev, F1"),
    ("open", "open questions, F1"),
    ("sample", "sample handbook, contains"),
)


def compared(
    facts: Mapping[str, Mapping[str, Any]], dev: Sequence[Example], found: Found
) -> dict[str, Any]:
    """Each variant's figures in percent, and their differences to base's in points.

    ``open_less_none`` are the open questions with each passage's score of "no answer" taken from
    its spans', where a variant was trained to give one; it is compared with base's plain order.

    Args:
        facts: by variant, base among them, what was kept of its training and answers.
    """
    base = facts["base"]
    asked = [question.example for question in found.questions]
    report: dict[str, Any] = {}
    for name, own in facts.items():
        row: dict[str, Any] = {"says": VARIANTS[name].says, **own["trained"]}
        row["squad"] = _scores(dev, base["squad"]["answers"], own["squad"]["answers"])
        row["open"] = _scores(asked, base["open"]["answers"], own["open"]["answers"])
        if own["open"]["less_none"] is not None:
            row["open_less_none"] = _scores(
                asked, base["open"]["answers"], own["open"]["less_none"]
            )
        ours, theirs = (
            np.array(one["sample"]["contains"], dtype=np.float64) for one in (own, base)
        )
        row["sample"] = {
            "questions": len(ours),
            "contains": round(100 * float(ours.mean()), 2),
            "less_base": {"contains": with_interval((ours - theirs)[:, None])},
        }
        report[name] = row
    return report


def _scores(
    examples: Sequence[Example], base: Mapping[str, str], own: Mapping[str, str]
) -> dict[str, Any]:
    found = {item["metric"]: item for item in map(asdict, compare(examples, base, own))}
    return {
        "questions": len(examples),
        **{name: round(item["b"], 2) for name, item in found.items()},
        "less_base": {
            name: [round(item[key], 2) for key in ("difference", "low", "high")]
            for name, item in found.items()
        },
    }


def _shown(row: Mapping[str, Any], place: str) -> tuple[float, list[float]]:
    """A figure, and its difference to base's with the ends of the interval."""
    name = "contains" if place == "sample" else "f1"
    value: float = row[place][name]
    difference: list[float] = row[place]["less_base"][name]
    return value, difference


def table(report: Mapping[str, Any]) -> str:
    """A Markdown table of the variants, base first."""
    lines = [
        "| variant | passages read | " + " | ".join(f"{title}: less base" for _, title in _SHOWN)
        + " |",
        "|---|---|" + "---|" * len(_SHOWN),
    ]  # fmt: skip
    for name, row in report["variants"].items():
        cells = [f"{name}: {row['says']}", f"{row['passages']:,}"]
        for place, _ in _SHOWN:
            value, (middle, low, high) = _shown(row, place)
            star = "*" if low > 0 or high < 0 else ""
            difference = (
                "" if name == "base" else f": {middle:+.2f}{star} ({low:+.2f} to {high:+.2f})"
            )
            cells.append(f"{value:.2f}{difference}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw(report: Mapping[str, Any], picture: Path) -> None:
    """The differences to base as bars, with their intervals."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    names = [name for name in report["variants"] if name != "base"]
    figure, panels = pyplot.subplots(
        1, len(_SHOWN), figsize=(10, 1.6 + 0.35 * len(names)), layout="constrained", sharey=True
    )
    base = report["variants"]["base"]
    for axes, (place, title) in zip(panels, _SHOWN, strict=True):
        for row, name in enumerate(names):
            _, (middle, low, high) = _shown(report["variants"][name], place)
            sure = low > 0 or high < 0
            axes.barh(row, middle, color="tab:blue" if sure else "lightsteelblue")
            axes.plot([low, high], [row, row], color="black", linewidth=1)
        axes.axvline(0, color="grey", linewidth=0.8)
        axes.set_title(f"{title}\n(base {_shown(base, place)[0]:.1f})", fontsize=10)
        axes.set_xlabel("points less base, 95 %")
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)
