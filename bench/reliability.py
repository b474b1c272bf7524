"""What a confidence is worth: calibration error, risk and coverage, and the precision it gives.

All arrays have shape (questions,): the confidence of a question's first answer, 0 to 1, and
whether that answer is right. To answer an unanswerable question is wrong.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_BINS = 10
#: A threshold that fewer answers reach tells nothing of its precision.
LEAST_SHOWN = 20


def calibration_error(confidence: Floats, right: Bools) -> float:
    """Expected calibration error over ten bins of equal width (Guo et al. 2017)."""
    return float(
        sum(
            abs(confidence[inside].mean() - right[inside].mean()) * inside.mean()
            for inside in _bins(confidence)
        )
    )


def error_by_chance(confidence: Floats, *, draws: int = 1000, seed: int = 7) -> float:
    """The mean calibration error of confidences that are exactly right, on so few questions.

    A measured error near it gives no reason to think that the confidences are wrong.
    """
    random = np.random.default_rng(seed)
    return float(
        np.mean(
            [
                calibration_error(confidence, random.random(len(confidence)) < confidence)
                for _ in range(draws)
            ]
        )
    )


def auroc(scores: Floats, positive: Bools) -> float:
    """The probability that a positive scores above a negative."""
    pairs = scores[positive][:, None] - scores[~positive][None, :]
    return float(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def risk_coverage(confidence: Floats, right: Bools) -> tuple[Floats, Floats]:
    """The share of questions answered, and the share of wrong ones among those answers.

    El-Yaniv and Wiener 2010, "On the Foundations of Noise-free Selective Classification". One
    point for each question, from the surest alone to all.
    """
    wrong = ~right[np.argsort(-confidence, kind="stable")]
    count = np.arange(1, len(wrong) + 1)
    return count / len(wrong), np.cumsum(wrong) / count


def area_under_risk(confidence: Floats, right: Bools) -> float:
    """The mean risk over all coverages (AURC); less is better."""
    return float(risk_coverage(confidence, right)[1].mean())


def least_area(right: Bools) -> float:
    """The AURC of a confidence that puts every right answer before every wrong one."""
    return area_under_risk(right.astype(np.float64), right)


def precision_table(confidence: Floats, right: Bools) -> list[tuple[float, float]]:
    """Pairs of a threshold, a multiple of 0.01, and the precision of what reaches it; both rise.

    The share of right answers is first smoothed to rise with the confidence (isotonic regression),
    without which a few lucky answers could make a low threshold look better than a higher one. A
    threshold that gives no more precision than a lower one is left out, and so is one that fewer
    than :data:`LEAST_SHOWN` answers reach.
    """
    smooth = isotonic(confidence, right.astype(np.float64))
    table: list[tuple[float, float]] = []
    for step in range(100):
        shown = confidence >= step / 100
        if shown.sum() < LEAST_SHOWN and table:
            break
        precision = round(float(smooth[shown].mean()), 3)
        if not table or precision > table[-1][1]:
            table.append((step / 100, precision))
    return table


def isotonic(scores: Floats, values: Floats) -> Floats:
    """The values nearest to these (least squares) that do not fall while the score rises.

    Pool adjacent violators (Ayer et al. 1955); equal scores get equal values.
    """
    distinct, owner = np.unique(scores, return_inverse=True)
    blocks: list[list[float]] = []  # sum, weight, distinct scores
    sums, weights = np.bincount(owner, values), np.bincount(owner)
    for number in range(len(distinct)):
        blocks.append([float(sums[number]), float(weights[number]), 1])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            last = blocks.pop()
            blocks[-1] = [own + other for own, other in zip(blocks[-1], last, strict=True)]
    fitted: Floats = np.repeat(
        [total / weight for total, weight, _ in blocks], [int(size) for *_, size in blocks]
    )
    return fitted[owner]


def draw(confidence: Floats, right: Bools, picture: Path) -> None:
    """The risk-coverage curve and the reliability diagram beside each other, as PNG.

    The bars of the diagram are 95 % intervals (Wilson 1927).
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (left, middle) = pyplot.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    coverage, risk = risk_coverage(confidence, right)
    area = area_under_risk(confidence, right)
    left.plot(coverage, risk, color="tab:blue", label=f"measured, area {area:.3f}")
    best_coverage, best_risk = risk_coverage(right.astype(np.float64), right)
    best = f"every right answer first, area {least_area(right):.3f}"
    left.plot(best_coverage, best_risk, ":", color="tab:green", label=best)
    left.axhline(1 - right.mean(), color="grey", linewidth=0.8, label="in no order")
    left.set(xlabel="coverage: questions answered", ylabel="risk: wrong among the answers")
    left.set(title=f"Risk and coverage, {len(right):,} questions", xlim=(0, 1), ylim=(0, None))
    left.legend(loc="lower right")

    error = calibration_error(confidence, right)
    middle.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for inside in _bins(confidence):
        count, share, at = inside.sum(), right[inside].mean(), confidence[inside].mean()
        low, high = wilson(float(share), int(count))
        middle.plot([at, at], [low, high], color="tab:blue", linewidth=1)
        middle.plot(at, share, "o", color="tab:blue")
        middle.annotate(f"{count}", (at, high), ha="center", va="bottom", fontsize=8)
    middle.set(xlabel="mean confidence", ylabel="share of right answers", xlim=(0, 1), ylim=(0, 1))
    middle.set(title=f"Reliability, calibration error {error:.3f}")
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of so many (Wilson 1927)."""
    z = 1.959964
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count)
    half *= ((share * (1 - share) + z * z / (4 * count)) / count) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def _bins(confidence: Floats) -> list[Bools]:
    """Who is in each bin that anyone is in."""
    number = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return [number == bin_ for bin_ in range(_BINS) if (number == bin_).any()]
