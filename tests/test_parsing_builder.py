from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from retriever.parsing.builder import TextBuilder, clean
from tests.parsing_files import check, headings, pages

TEXT = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(" \n\t\r\x0c\xa0\xad\u200b\u2028\ufeff\uf0b7\ud83d\ude00\U000f0000a"),
    ),
    max_size=30,
)
CALLS = st.one_of(
    st.tuples(st.just("add"), TEXT, st.integers(0, 2)),
    st.tuples(st.just("verbatim"), TEXT, st.just(0)),
    st.tuples(st.just("heading"), TEXT, st.integers(1, 6)),
    st.tuples(st.just("page"), st.just(""), st.integers(1, 9)),
    st.tuples(st.just("glue"), TEXT, st.just(0)),
)


@given(st.lists(CALLS, max_size=20))
def test_whatever_is_added_the_text_is_clean_and_its_anchors_share_it_out(
    calls: list[tuple[str, str, int]],
) -> None:
    builder = TextBuilder()
    starts: list[tuple[int, str]] = []
    builder.add("Beginning")
    for call, text, number in calls:
        start: int | None = None
        if call == "add":
            start = builder.add(text, indent="  " * number, group=number or None)
        elif call == "verbatim":
            start = builder.add_verbatim(text)
        elif call == "heading":
            start = builder.add_heading(text, number, None)
        elif call == "glue":
            builder.add(text, glue=" ")
        else:
            builder.begin_page(number)
        if start is not None:
            starts.append((start, clean(text).split()[0] if clean(text).split() else ""))
    document = builder.build(title="A title", media_type="text/plain")
    check(document)
    for start, first in starts:
        assert document.text[start:].lstrip(" \t").startswith(first)


def test_blocks_are_apart_and_groups_are_not() -> None:
    builder = TextBuilder()
    builder.add("One   line\nand  another ")
    builder.add("- first", group=1)
    builder.add("- second", group=1)
    builder.add("- of another list", group=2)
    builder.add_verbatim("\n  if x:\n\n\n\n      y  \n")
    assert builder.build(title="t", media_type="text/plain").text == (
        "One line\nand another\n\n- first\n- second\n\n- of another list\n\n  if x:\n\n      y"
    )


def test_headings_reach_to_the_next_one_and_know_those_above() -> None:
    builder = TextBuilder()
    for text, level in [("A", 1), ("B", 3), ("C", 2), ("D", 1)]:
        builder.add_heading(text, level, text.lower())
    document = builder.build(title="t", media_type="text/plain")
    assert [anchor.path for anchor in document.anchors] == [
        ("A",),
        ("A", "B"),
        ("A", "C"),
        ("D",),
    ]
    assert headings(document)[1] == ("B", 3, "b")
    assert document.text[document.anchors[1].start : document.anchors[1].end] == "B\n\n"


def test_a_page_without_text_has_no_anchor() -> None:
    builder = TextBuilder()
    builder.begin_page(1)
    builder.add("First.")
    builder.begin_page(2)
    builder.begin_page(3)
    builder.add("Third", glue=" ")
    document = builder.build(title="t", media_type="application/pdf")
    assert [(a.page, a.start, a.end) for a in pages(document)] == [(1, 0, 7), (3, 7, 12)]


def test_invisible_characters_go_and_those_that_spell_words_stay() -> None:
    assert clean("soft\u00adware\u200b\ufeff \uf0a7x") == "software x"
    assert clean("a\u00a0b\u2009c\r\nd\x0ce") == "a b c\nd\ne"
    assert clean("👩\u200d🔧 می\u200cخواهم") == "👩\u200d🔧 می\u200cخواهم"
    assert clean("\ud83d\ude00 \ud83d") == "😀 \ufffd"
