from __future__ import annotations

import pytest

from retriever.analysis import Analyzer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How do I reset my VPN token?", ["reset", "vpn", "token"]),
        ("resetting the tokens", ["reset", "token"]),
        ("Straße STRASSE", ["strass", "strass"]),
        ("max_wait", ["max", "wait", "max_wait"]),
        ("camelCase", ["camel", "case", "camelcase"]),
        ("v2.3.1", ["v2", "3", "1", "v2.3.1"]),
        ("it@example.com", ["exampl", "com", "it@example.com"]),
        ("the company's laptop", ["compani", "laptop"]),
        ("don't", []),
        ("…!?", []),
        ("ﬁle", ["file"]),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert Analyzer().terms(text) == expected
