"""An answer as a Slack message: the quoted sentence with the span in bold, and its source."""

from __future__ import annotations

from collections.abc import Sequence

from bot.quotes import on_lines
from bot.slack.message import (
    Block,
    Element,
    Message,
    context,
    link,
    plain,
    rich_list,
    rich_quote,
    rich_section,
    rich_text,
    section,
    words,
)
from bot.slack.ports import AnswerSpan, Place, Reply
from bot.slack.text import clean, escape, shorten, shorten_around

FEEDBACK_ACTION = "answer_feedback"

_QUOTE = 2000
_FURTHER_QUOTE = 300
_FURTHER_ANSWERS = 2
_CLOSEST = 3
_SOURCE = 300


def render_reply(reply: Reply) -> Message:
    """The message for a reply: the best answer and two more, or that there is none.

    Without an answer, the closest documents are named but not quoted: a quote would look like an
    answer. Stays under Slack's limits (50 blocks, about 11,000 characters) whatever the document.
    """
    if reply.answered and reply.answers:
        return _answered(reply)
    return _not_found(reply.closest)


def render_help(bot_name: str) -> Message:
    """What the bot does, how to ask it and where files go; it stands in any conversation."""
    lines = [
        "Ask me a question, and I look for the answer in your team's documents. I quote the "
        "sentence that answers it, word for word, and link to where it stands.",
        f"• In a channel that I am in: @{bot_name} How long is parental leave?",
        "• In a direct message to me: just ask.",
        "• Only for your eyes, anywhere: /ask How long is parental leave?",
        f"• Admins add documents: files in a direct message to me or beside @{bot_name} in a "
        "channel, or /kb upload. /kb help names the rest.",
    ]
    return plain("\n".join(lines))


def feedback_value(question_id: int, value: int) -> str:
    """What a feedback button sends: the question's id and 1 or -1."""
    return f"{question_id}:{value}"


def parse_feedback(text: str) -> tuple[int, int]:
    """The reverse of :func:`feedback_value`; raises ValueError for anything else."""
    question_id, _, value = text.partition(":")
    if value not in ("1", "-1"):
        raise ValueError(f"{text!r} is no feedback")
    return int(question_id), int(value)


def _answered(reply: Reply) -> Message:
    best, *others = reply.answers
    blocks = [
        rich_text(
            rich_quote(_quote(best, on_lines(best.sentence), _QUOTE)),
            rich_section(link(source(best), best.url)),
        ),
        context(_assurance(best.confidence)),
    ]
    further = others[:_FURTHER_ANSWERS]
    if further:
        blocks.append(
            rich_text(
                rich_section(words("Also found", italic=True)),
                rich_list([_further(answer) for answer in further]),
            )
        )
    if reply.question_id is not None:
        blocks.append(_feedback(reply.question_id))
    said = shorten(" ".join(clean(best.sentence).split()), _QUOTE)
    return Message(f"“{escape(said)}” — {escape(source(best))}", tuple(blocks))


def _not_found(closest: Sequence[Place]) -> Message:
    said = "I found no answer to that in the documents."
    blocks = [section(said)]
    places = {(source(place), place.url): place for place in closest}
    named = list(places.values())[:_CLOSEST]
    if named:
        blocks.append(
            rich_text(
                rich_section(words("The closest I found, which may not answer it:")),
                rich_list([link(source(place), place.url) for place in named]),
            )
        )
    blocks.append(context("Other words may help: put the question another way."))
    return Message(said, tuple(blocks))


def source(place: Place) -> str:
    """A place in words: ``Title › Section (page 3)``; never empty."""
    title = shorten(_line(place.title) or "Untitled document", _SOURCE // 2)
    parts = [title]
    if place.section and _line(place.section):
        parts.append(shorten(_line(place.section), _SOURCE // 2))
    page = f" (page {place.page})" if place.page is not None else ""
    return " › ".join(parts) + page


def _quote(answer: AnswerSpan, sentence: str, limit: int) -> list[Element]:
    """The answer's ``sentence``, whose spaces may be line breaks, with the span in bold."""
    start = answer.start - answer.sentence_start
    end = answer.end - answer.sentence_start
    before, span, after = shorten_around(sentence, start, end, limit)
    return [*words(before.lstrip()), *words(span, bold=True), *words(after.rstrip())]


def _further(answer: AnswerSpan) -> list[Element]:
    return [
        *_quote(answer, answer.sentence, _FURTHER_QUOTE),
        *words(" — "),
        *link(source(answer), answer.url),
    ]


def _assurance(confidence: float) -> str:
    if confidence >= 0.7:
        return "Quoted word for word. I am fairly sure that this answers your question."
    if confidence >= 0.5:
        return "Quoted word for word. This is probably what you asked for."
    return "Quoted word for word. I am not sure of it: please check the source."


def _feedback(question_id: int) -> Block:
    def button(label: str, description: str, value: int) -> dict[str, object]:
        return {
            "text": {"type": "plain_text", "text": label},
            "accessibility_label": description,
            "value": feedback_value(question_id, value),
        }

    return {
        "type": "context_actions",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": FEEDBACK_ACTION,
                "positive_button": button("Helpful", "This answer was helpful", 1),
                "negative_button": button("Not helpful", "This answer was not helpful", -1),
            }
        ],
    }


def _line(text: str) -> str:
    return " ".join(clean(text).split())
