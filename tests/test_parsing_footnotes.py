"""The footnotes of HTML pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.parsing_files import headings, parse_file, section


def text(folder: Path, body: str) -> str:
    return parse_file(folder, "a.html", f"<!DOCTYPE html><title>T</title><body>{body}").text


def ref(number: int) -> str:
    return f'<sup><a href="#fn{number}" id="ref{number}">{number}</a></sup>'


def notes(**texts: str) -> str:
    items = "".join(
        f'<li id="{name}"><p>{words} <a href="#ref{name[2:]}">↩</a></p></li>'
        for name, words in texts.items()
    )
    return f'<section class="footnotes" role="doc-endnotes"><hr><ol>{items}</ol></section>'


#: As generators write footnotes: a reference, a note, what is around the notes; # is a number.
PAGES = {
    "pandoc": (
        '<a href="#fn#" class="footnote-ref" id="fnref#" role="doc-noteref"><sup>#</sup></a>',
        '<li id="fn#"><p>TEXT<a href="#fnref#" class="footnote-back" role="doc-backlink">↩︎</a></p>'
        "</li>",
        '<section id="footnotes" class="footnotes footnotes-end-of-document" role="doc-endnotes">'
        "<hr /><ol>NOTES</ol></section>",
    ),
    "PHP Markdown Extra": (
        '<sup id="fnref1:#"><a href="#fn:#" class="footnote-ref" role="doc-noteref">#</a></sup>',
        '<li id="fn:#" role="doc-endnote"><p>TEXT&#160;<a href="#fnref1:#" class='
        '"footnote-backref">&#8617;&#xFE0E;</a></p></li>',
        '<div class="footnotes" role="doc-endnotes"><hr><ol>NOTES</ol></div>',
    ),
    "Python-Markdown": (
        '<sup id="fnref:#"><a class="footnote-ref" href="#fn:#">#</a></sup>',
        '<li id="fn:#"><p>TEXT&#160;<a class="footnote-backref" href="#fnref:#" title="Jump back">'
        "&#8617;</a></p></li>",
        '<div class="footnote"><hr><ol>NOTES</ol></div>',
    ),
    "kramdown": (
        '<sup id="fnref:#"><a href="#fn:#" class="footnote" rel="footnote">#</a></sup>',
        '<li id="fn:#"><p>TEXT <a href="#fnref:#" class="reversefootnote" role="doc-backlink">'
        '&#8617;</a> <a href="#fnref:#:1" class="reversefootnote">&#8617;<sup>2</sup></a></p></li>',
        '<div class="footnotes" role="doc-endnotes"><ol>NOTES</ol></div>',
    ),
    "markdown-it": (
        '<sup class="footnote-ref"><a href="#fn#" id="fnref#">[#]</a></sup>',
        '<li id="fn#" class="footnote-item"><p>TEXT <a href="#fnref#" class="footnote-backref">↩︎'
        "</a></p></li>",
        '<hr class="footnotes-sep"><section class="footnotes"><ol class="footnotes-list">NOTES</ol>'
        "</section>",
    ),
    "GitHub": (
        '<sup><a href="#user-content-fn-#-ab" id="user-content-fnref-#-ab" data-footnote-ref="">#'
        "</a></sup>",
        '<li id="user-content-fn-#-ab"><p>TEXT <a href="#user-content-fnref-#-ab" '
        'data-footnote-backref=""><g-emoji>↩</g-emoji></a></p></li>',
        '<section data-footnotes="" class="footnotes"><h2 id="footnote-label" class="sr-only">'
        "Footnotes</h2><ol>NOTES</ol></section>",
    ),
    "mammoth": (
        '<sup><a href="#footnote-#" id="footnote-ref-#">[#]</a></sup>',
        '<li id="footnote-#"><p> TEXT <a href="#footnote-ref-#">↑</a></p></li>',
        "<ol>NOTES</ol>",
    ),
}


def numbered(template: str, number: int) -> str:
    """A template with a number for each # that does not begin a fragment."""
    return re.sub(r'(?<!href=")#', str(number), template.replace("&#", "&\0")).replace("\0", "#")


