"""Commands on the reader: ``reader evaluate|score|compare|finetune|pretrain``."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from bot.cli.opening import open_installation
from bot.cli.options import one_of, real, whole
from bot.cli.output import console, count_progress, errors, print_json, total_progress
from bot.errors import SpanbotError
from bot.settings import from_environment
from reader.errors import TrainingError
from reader.groups import Group
from reader.recipes import BASE, BASE_HIDDEN, NO_ANSWER, RECIPES, SMALL, FinetuneConfig, recipe_for

#: A whole question, two separators, [CLS], and a piece of the paragraph.
SHORTEST_WINDOW = 68


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


reader = typer.Typer(help="Measure and train the reader.", no_args_is_help=True)


@reader.command()
def evaluate(
    data: Annotated[Path, typer.Argument(help="SQuAD JSON, also .xz.", show_default=False)],
    model: Annotated[
        str | None,
        typer.Option(help="Folder or hub id; by default SPANBOT_READER or the embedded reader."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="Write the best answers here, question id to text, refused ones too."),
    ] = None,
    no_answer: Annotated[
        Path | None,
        typer.Option(help='Write how far "no answer" is above the answer, id to logits.'),
    ] = None,
    n_best: Annotated[
        Path | None, typer.Option(help="Write the 20 best answers to each question here.")
    ] = None,
    threshold: Annotated[
        float, real(help='An answer that "no answer" is above by more logits counts as none.')
    ] = 0.0,
    length: Annotated[
        int | None,
        whole(
            least=SHORTEST_WINDOW,
            help="Word pieces a window; by default 384, or as many as the model reads.",
        ),
    ] = None,
    overlap: Annotated[
        int,
        whole(
            least=0,
            help="Word pieces that windows of a paragraph share, at most half of what fits.",
        ),
    ] = 128,
    limit: Annotated[
        int | None, whole(least=1, help="Only so many questions, spread over the file.")
    ] = None,
) -> None:
    """Score a reader on a SQuAD file; prints the JSON that SpanBERT's model card gives."""
    from reader.evaluate import evaluate as score_reader
    from reader.evaluate import save_n_best, save_no_answer, save_predictions
    from reader.output import check_targets
    from reader.reader import ReaderOptions, load_reader
    from reader.squad import load_squad, spread

    check_targets({"--predictions": predictions, "--no-answer": no_answer, "--n-best": n_best})
    settings = from_environment()
    examples = spread(load_squad(data), limit or 0)
    options = ReaderOptions(overlap=overlap)
    chosen = load_reader(
        model or settings.reader,
        device=settings.device,
        precision=settings.reader_precision,
        options=replace(options, max_length=length) if length else options,
        notify=_notify,
    )
    _check_length(length, chosen.name, chosen.options.max_length)
    with count_progress("Reading", len(examples)) as progress:
        result = score_reader(
            chosen,
            examples,
            n_best=20 if n_best is not None else 1,
            threshold=threshold,
            progress=progress,
        )
    print_json(result.scores)  # first: a disk that is full now costs the files alone
    if predictions is not None:
        save_predictions(result.predictions, predictions)
    if no_answer is not None:
        save_no_answer(result.no_answer, no_answer)
    if n_best is not None:
        save_n_best(result.n_best, n_best)


def _check_length(length: int | None, name: str, most: int) -> None:
    """Raises SpanbotError for a ``--length`` beyond the most pieces that a network reads."""
    if length is not None and length > most:
        raise SpanbotError(
            f"--length is {length}, but {name} reads at most {most} word pieces at once; give no "
            "more than that"
        )


class Script(StrEnum):
    """Whose rules score: those of SQuAD's script for 1.1 or for 2.0."""

    V1 = "1.1"
    V2 = "2.0"


@reader.command()
def score(
    data: Annotated[Path, typer.Argument(help="SQuAD JSON, also .xz.", show_default=False)],
    predictions: Annotated[
        Path, typer.Argument(help="JSON, question id to text.", show_default=False)
    ],
    script: Annotated[Script, one_of(Script, help="Score as this version's script.")] = Script.V2,
    no_answer: Annotated[
        Path | None, typer.Option(help="JSON, question id to how unlikely an answer is.")
    ] = None,
    threshold: Annotated[
        float, real(help="Above this --no-answer an answer counts as none.")
    ] = 1.0,
) -> None:
    """Score a file of predictions, without a model; prints SQuAD's figures as JSON."""
    from reader.evaluate import load_no_answer, load_predictions
    from reader.metrics import squad_scores, squad_v1_scores
    from reader.squad import load_squad

    examples = load_squad(data)
    answers = load_predictions(predictions)
    _tell_missing(predictions, answers, {example.id for example in examples})
    if script is Script.V1:
        if no_answer is not None:
            raise typer.BadParameter("SQuAD 1.1 knows no --no-answer; use --script 2.0")
        print_json(squad_v1_scores(examples, answers))
        return
    odds = load_no_answer(no_answer) if no_answer is not None else None
    print_json(squad_scores(examples, answers, odds, threshold=threshold))


