"""Answers as messages: what is said, what is bold, and Slack's limits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.message import Message, is_web_url, plain
from bot.slack.render import (
    feedback_value,
    parse_feedback,
    render_help,
    render_reply,
    source,
)
from bot.slack.text import escape, shorten, shorten_around, typed_text, unescape
from tests.slack_parts import SENTENCE, answer_span, hit, reply
from tests.slack_server import message_errors, pings, plain_text, text_length

# Surrogates cannot be sent as UTF-8, so no stored document holds them.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)
HOSTILE = (
    "<!channel> <@U0000001> *bold* _it_ `code` https://evil.example <https://evil.example|ok> &amp;"
)


def quoted(message: Message) -> list[dict[str, Any]]:
    """The elements of the first quote."""
    elements: list[dict[str, Any]] = message.blocks[0]["elements"][0]["elements"]
    return elements


def test_the_quote_is_the_sentence_and_the_span_is_bold() -> None:
    message = render_reply(reply(answer_span(), question_id=7))
    parts = quoted(message)
    assert "".join(part["text"] for part in parts) == SENTENCE
    assert [part["text"] for part in parts if part.get("style") == {"bold": True}] == [
        "sixteen weeks"
    ]
    assert message.text == f"“{SENTENCE}” — Parental leave › How long"
    assert not message_errors(message.blocks)


def test_the_span_is_found_by_its_offset_not_by_its_words() -> None:
    sentence = "It is 5 of 5 points."
    answer = answer_span(sentence, "5 points")
    parts = quoted(render_reply(reply(answer)))
    assert [part["text"] for part in parts] == ["It is 5 of ", "5 points", "."]


def test_a_long_row_of_a_table_has_its_cells_on_lines_of_their_own() -> None:
    sentence = (
        "List: Amber; Countries and rules: Canada, Japan. Possible for ten days at most; "
        "Laptop: on loan; no VPN; Ask: IT"
    )
    parts = quoted(render_reply(reply(answer_span(sentence, "ten days"))))
    assert "".join(part["text"] for part in parts) == (
        "List: Amber;\nCountries and rules: Canada, Japan. Possible for ten days at most;\n"
        "Laptop: on loan; no VPN;\nAsk: IT"
    )
    assert [part["text"] for part in parts if part.get("style") == {"bold": True}] == ["ten days"]
    # Where it has room on one line, it stays there.
    parts = quoted(render_reply(reply(answer_span("List: Red; Laptop: no", "Red"))))
    assert "".join(part["text"] for part in parts) == "List: Red; Laptop: no"


def test_feedback_buttons_carry_the_question() -> None:
    last = render_reply(reply(answer_span(), question_id=7)).blocks[-1]
    assert last["type"] == "context_actions"
    [buttons] = last["elements"]
    assert parse_feedback(buttons["positive_button"]["value"]) == (7, 1)
    assert parse_feedback(buttons["negative_button"]["value"]) == (7, -1)


def test_an_answer_that_was_not_logged_has_no_feedback_buttons() -> None:
    assert render_reply(reply(answer_span())).blocks[-1]["type"] != "context_actions"


@pytest.mark.parametrize("value", ["", "7", "7:2", "x:1", "7:1:1"])
def test_nonsense_is_no_feedback(value: str) -> None:
    with pytest.raises(ValueError, match=r"feedback|int"):
        parse_feedback(value)
    assert parse_feedback(feedback_value(12, -1)) == (12, -1)


@pytest.mark.parametrize(
    ("url", "linked"),
    [
        ("https://docs.example.com/a?b=1#c", True),
        ("http://wiki/a", True),
        ("file:///srv/handbook/a.md", False),
        ("javascript:alert(1)", False),
        ("https:///no-host", False),
        ("https://docs.example.com/a b", False),
        ("https://[broken", False),
        ("https://docs.example.com/" + "a" * 1000, False),
        ("", False),
        (None, False),
    ],
)
def test_only_web_addresses_become_links(url: str | None, linked: bool) -> None:
    message = render_reply(reply(answer_span(url=url)))
    [element] = message.blocks[0]["elements"][1]["elements"]
    assert element["type"] == ("link" if linked else "text")
    assert element["text"] == "Parental leave › How long"
    assert is_web_url(url) is linked
    assert not message_errors(message.blocks)


def test_the_source_names_the_page() -> None:
    assert source(answer_span(section=None, page=3)) == "Parental leave (page 3)"
    assert source(answer_span(title=" \n", section="  ")) == "Untitled document"


def test_nothing_in_a_document_pings_or_formats() -> None:
    answer = answer_span(HOSTILE, "bold", title=HOSTILE, section=HOSTILE)
    for message in (
        render_reply(reply(answer, answer, question_id=1)),
        render_reply(reply(closest=(hit(HOSTILE, section=HOSTILE),))),
        plain(HOSTILE),
    ):
        assert pings(message.text, message.blocks) == frozenset()
        assert not message_errors(message.blocks)
        assert "mrkdwn" not in json.dumps(message.blocks)
    assert "<!channel>" in plain_text(render_reply(reply(answer)).blocks)


def test_no_answer_names_each_document_once_and_quotes_none() -> None:
    near = [hit(f"Document {n}", url="https://docs.example.com/") for n in (1, 1, 2, 3, 4)]
    message = render_reply(reply(closest=tuple(near)))
    shown = plain_text(message.blocks)
    assert shown.startswith("I found no answer to that in the documents.")
    assert [line for line in shown.split("\n") if line.startswith("•")] == [
        f"• [Document {n}](https://docs.example.com/)" for n in (1, 2, 3)
    ]
    assert "Secret" not in shown


def test_no_answer_and_nothing_near() -> None:
    message = render_reply(reply())
    assert "closest" not in plain_text(message.blocks)
    assert not message_errors(message.blocks)


def test_at_most_two_further_answers() -> None:
    answers = [answer_span(f"It takes {n} days.", f"{n} days") for n in range(1, 6)]
    shown = plain_text(render_reply(reply(*answers)).blocks)
    assert [n for n in range(1, 6) if f"*{n} days*" in shown] == [1, 2, 3]


def test_less_confidence_asks_for_a_look_at_the_source() -> None:
    sure, unsure = (
        plain_text(render_reply(reply(answer_span(confidence=c))).blocks) for c in (0.9, 0.36)
    )
    assert "fairly sure" in sure
    assert "please check the source" in unsure


def test_a_long_sentence_is_shortened_around_the_span() -> None:
    sentence = "word " * 1000 + "the answer is 42 here " + "tail " * 1000
    parts = quoted(render_reply(reply(answer_span(sentence, "42"))))
    whole = "".join(part["text"] for part in parts)
    assert len(whole) <= 2000
    assert whole.startswith("…word")
    assert whole.endswith("tail…")
    assert "the answer is 42 here" in whole


@given(
    before=TEXT,
    span=TEXT.filter(lambda text: bool(text.strip())),
    after=TEXT,
    title=TEXT,
    section=st.none() | TEXT,
    url=st.none() | TEXT | st.just("https://docs.example.com/x"),
    repeat=st.sampled_from([1, 30]),
)
def test_every_answer_is_a_message_that_slack_takes(
    before: str,
    span: str,
    after: str,
    title: str,
    section: str | None,
    url: str | None,
    repeat: int,
) -> None:
    before, after = before * repeat, after * repeat
    answer = answer_span(
        before + span + after, before + span, title=title, section=section, url=url
    )
    one = answer_span(span, span, title=title, section=section, url=url)
    message = render_reply(reply(answer, one, answer, question_id=1))
    assert not message_errors(message.blocks)
    assert text_length(message.blocks) <= 11_000
    assert len(message.blocks) <= 50
    assert 0 < len(message.text) <= 12_000
    missing = render_reply(reply(closest=(hit(title, section=section, url=url),)))
    assert not message_errors(missing.blocks)


@given(
    text=TEXT, cut=st.tuples(st.integers(0, 400), st.integers(0, 400)), limit=st.integers(10, 60)
)
def test_shortening_keeps_the_span_and_the_limit(
    text: str, cut: tuple[int, int], limit: int
) -> None:
    start, end = sorted(min(position, len(text)) for position in cut)
    before, span, after = shorten_around(text, start, end, limit)
    assert len(before + span + after) <= max(limit, 0)
    if end - start < limit - 4:
        assert span == text[start:end]
    assert before == text[:start] or before == "" or before[0] == "…"
    assert text[:start].endswith(before.removeprefix("…"))
    assert text[end:].startswith(after.removesuffix("…"))
    if len(text) <= limit:
        assert (before, span, after) == (text[:start], text[start:end], text[end:])


def test_shortening_cuts_between_words() -> None:
    assert shorten("one two three", 13) == "one two three"
    assert shorten("one two three", 12) == "one two…"
    assert shorten("one two three", 9) == "one two…"
    assert shorten("extraordinary", 6) == "extra…"
    assert shorten_around("aaa bbb ccc ddd eee", 8, 11, 13) == ("…bbb ", "ccc", " ddd…")
    with pytest.raises(ValueError, match="not within"):
        shorten_around("abc", 2, 9, 100)


@given(TEXT)
def test_escaping_is_reversible(text: str) -> None:
    assert unescape(escape(text)) == text
    assert not set("<>") & set(escape(text))


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("<@U0BOT> How long?", "How long?"),
        ("How long, <@U0BOT>?", "How long, ?"),
        ("<@U0BOT|spanbot> How long?", "How long?"),
        ("<@U0BOT> ask <@U1|mira> or <@U2>", "ask @mira or"),
        ("R&amp;D &lt;team&gt; &amp;lt;", "R&D <team> &lt;"),
        ("see <https://a.example/x|the wiki>", "see the wiki"),
        ("see <https://a.example/?a=1&amp;b=2>", "see https://a.example/?a=1&b=2"),
        ("mail <mailto:a@b.example|a@b.example>", "mail a@b.example"),
        ("in <#C1|general> or <#C2|> ", "in #general or"),
        ("<!here> <!subteam^S1|@support> why\n\n not", "@support why not"),
        ("<@U0BOT>", ""),
        ("a &lt;@U0BOT&gt; b", "a <@U0BOT> b"),
    ],
)
def test_a_question_is_read_as_it_was_typed(typed: str, understood: str) -> None:
    assert typed_text(typed, bot_user_id="U0BOT") == understood


def test_help_names_the_bot_and_where_files_go() -> None:
    message = render_help("handbook")
    assert not message_errors(message.blocks)
    shown = plain_text(message.blocks)
    assert "@handbook How long" in shown
    assert "files in a direct message to me or beside @handbook in a channel" in shown
    assert "/kb upload" in shown
    assert "/kb help" in shown
