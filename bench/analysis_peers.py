"""The first passages of bm25s, tantivy and rank_bm25, each with its own default analysis.

    python bench/analysis_peers.py JOB.json

``bench.analysis`` starts it, with the Python in which they are; it prints JSON: for each engine,
for each question, the numbers of the passages found, best first. bm25s's default is its tokenizer
with English stop words and no stemmer, tantivy's is ``default`` (letters and digits, lower case),
and rank_bm25 has none: its manual splits at spaces.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def bm25s_lists(passages: Sequence[str], questions: Sequence[str], depth: int) -> list[list[int]]:
    import bm25s

    index = bm25s.BM25()
    index.index(bm25s.tokenize(list(passages), show_progress=False), show_progress=False)
    asked = bm25s.tokenize(list(questions), show_progress=False)
    found, _ = index.retrieve(asked, k=depth, show_progress=False)
    result: list[list[int]] = found.tolist()
    return result


def tantivy_lists(passages: Sequence[str], questions: Sequence[str], depth: int) -> list[list[int]]:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("id", fast=True, indexed=True, stored=True)
    builder.add_text_field("text")
    index = tantivy.Index(builder.build())
    writer = index.writer(num_threads=1)
    for number, text in enumerate(passages):
        document = tantivy.Document(text=text)
        document.add_unsigned("id", number)
        writer.add_document(document)
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()
    result = []
    for question in questions:
        query = index.parse_query(" ".join(re.findall(r"\w+", question.lower())), ["text"])
        hits = searcher.search(query, depth).hits
        result.append([int(searcher.doc(at)["id"][0]) for _, at in hits])
    return result


def okapi_lists(passages: Sequence[str], questions: Sequence[str], depth: int) -> list[list[int]]:
    import numpy as np
    import rank_bm25

    index: Any = rank_bm25.BM25Okapi([text.split(" ") for text in passages])
    result = []
    for question in questions:
        scores = index.get_scores(question.split(" "))
        order = np.argsort(-scores, kind="stable")[:depth]
        result.append([int(number) for number in order if scores[number] > 0])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Other engines' first passages, for bench.analysis."
    )
    parser.add_argument("job", type=Path, help="JSON")
    job = json.loads(parser.parse_args().job.read_text(encoding="utf-8"))
    asked = job["passages"], job["questions"], job["depth"]
    lists = {
        "bm25s": bm25s_lists(*asked),
        "tantivy": tantivy_lists(*asked),
        "rank_bm25": okapi_lists(*asked),
    }
    sys.stdout.write(json.dumps(lists))


if __name__ == "__main__":
    main()