@reader.command()
def compare(
    data: Annotated[Path, typer.Argument(help="SQuAD JSON, also .xz.", show_default=False)],
    a: Annotated[Path, typer.Argument(help="One run's predictions.", show_default=False)],
    b: Annotated[Path, typer.Argument(help="The other run's.", show_default=False)],
    no_answer_a: Annotated[
        Path | None, typer.Option(help="JSON, A's question id to how unlikely an answer is.")
    ] = None,
    no_answer_b: Annotated[Path | None, typer.Option(help="The same of B.")] = None,
    threshold: Annotated[
        float, real(help="Above this --no-answer-a or --no-answer-b an answer counts as none.")
    ] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two files of predictions: their figures, and the interval of the difference."""
    from reader.compare import compare as compare_runs
    from reader.evaluate import load_no_answer, load_predictions, refused
    from reader.squad import load_squad

    examples = load_squad(data)
    runs = [load_predictions(a), load_predictions(b)]
    for number, (path, odds) in enumerate(((a, no_answer_a), (b, no_answer_b))):
        _tell_missing(path, runs[number], {example.id for example in examples})
        if odds is not None:
            runs[number] = refused(runs[number], load_no_answer(odds), threshold)
    found = compare_runs(examples, *runs)
    if as_json:
        print_json([asdict(comparison) for comparison in found])
        return
    table = Table(caption="B − A with its 95 % interval, by a paired bootstrap over questions")
    for heading in ("", "questions", "A", "B", "B − A", "from", "to", "B better"):
        table.add_column(heading, justify="right" if heading else "left")
    for one in found:
        table.add_row(
            one.metric,
            f"{one.questions:,}",
            f"{one.a:.2f}",
            f"{one.b:.2f}",
            *(f"{value:+.2f}" for value in (one.difference, one.low, one.high)),
            f"{one.b_better:.1%}",
        )
    console.print(table)


def _tell_missing(path: Path, predictions: dict[str, str], ids: set[str]) -> None:
    missing = sorted(ids - predictions.keys())
    if missing:
        _notify(
            f'{path} has no answer to {len(missing):,} of {len(ids):,} questions, "{missing[0]}" '
            "among them; they score 0"
        )


@reader.command()
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
        int | None, whole(least=1, help=_by_recipe("How often the questions are seen", "epochs"))
    ] = None,
    learning_rate: Annotated[
        float | None, real(least=0, help=_by_recipe("Peak learning rate", "learning_rate"))
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
        typer.Option(help="Folder or hub id of a bigger reader to learn from.", show_default=False),
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
    seed: Annotated[int, whole(least=0, help="Of all that is drawn by chance.")] = 13,
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
    stored = checkpoints.read(start, head_required=False, notify=_notify)
    _check_length(length, stored.name, stored.max_length)
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
            notify=_notify,
        )
    if not steps:
        _notify(
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


@reader.command()
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
    epochs: Annotated[float, real(least=0, help="How often the text is seen.")] = 1.0,
    steps: Annotated[int | None, whole(least=1, help="Steps, in the place of epochs.")] = None,
    rows: Annotated[int, whole(least=1, help="Rows at once; more where they are short.")] = 32,
    accumulate: Annotated[int, whole(least=1, help="So many batches of rows make one step.")] = 1,
    length: Annotated[int, whole(least=8, help="Word pieces a row.")] = 512,
    learning_rate: Annotated[float, real(least=0, help="Peak learning rate.")] = 1e-4,
    dropout: Annotated[float, real(least=0, most=0.9, help="Share of values dropped.")] = 0.1,
    bf16: Annotated[
        bool | None,
        typer.Option(help="Compute in bfloat16; by default where it is fast."),
    ] = None,
    seed: Annotated[int, whole(least=0, help="Of all that is drawn by chance.")] = 13,
    save_every: Annotated[int, whole(least=1, help="Steps between checkpoints.")] = 200,
) -> None:
    """Go on pre-training a BERT on plain text by span masking, as SpanBERT was."""
    from reader.checkpoint import choose_device
    from reader.corpus import documents, fingerprint
    from reader.masking import MaskingConfig
    from reader.pretrain import PretrainConfig, Progress
    from reader.pretrain import pretrain as train

    if not corpora and not from_documents:
        raise SpanbotError("name text files to train on, or give --from-documents")
    settings = from_environment()
    config = PretrainConfig(
        epochs=epochs,
        steps=steps,
        rows=rows,
        accumulate=accumulate,
        length=length,
        learning_rate=learning_rate,
        dropout=dropout,
        masking=MaskingConfig(kind=masking.value),
        bf16=bf16,
        seed=seed,
        save_every=save_every,
    )

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
            device=choose_device(settings.device),
            prepared=_told("Documents prepared"),
            progress=report,
            notify=_notify,
        )
    _tell_trained(run, model)


def _tell_trained(run: Path, model: Path) -> None:
    """Print where the model is, and draw the run; hours of training do not fail for a picture."""
    from reader.curve import draw

    console.print(Text(json.dumps({"model": str(model)})))
    try:
        draw(run / "history.json", run / "curve.png")
    except TrainingError as error:
        _notify(str(error))


def _told(label: str, every: int = 10_000) -> Callable[[int], None]:
    """Says a growing count now and then."""
    total = 0

    def count(more: int) -> None:
        nonlocal total
        if total // every != (total + more) // every:
            errors.print(f"{label}: {total + more:,}")
        total += more

    return count


def _notify(notice: str) -> None:
    errors.print(f"Note: {notice}", style="yellow", markup=False)
