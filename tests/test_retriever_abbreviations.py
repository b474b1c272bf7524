from __future__ import annotations

import pytest

from retriever.abbreviations import Abbreviation, Forms, definitions
from retriever.analysis import Analyzer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We use single sign-on (SSO) here.", [("SSO", "single sign-on")]),
        ("The SLA (service level agreement) holds.", [("SLA", "service level agreement")]),
        ("of Multi-Factor\nAuthentication (MFA)", [("MFA", "Multi-Factor Authentication")]),
        ("**General Services Administration** (GSA)", [("GSA", "General Services Administration")]),
        ("hidden Markov models (HMMs)", [("HMMs", "hidden Markov models")]),
        ("the capital (Paris) and more (or less)", []),
        ("a VPN (VPN)", []),
        ("lunch at noon (SSO)", []),
        ("single sign-on\n\n(SSO)", []),
        ("SSO (see the wiki)", []),
        ("((((SSO", []),
    ],
)
def test_definitions(text: str, expected: list[tuple[str, str]]) -> None:
    assert definitions(text) == [Abbreviation(*pair) for pair in expected]


def test_a_passage_gets_the_form_that_it_lacks() -> None:
    analyzer = Analyzer()
    forms = Forms(analyzer, "We use single sign-on (SSO).")
    short, long = analyzer.terms("SSO"), analyzer.terms("single sign-on")
    assert forms.missing(analyzer.terms("Reset SSO at the desk.")) == long
    assert forms.missing(analyzer.terms("Single sign-on is down.")) == short
    assert forms.missing(analyzer.terms("Single sign-on (SSO) is down.")) == []
    assert forms.missing(analyzer.terms("A single sign.")) == []
