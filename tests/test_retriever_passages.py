from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from retriever.passages import PassageOptions, split_passages
from retriever.records import Anchor, ParsedDocument


def document(text: str, *headings: tuple[str, int]) -> ParsedDocument:
    """A document whose headings are the given lines of its text."""
    starts = [text.index(title) for title, _ in headings]
    path: list[str] = []
    anchors = []
    for number, (title, level) in enumerate(headings):
        path = [*path[: level - 1], title]
        end = starts[number + 1] if number + 1 < len(starts) else len(text)
        anchors.append(Anchor("heading", starts[number], end, tuple(path), None, level))
    return ParsedDocument(text, "Title", "text/plain", tuple(anchors))


def words(count: int, name: str = "w") -> str:
    return " ".join(f"{name}{i}" for i in range(count))


def test_a_long_text_becomes_overlapping_passages_that_end_at_sentence_ends() -> None:
    text = " ".join(f"Sentence {i} has exactly seven words here." for i in range(60))
    passages = split_passages(document(text))
    assert len(passages) > 3
    for passage in passages:
        part = text[passage.start : passage.end]
        assert part.startswith("Sentence")
        assert part.endswith("here.")
        assert len(part.split()) <= 140
    for one, other in itertools.pairwise(passages):
        assert one.start < other.start < one.end < other.end
    assert [passage.ordinal for passage in passages] == list(range(len(passages)))


def test_no_passage_crosses_an_upper_heading() -> None:
    text = "Leave\n\nTwenty-five days a year.\n\nSick leave\n\nCall in by nine."
    passages = split_passages(document(text, ("Leave", 1), ("Sick leave", 2)))
    assert [text[p.start : p.end] for p in passages] == [
        "Leave\n\nTwenty-five days a year.",
        "Sick leave\n\nCall in by nine.",
    ]
    assert [p.heading for p in passages] == [("Leave",), ("Leave", "Sick leave")]


def test_a_lower_heading_does_not_cut() -> None:
    text = "Leave\n\nTwenty-five days.\n\nDetail\n\nAsk early."
    assert len(split_passages(document(text, ("Leave", 1), ("Detail", 4)))) == 1


def test_a_heading_without_text_joins_the_section_below_it() -> None:
    text = "Handbook\n\nLeave\n\nTwenty-five days."
    passages = split_passages(document(text, ("Handbook", 1), ("Leave", 2)))
    assert [text[p.start : p.end] for p in passages] == [text]


def test_a_sentence_that_is_too_long_is_cut_between_words() -> None:
    text = words(400)
    passages = split_passages(document(text))
    assert all(len(text[p.start : p.end].split()) <= 140 for p in passages)
    assert {w for p in passages for w in text[p.start : p.end].split()} == set(text.split())


def test_a_text_without_words_has_no_passages() -> None:
    assert split_passages(document(" \n ")) == []


@given(
    st.lists(
        st.lists(st.sampled_from(["alpha", "beta.", "Gamma", "delta!", "E."]), max_size=60),
        max_size=6,
    ),
    st.integers(5, 30),
)
def test_every_word_is_in_a_passage(lines: list[list[str]], target: int) -> None:
    text = "\n".join(" ".join(line) for line in lines)
    options = PassageOptions(target=target, longest=target + 10, overlap=target // 3)
    passages = split_passages(document(text), options)
    covered = [False] * len(text)
    for passage in passages:
        assert 0 <= passage.start < passage.end <= len(text)
        assert len(text[passage.start : passage.end].split()) <= target + 10
        covered[passage.start : passage.end] = [True] * (passage.end - passage.start)
    assert all(covered[i] or text[i].isspace() for i in range(len(text)))
