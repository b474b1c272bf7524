"""The training data of the embedded models, made from the data folder; every part resumable."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from bench.arguments import settings_of
from bench.groups import groups as groups_of
from bench.groups import in_sentences, load
from bot.installation import Installation
from bot.negatives import beside, wrong_passages
from bot.settings import Settings
from reader.errors import DatasetError
from reader.files import lines_of, read_text
from reader.groups import Group, GroupPassage, load_groups, of_squad, save_groups
from reader.squad import load_squad, spread

_Item = TypeVar("_Item")

#: Questions that are worked on between two looks at the clock's end; see :func:`in_chunks`.
CHUNK = 500

#: What a data folder's sets are called, where they lie, and their licences.
READER_SETS: Mapping[str, tuple[str, str]] = {
    "SQuAD 1.1 train, reconstructed": ("squad/train-reconstructed-v1.1", "CC BY-SA 4.0"),
    "QAMR dev": ("qa/qamr-dev", "MIT"),
    "QAMR test": ("qa/qamr-test", "MIT"),
    "SQuADShifts, Reddit": ("qa/squadshifts-reddit", "see its authors' terms"),
}


@dataclass(frozen=True, slots=True)
class MoreSet:
    """A set of the data folder that a run may add to :data:`READER_SETS`.

    Attributes:
        title, file, licence: as there.
        used: what the model card says of it when it was trained on.
        why_not: what it says otherwise.
    """

    title: str
    file: str
    licence: str
    used: str
    why_not: str


#: By the name that ``--more`` takes.
MORE_SETS: Mapping[str, MoreSet] = {
    "amazon": MoreSet(
        "SQuADShifts, Amazon reviews",
        "qa/squadshifts-amazon_reviews",
        "see its authors' terms",
        "It is an official **test** set of SQuADShifts, so no score on it can be reported for "
        "these weights.",
        "a test set of product reviews in the first person, which no handbook is like; untouched, "
        "so that a score on it means something",
    ),
    "part-c2": MoreSet(
        "SQuAD 1.1 train, part C2",
        "squad/train-part-C2-realigned-loose",
        "CC BY-SA 4.0",
        "More of SQuAD's train set, put back together on weaker evidence: in a check 83 % of its "
        "paragraphs were the right ones.",
        "in a check 17 % of its paragraphs were not the ones that its questions were asked on",
    ),
    "subjqa": MoreSet(
        "SubjQA train",
        "qa/subjqa-train",
        "see its authors' terms",
        "Opinions from reviews; its answers are longer than the other sets'.",
        'its questions ask for opinions ("How is the capacity?"), and its answers, five words in '
        "the middle and not two, teach other limits of an answer than the other sets'",
    ),
}


def reader_sets(more: Sequence[str] = ()) -> dict[str, tuple[str, str]]:
    """The sets of a run by what they are called: files and licences, with those of ``--more``."""
    added = (MORE_SETS[name] for name in more)
    return {**READER_SETS, **{one.title: (one.file, one.licence) for one in added}}


#: What ``--pretrain-steps`` reads: articles, and documentation like what a team has.
CORPORA: Mapping[str, tuple[str, str]] = {
    "English Wikipedia 2018, first part": ("corpus/wiki-en-2018-core-1.txt.xz", "CC BY-SA 3.0"),
    "PowerShell documentation": ("corpus/docs-powershell.txt.xz", "CC BY 4.0"),
    "Python Enhancement Proposals": ("corpus/docs-peps.txt.xz", "public domain"),
    "The Rust Programming Language": ("corpus/docs-rust-book.txt.xz", "MIT/Apache-2.0"),
}
DEV = "squad/dev-v1.1"
QED = "qa/qed-nq-dev"


@dataclass(frozen=True, slots=True)
class Handbook:
    """Documents that there are questions on. ``apart``: they are of different organisations."""

    name: str
    source: Path  # a folder, or a .tar.xz of one
    apart: bool


def file_of(data: Path, name: str) -> Path:
    """A set's file, compressed or not.

    Raises:
        DatasetError: it is not there.
    """
    for ending in (".json.xz", ".json"):
        if (data / (name + ending)).is_file():
            return data / (name + ending)
    raise DatasetError(f"there is no {data / name}.json.xz; give the data folder with --data")


def handbooks(data: Path, questions: Path) -> list[Handbook]:
    """The knowledge bases that the questions name.

    Each is ``data/kb/NAME.tar.xz``, or the folder ``NAME`` beside the questions' folder, whose
    documents are of different organisations.

    Raises:
        DatasetError: there are no questions, or no documents to them.
    """
    names: dict[str, None] = {}
    for path in question_files(questions):
        for number, line in enumerate(lines_of(read_text(path)), 1):
            try:
                names[str(json.loads(line)["kb"])] = None
            except (ValueError, KeyError, TypeError) as error:
                raise DatasetError(f'{path}, line {number}: no JSON object with "kb"') from error
    found = []
    for name in sorted(names):
        packed, folder = data / "kb" / f"{name}.tar.xz", questions.parent / name
        if packed.is_file():
            found.append(Handbook(name, packed, apart=False))
        elif folder.is_dir():
            found.append(Handbook(name, folder, apart=True))
        else:
            raise DatasetError(f'questions are on "{name}", but there is no {packed} nor {folder}')
    return found


def digest_of(books: Sequence[Handbook]) -> str:
    """SHA-256 over the handbooks' names and documents, hexadecimal.

    A folder's documents count with the paths that questions name them by.
    """
    digest = hashlib.sha256()
    for book in books:
        files = (
            [book.source]
            if book.source.is_file()
            else sorted(path for path in book.source.rglob("*") if path.is_file())
        )
        for path in files:
            place = path.relative_to(book.source.parent).as_posix()
            digest.update(f"{book.name}\0{book.apart}\0{place}\0".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def corpora(data: Path) -> list[Path]:
    """The files of :data:`CORPORA`.

    Raises:
        DatasetError: one is not there.
    """
    files = [data / file for file, _ in CORPORA.values()]
    for path in files:
        if not path.is_file():
            raise DatasetError(f"there is no {path}; leave out --pretrain-steps, or add it")
    return files


def question_files(questions: Path) -> list[Path]:
    """The files of a folder of questions.

    Raises:
        DatasetError: there is none.
    """
    files = sorted(questions.glob("*.jsonl"))
    if not files:
        raise DatasetError(f"{questions} holds no .jsonl files; give the folder with --questions")
    return files


def settings_on(folder: Path, device: str) -> Settings:
    """The environment's settings with another home folder and device."""
    return replace(settings_of(folder), device=device)


