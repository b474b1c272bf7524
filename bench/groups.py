"""From questions on documents to the groups of passages that a reader is trained on.

    python -m bench.groups QUESTIONS ... --home NAME=HOME ... --out GROUPS.jsonl [--apart NAME]

A line of the questions is ``{"kb", "document", "questions": [...], "answer", "near"?}``: the answer
as it stands in the document, or null where the document does not say it; ``near`` is a longer
stretch around an answer that stands there several times. ``--home`` gives the home folder of an
installation that holds the documents of that ``kb``.

A group is the passage that holds the answer and the passages that the program's own ranking puts
highest without it. Passages of the same document come first: a neighbouring paragraph is what a
reader mistakes for the answer. ``--apart NAME`` says that the documents of that ``kb`` are of
different organisations, so that one's rules answer nothing about another: groups then hold passages
of one document only.

``--sentences FILE`` also writes each group with one sentence of every passage in the passage's
place: the answer's, and any of the others'. Both files are what a reader (``spanbot reader
finetune``) or a ranker (``python -m reader.contrast``) is trained on; ``--by-document`` keeps the
questions on a document together, which the ranker's training makes use of.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from bench.arguments import foreseen, named_home, settings_of
from bot.candidates import above
from bot.evaluation import is_document
from bot.installation import Installation
from bot.negatives import beside
from bot.quotes import quote_around
from reader.arguments import existing_file, whole
from reader.errors import DatasetError
from reader.files import lines_of, read_text
from reader.groups import Group, GroupPassage, folded, save_groups
from retriever.links import SEPARATOR, place_of
from retriever.records import Anchor, Hit
from retriever.sentences import sentence_spans
from retriever.store import documents
from retriever.store.models import Document, PassageRow


@dataclass(frozen=True, slots=True)
class Asked:
    """One wording of a question, and where its answer stands (no document's text: None)."""

    question: str
    document: str
    answer: str | None
    near: str | None


@dataclass(frozen=True, slots=True)
class Source:
    """A document of the knowledge base with its passages, as (start, end)."""

    number: int
    uri: str
    title: str
    text: str
    passages: tuple[tuple[int, int], ...]


def load(paths: Sequence[Path], kb: str) -> list[Asked]:
    """The questions on one knowledge base, each wording by itself.

    Raises:
        DatasetError: a line is of another form; the message names it.
    """
    found = []
    for path in paths:
        for number, line in enumerate(lines_of(read_text(path)), 1):
            try:
                record = json.loads(line)
                if record["kb"] == kb:
                    found += [
                        Asked(question, record["document"], record["answer"], record.get("near"))
                        for question in record["questions"]
                    ]
            except (ValueError, KeyError, TypeError) as error:
                raise DatasetError(
                    f'{path}, line {number}: expected {{"kb", "document", "questions", "answer"}}; '
                    f"wrong is {error}"
                ) from error
    return found


def sources(installation: Installation) -> list[Source]:
    """Every document of an installation that is served."""
    with installation.database.read() as session:
        rows = session.execute(
            select(Document.id, Document.uri, Document.title, Document.text)
        ).all()
        passages: dict[int, list[tuple[int, int]]] = {}
        for number, start, end in session.execute(
            select(PassageRow.document_id, PassageRow.start, PassageRow.end)
        ).all():
            passages.setdefault(number, []).append((start, end))
    return [
        Source(number, uri, title, text, tuple(sorted(passages.get(number, []))))
        for number, uri, title, text in rows
    ]


def place_in(text: str, answer: str, near: str | None) -> tuple[int, int] | None:
    """Where an answer stands in a text, whatever white space lies between its words."""
    start = 0
    if near is not None:
        around = _pattern(near).search(text)
        if around is None:
            return None
        start = around.start()
    found = _pattern(answer).search(text, start)
    return None if found is None else found.span()


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(r"\s+".join(re.escape(word) for word in text.split()))


def groups(
    asked: Sequence[Asked],
    installation: Installation,
    *,
    negatives: int,
    generator: np.random.Generator,
    apart: bool = False,
) -> Iterator[Group | None]:
    """A group for each question; None for one whose document or answer is not there."""
    known = sources(installation)
    by_number = {source.number: source for source in known}
    with installation.database.read() as session:
        anchors = documents.anchors_of(session, sorted(by_number))
    for item in asked:
        source = next((s for s in known if is_document(s.uri, item.document)), None)
        place = (
            None
            if source is None or item.answer is None
            else place_in(source.text, item.answer, item.near)
        )
        if source is None or (item.answer is not None and place is None):
            yield None
            continue
        wanted = 0 if not negatives else 30 if apart else 12
        hits = installation.retriever.search(item.question, k=wanted) if wanted else []
        passages: list[GroupPassage] = []
        if place is not None:
            holding = [p for p in source.passages if p[0] <= place[0] and place[1] <= p[1]]
            if not holding:
                yield None
                continue
            chosen = holding[int(generator.integers(len(holding)))]
            passages.append(_passage(source, chosen, anchors[source.number], place))
        others = [h for h in hits if place is None or not _answers(h, source, place, item.answer)]
        if apart:
            others = [hit for hit in others if hit.document_id == source.number]
        elif generator.random() < 0.5:
            others.sort(key=lambda hit: hit.document_id != source.number)
        wrong = [GroupPassage(h.text, (), above(h)) for h in others[:negatives]]
        group = beside(Group(item.question, tuple(passages)), wrong, generator)
        yield group if group.passages else None


def _answers(hit: Hit, source: Source, place: tuple[int, int], answer: str | None) -> bool:
    """Whether a passage touches the answer's place, or says the same somewhere else."""
    if hit.document_id == source.number and hit.start < place[1] and place[0] < hit.end:
        return True
    return answer is not None and folded(answer) in folded(hit.text)


def _passage(
    source: Source, span: tuple[int, int], anchors: Sequence[Anchor], answer: tuple[int, int]
) -> GroupPassage:
    start, end = span
    section = place_of(start, title=source.title, link=None, anchors=anchors).section
    return GroupPassage(
        source.text[start:end],
        ((answer[0] - start, answer[1] - start),),
        SEPARATOR.join(part for part in (source.title, section) if part),
    )


def in_sentences(group: Group, generator: np.random.Generator) -> Group:
    """The group with a sentence for each passage: the one that answers, else one at random."""
    passages = []
    for passage in group.passages:
        if passage.answers:
            start, end = passage.answers[0]
            begin, stop = quote_around(passage.text, start, end)
            answers: tuple[tuple[int, int], ...] = ((start - begin, end - begin),)
        else:
            spans = sentence_spans(passage.text)
            begin, stop = spans[int(generator.integers(len(spans)))]
            answers = ()
        passages.append(GroupPassage(passage.text[begin:stop], answers, passage.context))
    return Group(group.question, tuple(passages))


@foreseen()
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("questions", type=existing_file, nargs="+")
    parser.add_argument(
        "--home", type=named_home, action="append", required=True, metavar="NAME=HOME"
    )
    parser.add_argument("--apart", action="append", default=[], metavar="NAME")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sentences", type=Path)
    parser.add_argument("--by-document", action="store_true")
    parser.add_argument("--negatives", type=whole(0), default=2)
    parser.add_argument("--seed", type=whole(0), default=13)
    chosen: Any = parser.parse_args(arguments)
    generator = np.random.default_rng(chosen.seed)
    made: list[Group] = []
    missed = 0
    for name, home in chosen.home:
        asked = load(chosen.questions, name)
        if chosen.by_document:
            asked.sort(key=lambda item: item.document)
        with Installation(settings_of(home)) as installation:
            for number, group in enumerate(
                groups(
                    asked,
                    installation,
                    negatives=chosen.negatives,
                    generator=generator,
                    apart=name in chosen.apart,
                ),
                1,
            ):
                if group is None:
                    missed += 1
                else:
                    made.append(group)
                sys.stderr.write(f"\r{name}: {number} of {len(asked)} questions")
        sys.stderr.write("\n")
    if not chosen.by_document:
        made = [made[n] for n in generator.permutation(len(made))]
    save_groups(made, chosen.out)
    if chosen.sentences is not None:
        save_groups([in_sentences(group, generator) for group in made], chosen.sentences)
    sys.stdout.write(
        f"{len(made)} groups with {sum(len(g.passages) for g in made)} passages in {chosen.out}; "
        f"{missed} questions left out (no such document or answer)\n"
    )


if __name__ == "__main__":
    main()
