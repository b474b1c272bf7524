"""How answers look in a terminal."""

from __future__ import annotations

import pytest

from bot.answering import AnswerSpan, Reply
from bot.cli.output import show_reply


def shown(sentence: str, text: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What is printed for an answer, down to its source."""
    start = sentence.index(text)
    answer = AnswerSpan(
        text=text,
        confidence=0.9,
        sentence=sentence,
        sentence_start=100,
        document="/notes/travel.md",
        title="Travel",
        section=None,
        page=None,
        url=None,
        start=100 + start,
        end=100 + start + len(text),
        document_id=1,
        document_version=1,
    )
    show_reply(Reply("Where to?", True, (answer,), (), 0.0, 0.0, 0.0, None))
    return capsys.readouterr().out.partition("    — Travel")[0]


def test_a_sentence_is_quoted_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = (
        "Trips are booked by the travel desk; where it is closed, by yourself: keep receipts."
    )
    assert shown(sentence, "the travel desk", capsys) == f"  “{sentence}”\n"
    assert shown("List: Red; Laptop: no", "no", capsys) == "  “List: Red; Laptop: no”\n"


def test_a_long_row_of_a_table_is_quoted_cell_by_cell(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = (
        "List: Amber; Countries and rules: Canada, Japan. Ten days at most; Laptop: on loan; no VPN"
    )
    assert shown(sentence, "Ten days at most; Laptop", capsys) == (
        "  “List: Amber;\n"
        "   Countries and rules: Canada, Japan. Ten days at most;\n"
        "   Laptop: on loan; no VPN”\n"
    )
