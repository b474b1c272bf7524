"""Wrong passages to train a reader with: those that look right to BM25 and lack the answer.

Beside its own passage a question then has what the program's search would find for it, so that the
reader learns to compare passages, and to say that one does not answer.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from reader.groups import Group, GroupPassage, folded
from retriever.analysis import Analyzer
from retriever.index.of_texts import index_of_texts

#: So many times the passages that are wanted are looked at, best first, those of the question's own
#: document aside.
_DEPTH = 10

#: A character of a word that white space or a sign ends. Thai, Chinese, Japanese and the like have
#: words that nothing ends: there an answer stands wherever its characters do.
_WORD = (
    r"[^\W\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff]"
)
_EDGE = re.compile(_WORD)

#: Finds so many wrong passages for a question, best first; fewer where BM25 finds no more.
Finder = Callable[[Group, int], list[GroupPassage]]


@contextmanager
def wrong_passages(among: Iterable[GroupPassage]) -> Iterator[Finder]:
    """What finds wrong passages among these; BM25 ranks each text under its context.

    A wrong passage is none of the question's own, of no document of those, where documents are
    known and there are others, and does not hold its answer in whole words, white space and case
    aside. A question without an answer gets none: what another passage says may answer it.
    """
    sources: dict[tuple[str, str], set[str]] = {}
    for passage in among:
        sources.setdefault((passage.text, passage.context), set()).add(passage.document)
    passages = [GroupPassage(text, (), context) for text, context in sources]
    documents = list(sources.values())
    sizes = Counter(name for names in documents for name in names)
    plain = [folded(passage.text) for passage in passages]
    analyzer = Analyzer()
    with tempfile.TemporaryDirectory() as folder:
        texts = [f"{p.context}\n{p.text}" if p.context else p.text for p in passages]
        index = index_of_texts(Path(folder), texts, analyzer)

        def find(group: Group, count: int) -> list[GroupPassage]:
            answers = {
                folded(p.text[start:end]) for p in group.passages for start, end in p.answers
            } - {""}
            if not (answers and count):
                return []
            right = re.compile("|".join(map(_in_whole_words, sorted(answers))))
            own = {folded(passage.text) for passage in group.passages}
            around = {passage.document for passage in group.passages if len(sizes) > 1} - {""}
            depth = _DEPTH * count + sum(sizes[name] for name in around)
            ranked = index.search(analyzer.terms(group.question), depth)
            wrong = [
                passages[place.passage_id]
                for place in ranked
                if plain[place.passage_id] not in own
                and around.isdisjoint(documents[place.passage_id])
                and not right.search(plain[place.passage_id])
            ]
            return wrong[:count]

        yield find


def _in_whole_words(answer: str) -> str:
    """A pattern that finds a text, not empty, where no word goes on at either of its ends."""
    before = f"(?<!{_WORD})" if _EDGE.match(answer[0]) else ""
    behind = f"(?!{_WORD})" if _EDGE.match(answer[-1]) else ""
    return f"{before}{re.escape(answer)}{behind}"


def beside(group: Group, wrong: Sequence[GroupPassage], generator: np.random.Generator) -> Group:
    """The question with wrong passages beside its own, all in any order."""
    passages = [*group.passages, *wrong]
    order = generator.permutation(len(passages))
    return Group(group.question, tuple(passages[number] for number in order))


def with_negatives(
    groups: Sequence[Group],
    count: int,
    *,
    seed: int,
    progress: Callable[[int], None] = lambda count: None,
) -> list[Group]:
    """Every question with ``count`` wrong passages of the other questions beside its own.

    They are of other documents than its own, see :func:`wrong_passages`.

    Args:
        seed: of the order of a question's passages.
        progress: is told of each question that is done.
    """
    generator = np.random.default_rng(seed)
    found = []
    with wrong_passages(passage for group in groups for passage in group.passages) as find:
        for group in groups:
            found.append(beside(group, find(group, count), generator))
            progress(1)
    return found
