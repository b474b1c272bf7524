"""SQuAD's exact match and F1.

The normalisation (lower case, no punctuation, no articles, single spaces), the F1 over bags of
tokens, the maximum over reference answers and the threshold search follow the definitions of the
official SQuAD 1.1 and 2.0 evaluation (Rajpurkar et al. 2016, 2018).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from reader.squad import Example

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_answer(text: str) -> str:
    """Lower case, ASCII punctuation and English articles removed, white space collapsed."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, gold: str) -> float:
    """1.0 when both are equal after normalisation, else 0.0."""
    return float(normalise_answer(prediction) == normalise_answer(gold))


def f1(prediction: str, gold: str) -> float:
    """Harmonic mean of token precision and recall; two empty answers agree fully."""
    predicted, wanted = normalise_answer(prediction).split(), normalise_answer(gold).split()
    if not predicted or not wanted:
        return float(predicted == wanted)
    common = sum((Counter(predicted) & Counter(wanted)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(predicted), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def best_over(metric: Callable[[str, str], float], prediction: str, golds: Sequence[str]) -> float:
    """The highest value of a metric over the reference answers; unanswerable wants ``""``."""
    # SQuAD 2.0 leaves out references that vanish in normalisation; without any, the answer is "".
    wanted = [gold for gold in golds if normalise_answer(gold)] or [""]
    return max(metric(prediction, gold) for gold in wanted)


def squad_scores(
    examples: Sequence[Example],
    predictions: Mapping[str, str],
    no_answer: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """The figures of the SQuAD 2.0 script, in percent, for 1.1 and 2.0 data.

    Args:
        predictions: question id to answer text, ``""`` for "no answer".
        no_answer: question id to how unlikely an answer is, on any scale; 0 for all without it.

    Returns:
        ``exact``, ``f1``, ``total``, the same for ``HasAns_`` and (where there are any) ``NoAns_``
        questions, and ``best_exact``/``best_f1`` with the thresholds on ``no_answer`` that reach
        them.
    """
    exact: dict[str, float] = {}
    f1s: dict[str, float] = {}
    has_answer: dict[str, bool] = {}
    for example in examples:
        prediction = predictions.get(example.id, "")
        exact[example.id] = best_over(exact_match, prediction, example.answer_texts)
        f1s[example.id] = best_over(f1, prediction, example.answer_texts)
        has_answer[example.id] = bool(example.answers)
    report = {**_averages(exact, f1s, list(exact), "")}
    for prefix, wanted in (("HasAns_", True), ("NoAns_", False)):
        ids = [key for key, value in has_answer.items() if value is wanted]
        if ids:
            report.update(_averages(exact, f1s, ids, prefix))
    odds = {key: (no_answer or {}).get(key, 0.0) for key in exact}
    for name, scores in (("best_exact", exact), ("best_f1", f1s)):
        report[name], report[f"{name}_thresh"] = _best_threshold(
            predictions, scores, odds, has_answer
        )
    return report


def _averages(
    exact: Mapping[str, float], f1s: Mapping[str, float], ids: Sequence[str], prefix: str
) -> dict[str, float]:
    count = len(ids)
    return {
        f"{prefix}exact": 100.0 * sum(exact[key] for key in ids) / count if count else 0.0,
        f"{prefix}f1": 100.0 * sum(f1s[key] for key in ids) / count if count else 0.0,
        f"{prefix}total": count,
    }


def _best_threshold(
    predictions: Mapping[str, str],
    scores: Mapping[str, float],
    odds: Mapping[str, float],
    has_answer: Mapping[str, bool],
) -> tuple[float, float]:
    """The best average when answers with ``odds`` above a threshold are replaced by ``""``."""
    current = float(sum(not value for value in has_answer.values()))
    best, threshold = current, 0.0
    for key in sorted(odds, key=lambda k: odds[k]):
        if has_answer[key]:
            current += scores[key]
        elif predictions.get(key):
            current -= 1
        if current > best:
            best, threshold = current, odds[key]
    return (100.0 * best / len(scores) if scores else 0.0), threshold