@pytest.mark.parametrize(("reference", "note", "end"), PAGES.values(), ids=PAGES)
def test_footnotes_stand_behind_what_refers_to_them(
    tmp_path: Path, reference: str, note: str, end: str
) -> None:
    one, two = (numbered(reference, number) for number in (1, 2))
    notes = "".join(
        numbered(note, number).replace("TEXT", words)
        for number, words in ((1, "Within a year."), (2, "Not for long."))
    )
    body = (
        f"<h1>Costs</h1><p>Claim it{one} soon.</p><p>Ask first.</p><h2>Next</h2><p>Wait.{two}</p>"
        f"<p>Or not.</p>{end.replace('NOTES', notes)}"
    )
    document = parse_file(tmp_path, "a.html", body)
    markdown = (
        "# Costs\n\nClaim it[^1] soon.\n\nAsk first.\n\n## Next\n\nWait.[^2]\n\nOr not.\n\n"
        "[^1]: Within a year.\n[^2]: Not for long.\n"
    )
    assert document.text == (
        "Costs\n\nClaim it soon.\n\nWithin a year.\n\nAsk first.\n\n"
        "Next\n\nWait.\n\nNot for long.\n\nOr not."
    )
    assert document.text == parse_file(tmp_path, "a.md", markdown).text
    assert section(document, "Next") == "Wait.\n\nNot for long.\n\nOr not."


#: What may look like a note and its reference: all of it is read where it stands.
OTHERS = {
    "a citation of a wiki": (
        '<p>As said.<sup id="cite_ref-1" class="reference"><a href="#cite_note-1">[1]</a></sup></p>'
        '<p>T</p><ol class="references"><li id="cite_note-1"><a href="#cite_ref-1">^</a> A book.'
        "</li></ol>",
        "As said.\n\nT\n\n1. A book.",
    ),
    "a mark that is a word": (
        '<p>See note <a href="#fn1">1</a>, and [<a href="#fn1">1</a>].</p><p>T'
        '<div class="footnotes"><ol><li id="fn1">one</ol></div>',
        "See note 1, and [1].\n\nT\n\n1. one",
    ),
    "functions": (
        '<p>Call <a href="#fn-f">f</a>.</p><p>T</p><ul><li id="fn-f">f does it.</ul>',
        "Call f.\n\nT\n\n- f does it.",
    ),
    "a raised link to a clause": (
        '<p>Free.<sup><a href="#s1">1</a></sup></p><p>T</p><ol><li id="s1">The clause.</ol>',
        "Free.\n\nT\n\n1. The clause.",
    ),
    "contents": (
        '<ul><li><a href="#s1" id="t1">[1]</a> One</ul><p>T</p><p id="s1"><a href="#t1">[1]</a> C',
        "- [1] One\n\nT\n\n[1] C",
    ),
    "a link in words, and one to another page": (
        '<p>a<sup><a href="#fn1">note 1</a></sup> b<sup><a href="b.html#fn1">1</a></sup></p><p>T'
        '<div class="footnotes"><ol><li id="fn1">one</ol></div>',
        "anote 1 b¹\n\nT\n\n1. one",
    ),
    "a note that comes before": (
        '<div class="footnotes"><ol><li id="fn1">one</ol></div>'
        '<p>a<sup><a href="#fn1">1</a></sup></p><p>T</p>',
        "1. one\n\na\n\nT",
    ),
}


@pytest.mark.parametrize(("body", "expected"), OTHERS.values(), ids=OTHERS)
def test_other_links_are_left_alone(tmp_path: Path, body: str, expected: str) -> None:
    assert text(tmp_path, body) == expected