def installed(book: Handbook, folder: Path, device: str) -> None:
    """Make an installation in ``folder`` that holds the handbook; what is in it already is kept."""
    source = book.source
    if source.is_file():
        source = folder / "documents"
        if not source.is_dir():
            part = folder / "documents.part"
            with tarfile.open(book.source) as archive:
                archive.extractall(part, filter="data")
            part.rename(source)
    with Installation(settings_on(folder, device)) as installation:
        installation.knowledge.add([source])


def in_chunks(
    items: Sequence[_Item],
    folder: Path,
    make: Callable[[Sequence[_Item], np.random.Generator], Sequence[Group]],
    check: Callable[..., None],
    *,
    seed: int = 13,
) -> list[Group]:
    """The groups of all items, made and kept in files of :data:`CHUNK` items each."""
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Group] = []
    for begin in range(0, len(items), CHUNK):
        path = folder / f"{begin:06d}.jsonl"
        if not path.exists():
            check()
            part = path.with_suffix(".part.jsonl")
            generator = np.random.default_rng([seed, begin])
            save_groups(make(items[begin : begin + CHUNK], generator), part)
            part.replace(path)
        made += load_groups(path)
    return made


def of_handbook(
    book: Handbook,
    questions: Path,
    settings: Settings,
    folder: Path,
    check: Callable[..., None],
    *,
    negatives: int,
    limit: int = 0,
) -> list[Group]:
    """The groups of a handbook's questions, in the order of its documents."""
    asked = sorted(load(question_files(questions), book.name), key=lambda item: item.document)
    if limit:
        asked = asked[:limit]
    with Installation(settings) as installation:
        return in_chunks(
            asked,
            folder,
            lambda part, generator: [
                group
                for group in groups_of(
                    part,
                    installation,
                    negatives=negatives,
                    generator=generator,
                    apart=book.apart,
                )
                if group is not None
            ],
            check,
        )


def sentences_of(made: Sequence[Group], seed: int = 13) -> list[Group]:
    """See :func:`bench.groups.in_sentences`."""
    generator = np.random.default_rng(seed)
    return [in_sentences(group, generator) for group in made]


def squad_groups(path: Path, count: int, folder: Path, check: Callable[..., None]) -> list[Group]:
    """SQuAD questions, every other one with the paragraph that BM25 ranks highest without it."""
    examples = load_squad(path)
    with wrong_passages(GroupPassage(example.context) for example in examples) as find:
        return in_chunks(
            of_squad(spread(examples, count)),
            folder,
            lambda part, generator: [
                beside(group, find(group, number % 2), generator)
                for number, group in enumerate(part)
            ],
            check,
        )
