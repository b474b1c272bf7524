"""The index against rank_bm25 on real text: the same scores, the same ranked lists.

    python -m bench.oracle --corpus FOLDER --questions FILE.json.xz --passages 20000 --asked 1000

Passages are cut as in ``bench.retriever``. The index is built of one half of them; then passages
are added, deleted and replaced by chance, and segments merged, until it holds the other half.
``rank_bm25.BM25Okapi`` gets what should be in the index now. Compared are the scores of all
passages and the first ``--k``, with ties in the order of ids, by every kernel that is installed,
within all collections and within one of three.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.arguments import foreseen
from bench.retriever import choose_passages, cut_corpus, write_questions
from reader.arguments import existing_file, whole
from reader.files import lines_of
from retriever.analysis import Analyzer
from retriever.index.build import IndexedPassage, segment_of
from retriever.index.folder import IndexFolder
from retriever.index.kernel import Kernel, is_compiled, load
from retriever.okapi import OkapiIndex

_STEPS = 40
_COLLECTIONS = 3


@dataclass(frozen=True, slots=True)
class Agreement:
    """How one kernel's results compare with rank_bm25's.

    Attributes:
        largest_difference: of a passage's score, over all questions and passages.
        same_lists: of ``lists``, a question in all collections and in one each.
    """

    kernel: str
    passages: int
    segments: int
    questions: int
    k: int
    largest_difference: float
    lists: int
    same_lists: int


def changed_index(
    folder: IndexFolder, passages: Sequence[IndexedPassage], source: random.Random
) -> dict[int, IndexedPassage]:
    """Build an index by adds, deletes, replacements and merges; what should be in it."""
    half = len(passages) // 2
    present = {passage.passage_id: passage for passage in passages[:half]}
    waiting = list(passages[half:])
    size = len(waiting) // _STEPS
    with folder.writer():
        folder.update(None, new=segment_of(passages[:half]), content_version=0)
    for step in range(_STEPS):
        new, waiting = waiting[:size], waiting[size:]
        gone = source.sample(sorted(present), size // 2)
        # A passage whose terms change is deleted and comes back under its own number.
        again = [
            IndexedPassage(number, present[number].collection_id, present[number].terms[::2])
            for number in gone[: size // 10]
        ]
        new += again
        for number in gone:
            del present[number]
        present |= {passage.passage_id: passage for passage in new}
        with folder.writer():
            folder.update(
                folder.open(),
                new=segment_of(new),
                gone=np.array(gone, dtype=np.int64),
                content_version=step + 1,
            )
        if step % 7 == 3:
            folder.merge()
    return present


def compare(
    folder: IndexFolder,
    kernel: Kernel,
    okapi: OkapiIndex,
    questions: Sequence[Sequence[str]],
    k: int,
) -> Agreement:
    """Ask an index and rank_bm25 the same."""
    index = folder.open()
    assert index is not None
    place = np.searchsorted(okapi.passages, index.passages)
    difference, lists, same = 0.0, 0, 0
    for number, terms in enumerate(questions):
        expected = okapi.scores(terms)[place]
        difference = max(difference, float(np.abs(index.scores(terms) - expected).max()))
        within = frozenset({1 + number % _COLLECTIONS})
        for collections in (None, within):
            wanted = okapi.search(terms, k, collections)
            found = index.search_bm25(terms, k, collections)
            lists += 1
            same += [hit.passage_id for hit in found] == [hit.passage_id for hit in wanted]
        sys.stderr.write(f"\r{number + 1}/{len(questions)} questions")
    sys.stderr.write("\n")
    return Agreement(
        kernel.name,
        len(index),
        len(index.segments),
        len(questions),
        k,
        difference,
        lists,
        same,
    )


@foreseen()
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="The index against rank_bm25.")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of .txt.xz files")
    parser.add_argument(
        "--questions", type=existing_file, required=True, help="SQuAD JSON, also .xz"
    )
    parser.add_argument("--passages", type=whole(1), default=20_000)
    parser.add_argument("--asked", type=whole(1), default=1000)
    parser.add_argument("--k", type=whole(1), default=10)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/oracle.json")
    options = parser.parse_args(arguments)
    analyzer = Analyzer()
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        write_questions(options.questions, work / "questions.txt")  # before what takes long
        total = cut_corpus(options.corpus, work / "all.txt")
        chosen = work / "passages.txt"
        choose_passages(work / "all.txt", total, options.passages, chosen)
        asked = lines_of((work / "questions.txt").read_text(encoding="utf-8"))
        questions = [analyzer.terms(question) for question in asked[: options.asked]]
        texts = lines_of(chosen.read_text(encoding="utf-8"))
        passages = [
            IndexedPassage(number, 1 + number % _COLLECTIONS, analyzer.terms(text))
            for number, text in enumerate(texts, 1)
        ]
        found = []
        for compiled in (False, True) if is_compiled() else (False,):
            kernel = load(compiled=compiled)
            folder = IndexFolder(work / kernel.name, kernel=kernel)
            present = changed_index(folder, passages, random.Random(1))
            okapi = OkapiIndex(list(present.values()), encoder=None, content_version=0)
            found.append(asdict(compare(folder, kernel, okapi, questions, options.k)))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
