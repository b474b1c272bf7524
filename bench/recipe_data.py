"""The training data of the embedded models, made from the data folder; every part resumable."""

from __future__ import annotations

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
from reader.files import read_text
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
        for number, line in enumerate(read_text(path).splitlines(), 1):
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
