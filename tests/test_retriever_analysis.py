from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from retriever.analysis import AnalysisOptions, Analyzer, holds, languages
from retriever.errors import AnalysisError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How do I reset my VPN token?", ["reset", "vpn", "token"]),
        ("resetting the tokens", ["reset", "token"]),
        ("Straße STRASSE", ["strass", "strass"]),
        ("max_wait maxWait", ["max", "wait", "maxwait"] * 2),
        ("camelCase camelcase", ["camel", "case", "camelcas", "camelcas"]),
        ("e-mail email", ["e", "mail", "email", "email"]),
        ("error E1234", ["error", "e1234"]),
        ("v2.3.1", ["v2", "3", "1", "2.3.1", "v2.3.1"]),
        ("it@example.com", ["exampl", "com", "example.com", "it@example.com"]),
        ("docs/guide.pdf", ["doc", "guid", "pdf", "guide.pdf", "docs/guide.pdf"]),
        ("https://kb.org/vpn", ["https", "kb", "org", "vpn", "kb.org", "https://kb.org/vpn"]),
        ("the company's laptop", ["compani", "laptop"]),
        ("don't", []),
        ("…!?", []),
        ("ﬁle", ["file"]),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert Analyzer().terms(text) == expected


@pytest.mark.parametrize(
    ("whole", "part"),
    [
        ("max_wait", "wait"),
        ("maxWait", "wait"),
        ("error-codes", "code"),
        ("v2.3.1", "2.3.1"),
        ("handbook.pdf", "handbook"),
        ("/srv/docs/handbook.pdf", "handbook.pdf"),
        ("it@example.com", "example.com"),
        ("https://kb.example.com/it/vpn-setup.html#top", "kb.example.com"),
        ("https://kb.example.com/it/vpn-setup.html#top", "vpn-setup.html"),
    ],
)
def test_a_word_is_found_whole_and_by_part(whole: str, part: str) -> None:
    analyzer = Analyzer()
    terms = analyzer.terms(f"({whole}),")
    assert terms == analyzer.terms(whole)
    assert analyzer.terms(part)[-1] in terms
    assert terms[-1] not in analyzer.terms(part)


@pytest.mark.parametrize(
    ("changes", "text", "expected"),
    [
        ({"unicode_words": False}, "café ﬁle", ["caf", "le"]),
        ({"case_folding": False}, "VPN vpn", ["VPN", "vpn"]),
        ({"accents": True}, "Beyoncé", ["beyonc"]),
        ({"stop_words": False}, "the token", ["the", "token"]),
        ({"stemming": False}, "resetting tokens", ["resetting", "tokens"]),
        ({"parts": False}, "max_wait token", ["maxwait", "token"]),
        ({"wholes": False}, "max_wait v2.3", ["max", "wait", "v2", "3"]),
        ({"joined": False}, "max_wait", ["max", "wait", "max_wait"]),
        ({"language": "german"}, "die Häuser", ["die", "haus"]),
    ],
)
def test_each_choice_alone(changes: dict[str, Any], text: str, expected: list[str]) -> None:
    options = replace(AnalysisOptions(), **changes)
    assert Analyzer(options).terms(text) == expected
    assert Analyzer().terms(text) != expected


def test_the_name_changes_with_every_option() -> None:
    others: list[dict[str, Any]] = [
        {"language": "german"},
        *({name: False} for name in ("unicode_words", "case_folding", "stop_words", "stemming")),
        *({name: False} for name in ("parts", "wholes", "joined", "abbreviations")),
        {"accents": not AnalysisOptions().accents},
        {"heading_weight": 7},
        {"synonyms": (("a1", "b1"),)},
        {"synonyms": (("a1", "c1"),)},
    ]
    made = [Analyzer(replace(AnalysisOptions(), **changes)).name for changes in others]
    assert Analyzer().name == Analyzer().name
    assert len({Analyzer().name, *made}) == len(others) + 1


def test_an_unknown_language_names_those_that_are_known() -> None:
    with pytest.raises(AnalysisError, match='no stemmer for "klingon"; use one of: '):
        Analyzer(AnalysisOptions(language="klingon"))
    assert "english" in languages()


def test_synonyms_are_one_term_and_phrases_keep_their_words() -> None:
    groups = (("holiday", "annual leave", "PTO"),)
    analyzer = Analyzer(replace(AnalysisOptions(), synonyms=groups))
    (term,) = analyzer.terms("holidays")
    assert analyzer.terms("pto") == [term]
    assert analyzer.terms("my annual leave") == [term, "annual", "leav"]
    assert analyzer.terms("annual report") == ["annual", "report"]
    assert analyzer.terms("a token") == Analyzer().terms("a token")


def test_a_phrase_is_held_in_order_and_side_by_side() -> None:
    assert holds(["a", "b", "a", "c"], ["a", "c"])
    assert not holds(["a", "b", "c"], ["a", "c"])
    assert not holds(["a"], ["a", "c"])
    assert not holds(["a"], [])
