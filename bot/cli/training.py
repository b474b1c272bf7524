"""Training the reader: ``reader finetune|pretrain``."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from bot.cli.opening import open_installation
from bot.cli.options import one_of, real, whole
from bot.cli.output import console, count_progress, errors, note, total_progress
from bot.cli.reader import check_length
from bot.errors import SpanbotError
from bot.settings import from_environment
from reader.errors import TrainingError
from reader.groups import Group
from reader.recipes import BASE, BASE_HIDDEN, NO_ANSWER, RECIPES, SMALL, FinetuneConfig, recipe_for

#: The largest seed that torch takes.
_MOST_SEED = 2**64 - 1

#: More is a slip of the keyboard, and plans for minutes before the first step.
_MOST_EPOCHS = 1000

#: AdamW moves each weight by about so much a step: with more no network is left.
_MOST_RATE = 1.0


class Masking(StrEnum):
    """The values of ``--masking``."""

    SPANS = "spans"
    PIECES = "pieces"


class Recipe(StrEnum):
    """The values of ``--recipe``."""

    BASE = BASE
    SMALL = SMALL


def _by_recipe(what: str, name: str) -> str:
    """The help of an option whose default is the recipe's."""
    base, small = (f"{getattr(RECIPES[kind], name):g}" for kind in (BASE, SMALL))
    values = base if base == small else f"{base} ({BASE}) or {small} ({SMALL})"
    return f"{what}; by default {values}."


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(finetune)
    app.command()(pretrain)