def test_where_footnotes_are_read(tmp_path: Path) -> None:
    body = f"""
<main><h1>Leave{ref(8)}</h1>
<p>Take it.{ref(1)} Carry <em>six days{ref(2)}</em> over.{ref(1)}</p>
<p>You need:{ref(3)}</p>
<ul><li>a badge{ref(4)}</li><li>a pass</li></ul>
<table><tr><th>Plan<th>Price{ref(5)}<tr><td>Pro<td>5</table>
<h2 id="more">More</h2>
<div>Text{ref(9)} in a row.</div>
<table role="presentation"><tr><td><p>Left.{ref(10)}<td><p>Right.</table>
<p hidden>Hidden.{ref(11)}</p>
</main>
""" + notes(
        fn1=f"Note a.{ref(6)}{ref(7)}<ul><li>of two<li>blocks</ul>",
        fn2="Note b.",
        fn3="Note c.",
        fn4=f"Note d.{ref(4)}",
        fn5="Note e.",
        fn6="Note f.",
        fn7="Note g.",
        fn8="Note h.",
        fn9="Note i.",
        fn10="Note j.",
    )
    document = parse_file(tmp_path, "a.html", body)
    assert document.text == (
        "Leave\n\nNote h.\n\nTake it. Carry six days over.\n\n"
        "Note a.\n\n- of two\n- blocks\n\nNote f.\n\nNote g.\n\nNote b.\n\n"
        "You need:\n\n- a badge\n- a pass\n\nNote c.\n\nNote d.\n\n"
        "Plan: Pro; Price: 5\n\nNote e.\n\nMore\n\nText in a row.\n\nNote i.\n\n"
        "Left.\n\nNote j.\n\nRight."
    )
    assert headings(document)[1] == ("More", 2, "more")
    assert section(document, "More") == "Text in a row.\n\nNote i.\n\nLeft.\n\nNote j.\n\nRight."


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # What nothing refers to that is read stays, with its number.
        (
            f"<p>a{ref(1)}</p><p hidden>{ref(2)}</p><nav>{ref(3)}</nav><div class=footnotes>"
            "<h2>Notes</h2><ol><li id=fn1>one<li id=fn2>two<li id=fn3>three</ol></div>",
            "a\n\none\n\nNotes\n\n2. two\n3. three",
        ),
        # What is not read where it stands is not read elsewhere.
        (
            f"<p>a{ref(1)}{ref(2)}{ref(3)}</p><ol class=footnotes><li id=fn1 hidden>one<li id=fn2>"
            "<del>two</del> 2<li id=fn3>three</ol>",
            "a\n\n2\n\nthree",
        ),
        (f"<p>a{ref(1)}</p><div hidden>{notes(fn1='one')}</div>", "a"),
        (f"<p>a{ref(1)}</p><del>{notes(fn1='one')}</del>", "a"),
        (f"<p>a{ref(1)}</p><nav>{notes(fn1='one')}</nav>", "a"),
        # Below the text itself.
        (
            f"<main><p>a{ref(1)}</p><p>b</p></main><footer>{notes(fn1='one')}</footer>",
            "a\n\none\n\nb",
        ),
        (f"a{ref(1)} b<p>c</p>{notes(fn1='one')}", "a b\n\nc\n\none"),
        # In what refers to it.
        (f"<ul><li>a{ref(1)}<ol><li id=fn1>one</ol><li>b</ul>", "- a\n- b\n\none"),
        # A heading above nothing goes, one above more stays.
        (
            f"<p>a{ref(1)}</p><p>b</p><div class=footnotes><h2>N</h2><p>More.</p><ol><li id=fn1>one"
            "</ol></div>",
            "a\n\none\n\nb\n\nN\n\nMore.",
        ),
        # A name that is not ASCII.
        (
            '<p>a<sup><a href="#fn-%C3%A4">1</a></sup></p><p>b</p><ol><li id="fn-ä">one</ol>',
            "a\n\none\n\nb",
        ),
    ],
)
def test_other_notes(tmp_path: Path, body: str, expected: str) -> None:
    assert text(tmp_path, body) == expected


def test_notes_in_the_html_of_markdown(tmp_path: Path) -> None:
    source = f"Claim *it*{ref(1)}.\n\nWait.\n\n{notes(fn1='Within a year.')}\n"
    document = parse_file(tmp_path, "a.md", source)
    assert document.text == "Claim it.\n\nWithin a year.\n\nWait."


def test_each_of_many_notes_is_read_once(tmp_path: Path) -> None:
    numbers = range(1, 900)
    end = notes(**{f"fn{number}": f"Note {number}.{ref(number % 899 + 1)}" for number in numbers})
    together = "<p>x" + "".join(map(ref, numbers)) + "</p>"
    apart = "".join(f"<p>x{ref(number)}</p>" for number in numbers)
    for body in (together + end, apart + end, f"<p>x{ref(1)}</p>" + end):
        read = text(tmp_path, body)
        assert all(read.count(f"Note {number}.") == 1 for number in numbers)
