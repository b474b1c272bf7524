"""The terms of many texts at once are those of each by itself, whatever stands in the texts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retriever import pieces
from retriever.analysis import AnalysisOptions, Analyzer
from retriever.bm25 import K1, norms
from retriever.index.build import (
    IndexedPassage,
    NumberedPassages,
    SegmentBuilder,
    segment_of,
)
from retriever.index.merge import merge
from retriever.index.segment import BOUND_STEPS, CLASSES, LARGE, NO_MARKS, Segment, write_segment
from retriever.index.terms import encode, unpack
from retriever.index.vocabulary import NumberedTerms, Vocabulary, end_to_end, side_by_side
from retriever.numbering import TermNumbers
from retriever.passage_terms import TermsOfPassages
from retriever.store.passages import SearchText
from tests.index_parts import random_passages

SYNONYMS = (("holiday", "annual leave", "PTO"), ("laptop", "notebook"), ("e-mail", "mail"))
OPTIONS = {
    "as they are": AnalysisOptions(),
    "synonyms": AnalysisOptions(synonyms=SYNONYMS),
    "accents": AnalysisOptions(accents=True),
    "ASCII": AnalysisOptions(unicode_words=False),
    "case": AnalysisOptions(case_folding=False),
    "plain": AnalysisOptions(
        stop_words=False, stemming=False, parts=False, wholes=False, joined=False
    ),
    "German": AnalysisOptions(language="german", accents=True),
}

#: What texts are hard to cut at: joints, capitals, other scripts, spaces of all kinds, and lengths
#: around those of the numbers that pieces are compared by.
FRAGMENTS = st.one_of(
    st.sampled_from(
        [
            *"._@/:+#&'’-– \t\n\r\x00\x1c\x1f\x7f\x85\u00a0\u2028\u3000\ufeff\udcff\ud83d",
            *(
                "annual",
                "leave",
                "Holiday",
                "PTO",
                "e-mail",
                "E-Mail",
                "notebook's",
                "it's",
                "VPNs",
            ),
            *(
                "maxWait",
                "MAX_WAIT",
                "IPv6",
                "v2.3",
                "A",
                "AB",
                "ABc",
                "Ab",
                "aB",
                "1A",
                "A1",
                "é",
                "É",
                "ß",
            ),
            *("Straße", "ﬁle", "ⅷ", "²", "İstanbul", "ΣΊΣΥΦΟΣ", "вопрос", "質問", "e\u0301", "ñ"),
            *("Abcdefg", "Abcdefgh", "Abcdefghi", "abcdefghijklmno", "Abcdefghijklmnop"),
            *("Abcdefghijklmnopq", "abcdefghijklmnopQ", "https://kb.org/vpn#top", "……", "____"),
        ]
    ),
    st.text(max_size=6),
    st.text("aAbZz19._-'’ é", max_size=24),
)
TEXTS = st.lists(st.lists(FRAGMENTS, max_size=12).map("".join), max_size=8)


def one_by_one(analyzer: Analyzer, texts: list[str]) -> list[list[str]]:
    return [analyzer.terms(text) for text in texts]


def at_once(numbers: TermNumbers, texts: list[str]) -> list[list[str]]:
    return [numbers.vocabulary.terms_of(own.tolist()) for own in numbers.of(texts).of_each()]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@settings(max_examples=150, deadline=None)
@given(first=TEXTS, second=TEXTS)
@example(first=[""], second=["the", "Abcdefghijklmnop Abcdefghijklmnopq abcdefghijklmnopQ"])
@example(first=["Über über ÜBER"], second=["'Tis _Foo_ ______Foo X's A’S annual leave-PTO"])
def test_terms_at_once_are_those_one_by_one(
    options: AnalysisOptions, first: list[str], second: list[str]
) -> None:
    analyzer, numbers = Analyzer(options), TermNumbers(Analyzer(options))
    for texts in (first, second, first):  # what is remembered is right as well
        assert at_once(numbers, texts) == one_by_one(analyzer, texts)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_terms_of_real_texts(options: AnalysisOptions) -> None:
    root = Path(__file__).parent
    files = [*root.glob("*.py"), *root.parent.glob("retriever/*.py"), *root.parent.glob("*.md")]
    files += root.glob("sample_handbook/**/*.md")
    texts = [file.read_text(encoding="utf-8") for file in sorted(files)]
    assert len(texts) > 50
    assert at_once(TermNumbers(Analyzer(options)), texts) == one_by_one(Analyzer(options), texts)


def test_more_pieces_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        " ".join(f"word{n} Word{n * 7}x{n} longword{n}" for n in range(at, at + 300))
        for at in range(40)
    ]
    expected = one_by_one(Analyzer(), texts)
    monkeypatch.setattr(pieces, "_FIRST_CHUNK", 1 << 8)
    monkeypatch.setattr(pieces, "_CHUNK", 1 << 10)
    for remembered, bits in ((0, 4), (100, 2), (1 << 20, 2), (1 << 20, 10)):
        monkeypatch.setattr(pieces, "_REMEMBERED", remembered)
        monkeypatch.setattr(pieces, "_FIRST_BITS", bits)
        monkeypatch.setattr(pieces, "_LAST_BITS", bits + 4)
        assert at_once(TermNumbers(Analyzer()), texts) == expected


def test_a_recurring_piece_is_analysed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    analyzer = Analyzer()
    asked: list[str] = []
    original = analyzer.terms_of_piece

    def noted(piece: str) -> tuple[str, ...]:
        asked.append(piece)
        return original(piece)

    monkeypatch.setattr(analyzer, "terms_of_piece", noted)
    numbers = TermNumbers(analyzer)
    for _ in range(3):
        numbers.of(["The tunnel, a Tunnel; (tunnel). TUNNEL-tunnel!", "tunnel " * 500])
    assert sorted(asked) == ["TUNNEL-tunnel", "a", "the", "tunnel"]


# -- passages ---------------------------------------------------------------------------------


DOCUMENT = (
    "Single sign-on (SSO) is new, and so is annual leave. The SSO fails. Single sign-on is back. "
    "A holiday, or PTO. Nothing here."
)
PASSAGES = [
    SearchText(number, 1, uri, title, heading, text, document)
    for number, (uri, title, heading, text, document) in enumerate(
        [
            ("docs/sso.md", "Annual", ("leave", "SSO"), DOCUMENT[:60], DOCUMENT),
            ("docs/sso.md", "Annual", ("leave",), DOCUMENT[53:67], DOCUMENT),
            ("docs/sso.md", "Annual", (), DOCUMENT[67:], DOCUMENT),
            ("a\\b\\Holiday list.pdf", "", (), "", ""),
            ("it.txt", "it", ("It",), "SSO and single sign-on. The annual", "SSO"),
        ]
    )
]


@pytest.mark.parametrize("weight", [0, 1, 3])
@pytest.mark.parametrize("abbreviations", [True, False])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_passages_at_once_are_those_one_by_one(
    options: AnalysisOptions, abbreviations: bool, weight: int
) -> None:
    analyzer = Analyzer(replace(options, abbreviations=abbreviations, heading_weight=weight))
    expected = list(map(TermsOfPassages(analyzer), PASSAGES))
    terms_of = TermsOfPassages(analyzer)
    found = terms_of.of(PASSAGES).of_each()
    assert [terms_of.vocabulary.terms_of(own.tolist()) for own in found] == expected
    assert terms_of.of([]).of_each() == []


def test_terms_side_by_side() -> None:
    def numbered(*each: list[int]) -> NumberedTerms:
        return end_to_end(each)

    columns = [numbered([1, 2], [], [3]), numbered([], [], [4]), numbered([5], [], [6])]
    joined = side_by_side(columns)
    assert [own.tolist() for own in joined.of_each()] == [[1, 2, 5], [], [3, 4, 6]]


# -- segments ---------------------------------------------------------------------------------


def written(folder: Path, segment: Segment) -> bytes:
    file = folder / "segment"
    file.unlink(missing_ok=True)
    write_segment(file, segment)
    return file.read_bytes()


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS.filter(bool), data=st.data())
def test_a_segment_of_numbers_is_the_segment_of_terms(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("segments")
    texts = [text.replace("A", " many" * 20) for text in texts]
    ids = data.draw(st.permutations(range(10, 10 + len(texts))), label="ids")
    analyzer = Analyzer(OPTIONS["synonyms"])
    directions = np.arange(3 * len(texts), dtype=np.float32).reshape(len(texts), 3)
    passages = [
        IndexedPassage(number, number % 3, analyzer.terms(text), vector, number * 7)
        for number, text, vector in zip(ids, texts, directions, strict=True)
    ]
    expected = segment_of(passages)
    check_postings(expected, passages)
    numbers = TermNumbers(analyzer)
    numbers.of(["words of another text", "annual leave"])
    builder = SegmentBuilder(numbers.vocabulary)
    half = len(texts) // 2
    for part in (slice(0, half), slice(half, None)):
        own = np.array(ids[part], dtype=np.int64)
        signatures = (own * 7).astype(np.uint32)
        terms = numbers.of(texts[part])
        builder.extend(NumberedPassages(own, own % 3, signatures, terms, directions[part]))
    assert written(folder, builder.segment()) == written(folder, expected)


def check_postings(segment: Segment, passages: Sequence[IndexedPassage]) -> None:
    """Each posting, class and bound, computed one by one."""
    ordered = sorted(passages, key=lambda passage: passage.passage_id)
    counts = [Counter(map(encode, passage.terms)) for passage in ordered]
    names = sorted(set[bytes]().union(*counts))
    assert unpack(segment.terms) == names
    average = sum(len(passage.terms) for passage in ordered) / len(ordered)
    arrays = segment.postings
    by_length = sorted(len(passage.terms) for passage in ordered)
    shortest = [by_length[place * len(by_length) // CLASSES] for place in range(CLASSES)]
    assert arrays.class_lengths.tolist() == shortest
    at = 0
    large: list[tuple[int, int]] = []
    for run, name in enumerate(names):
        bounds = []
        for number, (passage, held) in enumerate(zip(ordered, counts, strict=True)):
            if not (tf := held[name]):
                continue
            norm = norms(np.array([len(passage.terms)], dtype=np.uint32), average)[0]
            saturation = tf * (K1 + 1) / (tf + norm)
            kind = sum(len(passage.terms) >= length for length in shortest) - 1
            assert int(arrays.offsets[at]) == number
            assert int(arrays.codes[at]) == kind * 16 + min(tf, LARGE)
            bounds.append(int(saturation * BOUND_STEPS) + 1)
            if tf >= LARGE:
                large.append((at, tf))
            at += 1
        assert int(arrays.run_starts[run + 1]) == at
        assert int(arrays.run_bounds[run]) == min(max(bounds), 255)
    assert len(arrays.offsets) == at
    pairs = zip(arrays.large_places.tolist(), arrays.large_values.tolist(), strict=True)
    assert list(pairs) == large


@pytest.mark.parametrize("seed", range(4))
def test_merged_segments_are_the_segment_of_what_is_left(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    passages = random_passages(source, 200, vocabulary=300)
    source.shuffle(passages)
    gone = {passage.passage_id for passage in source.sample(passages, 40)}
    parts = []
    for begin in range(0, 200, 50):
        segment = segment_of(passages[begin : begin + 50])
        live = np.array([number not in gone for number in segment.passages.tolist()])
        parts.append((segment, replace(NO_MARKS, live=live)))
    left = [passage for passage in passages if passage.passage_id not in gone]
    assert written(tmp_path, merge(parts)) == written(tmp_path, segment_of(left))


def test_numbered_passages_one_by_one() -> None:
    vocabulary = Vocabulary()
    terms = end_to_end([vocabulary.numbers_of(["b", "a", "b"]), vocabulary.numbers_of([])])
    ids = np.array([5, 3], dtype=np.int64)
    vectors = np.eye(2, dtype=np.float32)
    batch = NumberedPassages(ids, ids + 1, ids.astype(np.uint32), terms, vectors)
    first, second = batch.each(vocabulary)
    assert (first.passage_id, first.collection_id, first.signature) == (5, 6, 5)
    assert (first.terms, second.terms) == (["b", "a", "b"], [])
    assert second.vector is not None
    assert second.vector.tolist() == [0, 1]
