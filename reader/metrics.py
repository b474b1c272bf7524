"""SQuAD's exact match and F1.

The normalisation (lower case, no punctuation, no articles, single spaces), the F1 over bags of
tokens, the maximum over reference answers and the threshold search follow the definitions of the
official SQuAD 1.1 and 2.0 evaluation (Rajpurkar et al. 2016, 2018). The two differ at the edges:

- Texts of which nothing is left after normalisation ("The", "?") agree with each other in 2.0; in
  1.1 two such texts match exactly and have F1 0.
- 2.0 leaves out reference answers of which nothing is left, 1.1 keeps them.
- A question without a prediction scores 0 in 1.1. The script of 2.0 leaves it out of the first
  averages and then stops with an error; here it scores 0 in both, answerable or not.
- A question counts as answerable by having reference answers; ``is_impossible`` takes them away
  when the file is read (:mod:`reader.squad`).
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from reader.errors import DatasetError
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


def squad_v1_scores(
    examples: Sequence[Example], predictions: Mapping[str, str]
) -> dict[str, float]:
    """The figures of the SQuAD 1.1 script, ``exact_match`` and ``f1``, in percent.

    Args:
        predictions: question id to answer text; a question without one scores 0.

    Raises:
        DatasetError: a question without reference answers, which 1.1 does not know.
    """
    exact = f1s = 0.0
    for example in examples:
        if not example.answers:
            raise DatasetError(f'the question "{example.id}" has no answers; score it as SQuAD 2.0')
        prediction = predictions.get(example.id)
        if prediction is None:
            continue
        golds = example.answer_texts
        exact += max(exact_match(prediction, gold) for gold in golds)
        f1s += max(_f1_of_v1(prediction, gold) for gold in golds)
    count = max(1, len(examples))
    return {"exact_match": 100.0 * exact / count, "f1": 100.0 * f1s / count}


def _f1_of_v1(prediction: str, gold: str) -> float:
    """F1 as 1.1 has it: no common word is 0, even where neither text has any."""
    return f1(prediction, gold) if normalise_answer(prediction) else 0.0


@dataclass(frozen=True, slots=True)
class QuestionScore:
    """One question's exact match and F1, 0 to 1."""

    exact: float
    f1: float
    answerable: bool


def question_scores(
    examples: Sequence[Example], predictions: Mapping[str, str]
) -> dict[str, QuestionScore]:
    """Each question's scores by SQuAD 2.0, by its id, in the order of the examples."""
    found: dict[str, QuestionScore] = {}
    for example in examples:
        prediction = predictions.get(example.id)
        golds, answerable = example.answer_texts, bool(example.answers)
        if prediction is None:
            found[example.id] = QuestionScore(0.0, 0.0, answerable)
        else:
            found[example.id] = QuestionScore(
                best_over(exact_match, prediction, golds),
                best_over(f1, prediction, golds),
                answerable,
            )
    return found


def squad_scores(
    examples: Sequence[Example],
    predictions: Mapping[str, str],
    no_answer: Mapping[str, float] | None = None,
    *,
    threshold: float = math.inf,
) -> dict[str, float]:
    """The figures of the SQuAD 2.0 script, in percent, for 1.1 and 2.0 data.

    Args:
        predictions: question id to answer text, ``""`` for "no answer"; a question without one
            scores 0.
        no_answer: question id to how unlikely an answer is, on any scale; 0 for all without it.
        threshold: answers whose ``no_answer`` is above it count as "no answer".

    Returns:
        ``exact``, ``f1``, ``total``, the same for ``HasAns_`` and (where there are any) ``NoAns_``
        questions, and ``best_exact``/``best_f1`` with the thresholds on ``no_answer`` that reach
        them. As in the script, these come from the answers before ``threshold`` is applied, and
        equal ``no_answer`` values are told apart in the search.
    """
    raw = question_scores(examples, predictions)
    has_answer = {key: score.answerable for key, score in raw.items()}
    odds = {key: (no_answer or {}).get(key, 0.0) for key in raw}
    refused = {key for key in raw if odds[key] > threshold}
    exact, f1s = (
        {
            key: float(not score.answerable) if key in refused else getattr(score, name)
            for key, score in raw.items()
        }
        for name in ("exact", "f1")
    )
    report = {**_averages(exact, f1s, list(exact), "")}
    for prefix, wanted in (("HasAns_", True), ("NoAns_", False)):
        ids = [key for key, value in has_answer.items() if value is wanted]
        if ids:
            report.update(_averages(exact, f1s, ids, prefix))
    for name in ("exact", "f1"):
        scores = {key: float(getattr(score, name)) for key, score in raw.items()}
        report[f"best_{name}"], report[f"best_{name}_thresh"] = _best_threshold(
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
