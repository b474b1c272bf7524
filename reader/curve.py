"""Drawing a training run: loss and dev F1 over the steps."""

from __future__ import annotations

import json
from pathlib import Path

from reader.errors import TrainingError
from reader.output import writing


def draw(history: Path, picture: Path) -> None:
    """Draw ``history.json`` of a run as PNG.

    Raises:
        TrainingError: matplotlib is not installed; the message says how to install it.
        OutputError: the picture cannot be written.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise TrainingError(
            f"{picture} is not drawn, for matplotlib is not installed: pip install matplotlib, and "
            "give the command again"
        ) from error
    mpl.use("Agg")
    from matplotlib import pyplot

    record = json.loads(history.read_text(encoding="utf-8"))
    losses = record["losses"]
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    window = max(1, len(losses) // 60)
    smooth = [
        sum(value for _, value in losses[max(0, i - window + 1) : i + 1]) / min(i + 1, window)
        for i in range(len(losses))
    ]
    axes.plot([step for step, _ in losses], smooth, color="tab:blue")
    axes.set_xlabel("step")
    axes.set_ylabel(f"training loss (mean of {window} steps)", color="tab:blue")
    if record["evaluations"]:
        scores = axes.twinx()
        scores.plot(
            [step for step, _ in record["evaluations"]],
            [value for _, value in record["evaluations"]],
            "o-",
            color="tab:orange",
        )
        scores.set_ylabel("dev F1", color="tab:orange")
    with writing(picture):
        figure.savefig(picture, dpi=110)
    pyplot.close(figure)
