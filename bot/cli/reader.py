"""Measuring the reader: ``reader evaluate|score|compare``."""

from __future__ import annotations

from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from bot.cli.options import one_of, real, whole
from bot.cli.output import console, count_progress, note, print_json
from bot.errors import SpanbotError
from bot.settings import from_environment

#: A whole question, two separators, [CLS], and a piece of the paragraph.
SHORTEST_WINDOW = 68


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
    if model is not None and not model.strip():
        raise SpanbotError(
            "--model is empty; name a folder or a hub id like owner/name, or leave it out for "
            "SPANBOT_READER or the embedded reader"
        )
    settings = from_environment()
    examples = spread(load_squad(data), limit or 0)
    options = ReaderOptions(overlap=overlap)
    chosen = load_reader(
        model or settings.reader,
        device=settings.device,
        precision=settings.reader_precision,
        options=replace(options, max_length=length) if length else options,
        notify=note,
    )
    check_length(length, chosen.name, chosen.options.max_length)
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


def check_length(length: int | None, name: str, most: int) -> None:
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
        note(
            f'{path} has no answer to {len(missing):,} of {len(ids):,} questions, "{missing[0]}" '
            "among them; they score 0"
        )