def finetune(
    data: Annotated[
        list[Path],
        typer.Argument(help="SQuAD JSON or groups (.jsonl), also .xz.", show_default=False),
    ],
    start: Annotated[
        str, typer.Option(help="Folder or hub id of the weights to start from.", show_default=False)
    ],
    run: Annotated[
        Path,
        typer.Option(help="Folder of the run; an interrupted one goes on.", show_default=False),
    ],
    dev: Annotated[
        Path | None, typer.Option(help="SQuAD JSON to score the weights on while training.")
    ] = None,
    dev_questions: Annotated[int, whole(least=1, help="So many of its questions.")] = 500,
    evaluate_every: Annotated[int, whole(least=1, help="Score every so many steps.")] = 500,
    recipe: Annotated[
        Recipe | None,
        one_of(
            Recipe,
            help="Settings for large or for small networks; by default as --start is. "
            "Options change single ones.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        whole(
            least=1,
            most=_MOST_EPOCHS,
            help=_by_recipe("How often the questions are seen", "epochs"),
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        real(least=0, most=_MOST_RATE, help=_by_recipe("Peak learning rate", "learning_rate")),
    ] = None,
    warmup: Annotated[
        float | None,
        real(least=0, most=1, help=_by_recipe("Share of the steps in which it rises", "warmup")),
    ] = None,
    weight_decay: Annotated[
        float | None, real(least=0, help=_by_recipe("AdamW's weight decay", "weight_decay"))
    ] = None,
    clip_norm: Annotated[
        float | None,
        real(least=0, help=_by_recipe("Norm to which gradients are cut, 0 for none", "clip_norm")),
    ] = None,
    batch_pieces: Annotated[
        int | None,
        whole(
            least=1,
            help=_by_recipe(
                "Word pieces a batch; 5,632 are 32 paragraphs of SQuAD", "batch_pieces"
            ),
        ),
    ] = None,
    accumulate: Annotated[
        int | None,
        whole(least=1, help=_by_recipe("So many batches make one step", "accumulate")),
    ] = None,
    length: Annotated[
        int | None, whole(least=128, help=_by_recipe("Most word pieces a window", "max_length"))
    ] = None,
    overlap: Annotated[
        int | None,
        whole(least=0, help=_by_recipe("Word pieces that windows of a text share", "overlap")),
    ] = None,
    dropout: Annotated[
        float | None,
        real(least=0, most=0.9, help=_by_recipe("Share of values dropped", "dropout")),
    ] = None,
    no_answer: Annotated[
        float | None,
        real(
            least=0,
            help="Weight of learning where no answer is; by default "
            f"{NO_ANSWER:g} if questions have none, else 0 (off).",
        ),
    ] = None,
    final_rate: Annotated[
        float, real(least=0, most=1, help="Share of the learning rate left at the end.")
    ] = 0.0,
    negatives: Annotated[
        int,
        whole(least=0, help="So many wrong passages beside each question's own, found by BM25."),
    ] = 0,
    match: Annotated[
        bool, typer.Option("--match", help="Mark the words of the question in the passages.")
    ] = False,
    teacher: Annotated[
        str | None,
        typer.Option(help="Folder or hub id of a better reader to learn from.", show_default=False),
    ] = None,
    distill: Annotated[float, real(least=0, help="Weight of learning from the --teacher.")] = 1.0,
    temperature: Annotated[
        float, real(least=0.01, help="How much the --teacher's doubts count.")
    ] = 2.0,
    ranking: Annotated[
        float, real(least=0, help="Weight of learning to rank passages too; 0: off.")
    ] = 0.0,
    bf16: Annotated[
        bool | None,
        typer.Option(help="Compute in bfloat16.", show_default="where the processor is fast at it"),
    ] = None,
    seed: Annotated[
        int, whole(least=0, most=_MOST_SEED, help="Of all that is drawn by chance.")
    ] = 13,
    save_every: Annotated[int, whole(least=1, help="Steps between checkpoints.")] = 200,
    half: Annotated[bool, typer.Option(help="Also write the model in float16.")] = False,
) -> None:
    """Fine-tune a BERT for question answering on SQuAD files or a team's own questions."""
    from reader import checkpoint as checkpoints
    from reader.evaluate import evaluate as score_reader
    from reader.finetune import Progress
    from reader.finetune import finetune as train
    from reader.groups import load_training
    from reader.reader import reader_of
    from reader.squad import load_squad, spread
    from reader.throughput import prefers_bf16

    settings = from_environment()
    groups = [group for path in data for group in _groups_of(load_training(path), negatives, seed)]
    device = checkpoints.choose_device(settings.device)
    measured = spread(load_squad(dev), dev_questions) if dev is not None else []
    stored = checkpoints.read(start, head_required=False, notify=note)
    check_length(length, stored.name, stored.max_length)
    hidden, most = stored.shape.hidden, stored.max_length
    del stored  # its weights
    given: dict[str, Any] = {
        "epochs": epochs,
        "learning_rate": learning_rate,
        "warmup": warmup,
        "weight_decay": weight_decay,
        "clip_norm": clip_norm,
        "batch_pieces": batch_pieces,
        "accumulate": accumulate,
        "max_length": length,
        "overlap": overlap,
        "dropout": dropout,
    }
    silent = sum(not group.answerable for group in groups)
    if no_answer is None and silent:
        errors.print(
            f"{silent:,} of {len(groups):,} questions have no answer; learning that weighs "
            f"{NO_ANSWER:g} (--no-answer)"
        )
    name = recipe_for(hidden) if recipe is None else recipe.value
    config = replace(
        RECIPES[name],
        **{key: value for key, value in given.items() if value is not None},
        no_answer=(NO_ANSWER if silent else 0.0) if no_answer is None else no_answer,
        final_rate=final_rate,
        bf16=prefers_bf16(device) if bf16 is None else bf16,
        seed=seed,
        save_every=save_every,
        match=match,
        teacher=teacher,
        distill=distill,
        temperature=temperature,
        ranking=ranking,
    )
    errors.print(_recipe_told(name, config, hidden, most, asked_for=recipe is not None))

    def dev_f1(checkpoint: checkpoints.Checkpoint) -> float:
        result = score_reader(reader_of(checkpoint), measured)
        errors.print(f"dev F1 {result.scores['f1']:.2f} on {len(measured)} questions")
        return result.scores["f1"]

    steps = 0
    with total_progress("Training") as advance:

        def report(step: Progress) -> None:
            nonlocal steps
            steps += 1
            advance(step.step, step.steps)
            if step.step % 20 == 0 or step.step == step.steps:
                errors.print(
                    f"step {step.step:,} of {step.steps:,}  loss {step.loss:.3f}  "
                    f"{step.pieces_per_second:,.0f} pieces/s"
                )

        model = train(
            start,
            groups,
            run,
            config,
            device=device,
            evaluate=dev_f1 if measured else None,
            evaluate_every=evaluate_every,
            progress=report,
            notify=note,
        )
    if not steps:
        note(
            f"the run in {run} was complete before; nothing was trained"
            + (", and --dev was not used: see spanbot reader evaluate" if measured else "")
        )
    if half:
        checkpoints.save(checkpoints.load(model), run / "model-fp16", half=True)
    _tell_trained(run, model)


def _groups_of(groups: list[Group], negatives: int, seed: int) -> list[Group]:
    """A file's questions, with so many wrong passages of that file beside their own."""
    from bot.negatives import with_negatives

    if not negatives:
        return groups
    with count_progress("Finding wrong passages", len(groups)) as progress:
        found = with_negatives(groups, negatives, seed=seed, progress=progress)
    counts = [
        len(after.passages) - len(before.passages)
        for before, after in zip(groups, found, strict=True)
    ]
    fewer = sum(count < negatives for count in counts)
    errors.print(
        f"{sum(counts):,} wrong passages beside those of {len(groups):,} questions; fewer than "
        f"{negatives} beside {fewer:,} of them"
    )
    return found


def _recipe_told(
    name: str, config: FinetuneConfig, hidden: int, most: int, *, asked_for: bool
) -> str:
    """Which recipe is used and why, and what it comes to.

    ``hidden`` is the size of the network's states and ``most`` the pieces that it reads at once.
    """
    length = f"{config.max_length}"
    if most < config.max_length:
        length = f"{most} (the network reads no more; the recipe has {length})"
    why = (
        "as --recipe says"
        if asked_for
        else f"as the start's hidden size is {hidden} (base is for {BASE_HIDDEN} and more)"
    )
    return (
        f"Recipe {name}, {why}: learning rate {config.learning_rate:g}, epochs {config.epochs}, "
        f"{config.accumulate} x {config.batch_pieces:,} pieces a step, length "
        f"{length}, overlap {config.overlap}, warm-up {config.warmup:g}, "
        f"weight decay {config.weight_decay:g}, clipping {config.clip_norm:g}, "
        f"dropout {config.dropout:g}"
    )


def pretrain(
    start: Annotated[
        str, typer.Option(help="Folder or hub id of the weights to start from.", show_default=False)
    ],
    run: Annotated[
        Path,
        typer.Option(help="Folder of the run; an interrupted one goes on.", show_default=False),
    ],
    corpora: Annotated[
        list[Path] | None,
        typer.Argument(help="Text files, also .xz; blank lines part documents."),
    ] = None,
    from_documents: Annotated[
        bool, typer.Option("--from-documents", help="Train on the knowledge base's documents too.")
    ] = False,
    masking: Annotated[
        Masking, one_of(Masking, help="What is hidden; pieces is the plain baseline, alone.")
    ] = Masking.SPANS,
    epochs: Annotated[
        float, real(least=0, most=_MOST_EPOCHS, help="How often the text is seen.")
    ] = 1.0,
    steps: Annotated[int | None, whole(least=1, help="Steps, in the place of epochs.")] = None,
    rows: Annotated[int, whole(least=1, help="Rows at once; more where they are short.")] = 32,
    accumulate: Annotated[int, whole(least=1, help="So many batches of rows make one step.")] = 1,
    length: Annotated[
        int | None,
        whole(least=8, help="Word pieces a row; by default 512, or as many as the network reads."),
    ] = None,
    learning_rate: Annotated[
        float, real(least=0, most=_MOST_RATE, help="Peak learning rate.")
    ] = 1e-4,
    dropout: Annotated[float, real(least=0, most=0.9, help="Share of values dropped.")] = 0.1,
    bf16: Annotated[
        bool | None,
        typer.Option(help="Compute in bfloat16; by default where it is fast."),
    ] = None,
    seed: Annotated[
        int, whole(least=0, most=_MOST_SEED, help="Of all that is drawn by chance.")
    ] = 13,
    save_every: Annotated[int, whole(least=1, help="Steps between checkpoints.")] = 200,
) -> None:
    """Go on pre-training a BERT on plain text by span masking, as SpanBERT was."""
    from reader import checkpoint as checkpoints
    from reader.corpus import documents, fingerprint
    from reader.masking import MaskingConfig
    from reader.pretrain import PretrainConfig, Progress
    from reader.pretrain import pretrain as train

    if not corpora and not from_documents:
        raise SpanbotError("name text files to train on, or give --from-documents")
    settings = from_environment()
    stored = checkpoints.read(start, head_required=False, notify=note)
    check_length(length, stored.name, stored.max_length)
    most = stored.max_length
    del stored  # its weights
    config = PretrainConfig(
        epochs=epochs,
        steps=steps,
        rows=rows,
        accumulate=accumulate,
        learning_rate=learning_rate,
        dropout=dropout,
        masking=MaskingConfig(kind=masking.value),
        bf16=bf16,
        seed=seed,
        save_every=save_every,
    )
    if length is not None:
        config = replace(config, length=length)
    elif most < config.length:
        note(f"rows of {most} word pieces; the network reads no more than that at once")

    def report(step: Progress) -> None:
        advance(step.step, step.steps)
        errors.print(
            f"step {step.step:,} of {step.steps:,}  loss {step.loss:.3f} "
            f"(masked {step.masked:.3f}, boundary {step.boundary:.3f})  "
            f"{step.pieces_per_second:,.0f} pieces/s  "
            f"{step.utilisation:.0%} of the matrix rate"
        )

    with ExitStack() as stack:
        texts = documents(corpora or [])
        if from_documents:
            texts = chain(texts, stack.enter_context(open_installation()).knowledge.texts())
        advance = stack.enter_context(total_progress("Pre-training"))
        model = train(
            start,
            texts,
            run,
            config,
            source=None if from_documents else fingerprint(corpora or []),
            device=checkpoints.choose_device(settings.device),
            prepared=_told("Documents prepared"),
            progress=report,
            notify=note,
        )
    _tell_trained(run, model)


def _tell_trained(run: Path, model: Path) -> None:
    """Print where the model is, and draw the run; hours of training do not fail for a picture."""
    from reader.curve import draw

    console.print(Text(json.dumps({"model": str(model)})))
    try:
        draw(run / "history.json", run / "curve.png")
    except TrainingError as error:
        note(str(error))


def _told(label: str, every: int = 10_000) -> Callable[[int], None]:
    """Says a growing count now and then."""
    total = 0

    def count(more: int) -> None:
        nonlocal total
        if total // every != (total + more) // every:
            errors.print(f"{label}: {total + more:,}")
        total += more

    return count
