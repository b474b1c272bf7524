"""Commands on the reader: ``reader evaluate|finetune``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from bot.cli.output import console, count_progress, errors, print_json, total_progress
from bot.settings import from_environment

reader = typer.Typer(help="Measure and train the reader.", no_args_is_help=True)


@reader.command()
def evaluate(
    data: Annotated[Path, typer.Argument(help="SQuAD JSON, also .xz.", show_default=False)],
    model: Annotated[
        str | None,
        typer.Option(help="Folder or hub id; by default SPANBOT_READER or the embedded reader."),
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Write every answer here, question id to text.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many questions, spread over the file.")
    ] = None,
) -> None:
    """Score a reader on a SQuAD file; prints the JSON that SpanBERT's model card gives."""
    from reader.evaluate import evaluate as score
    from reader.evaluate import save_predictions
    from reader.reader import load_reader
    from reader.squad import load_squad

    settings = from_environment()
    examples = load_squad(data)
    if limit is not None and limit < len(examples):
        examples = [examples[i * len(examples) // limit] for i in range(limit)]
    chosen = load_reader(model or settings.reader, device=settings.device, notify=_notify)
    with count_progress("Reading", len(examples)) as progress:
        result = score(chosen, examples, progress=progress)
    if predictions is not None:
        save_predictions(result.predictions, predictions)
    print_json(result.scores)


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
    dev_questions: Annotated[int, typer.Option(help="How many of its questions.")] = 500,
    evaluate_every: Annotated[int, typer.Option(help="Score every so many steps.")] = 500,
    epochs: Annotated[int, typer.Option(min=1)] = 1,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 2e-4,
    batch_pieces: Annotated[
        int, typer.Option(help="Word pieces a batch; 5,120 are about 32 paragraphs.")
    ] = 5120,
    dropout: Annotated[float, typer.Option(min=0.0, max=0.9)] = 0.0,
    no_answer: Annotated[
        float, typer.Option(min=0.0, help="Weight of learning where no answer is; 0: off.")
    ] = 0.0,
    final_rate: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the learning rate left at the end.")
    ] = 0.0,
    bf16: Annotated[
        bool | None,
        typer.Option(help="Compute in bfloat16.", show_default="where the processor is fast at it"),
    ] = None,
    seed: Annotated[int, typer.Option()] = 13,
    half: Annotated[bool, typer.Option(help="Also write the model in float16.")] = False,
) -> None:
    """Fine-tune a BERT for question answering on SQuAD files or a team's own questions."""
    from reader import checkpoint as checkpoints
    from reader.curve import draw
    from reader.evaluate import evaluate as score
    from reader.finetune import FinetuneConfig, Progress
    from reader.finetune import finetune as train
    from reader.groups import load_training
    from reader.network import Network
    from reader.reader import Reader
    from reader.squad import load_squad

    settings = from_environment()
    groups = [group for path in data for group in load_training(path)]
    device = checkpoints.choose_device(settings.device)
    measured = load_squad(dev) if dev is not None else []
    measured = measured[:: max(1, len(measured) // dev_questions)]
    config = FinetuneConfig(
        epochs=epochs,
        learning_rate=learning_rate,
        batch_pieces=batch_pieces,
        dropout=dropout,
        no_answer=no_answer,
        final_rate=final_rate,
        bf16=checkpoints.fast_bf16(device) if bf16 is None else bf16,
        seed=seed,
    )

    def dev_f1(checkpoint: checkpoints.Checkpoint) -> float:
        result = score(Reader(checkpoint.tokenizer, Network(checkpoint)), measured)
        errors.print(f"dev F1 {result.scores['f1']:.2f} on {len(measured)} questions")
        return result.scores["f1"]

    with total_progress("Training") as advance:

        def report(step: Progress) -> None:
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
    if half:
        checkpoints.save(checkpoints.load(model), run / "model-fp16", half=True)
    draw(run / "history.json", run / "curve.png")
    console.print(Text(json.dumps({"model": str(model)})))


def _notify(notice: str) -> None:
    errors.print(f"Note: {notice}", style="yellow", markup=False)
