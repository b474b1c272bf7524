"""The footnotes of HTML pages."""

from __future__ import annotations

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


#: As generators write a page with a footnote: what follows "Claim it", and what stands at the end.
PAGES = {
    "pandoc": (
        '<a href="#fn1" class="footnote-ref" id="fnref1" role="doc-noteref"><sup>1</sup></a>',
        '<section id="footnotes" class="footnotes footnotes-end-of-document" role="doc-endnotes">'
        '<hr /><ol><li id="fn1"><p>Within a year.<a href="#fnref1" class="footnote-back" '
        'role="doc-backlink">↩︎</a></p></li></ol></section>',
    ),
    "PHP Markdown Extra": (
        '<sup id="fnref1:1"><a href="#fn:1" class="footnote-ref" role="doc-noteref">1</a></sup>',
        '<div class="footnotes" role="doc-endnotes"><hr><ol><li id="fn:1" role="doc-endnote"><p>'
        'Within a year.&#160;<a href="#fnref1:1" class="footnote-backref">&#8617;&#xFE0E;</a></p>'
        "</li></ol></div>",
    ),
    "Python-Markdown": (
        '<sup id="fnref:1"><a class="footnote-ref" href="#fn:1">1</a></sup>',
        '<div class="footnote"><hr><ol><li id="fn:1"><p>Within a year.&#160;<a class='
        '"footnote-backref" href="#fnref:1" title="Jump back">&#8617;</a></p></li></ol></div>',
    ),
    "kramdown": (
        '<sup id="fnref:1"><a href="#fn:1" class="footnote" rel="footnote">1</a></sup>',
        '<div class="footnotes" role="doc-endnotes"><ol><li id="fn:1"><p>Within a year. '
        '<a href="#fnref:1" class="reversefootnote" role="doc-backlink">&#8617;</a>'
        '<a href="#fnref:1:1" class="reversefootnote">&#8617;<sup>2</sup></a></p></li></ol></div>',
    ),
    "markdown-it": (
        '<sup class="footnote-ref"><a href="#fn1" id="fnref1">[1]</a></sup>',
        '<hr class="footnotes-sep"><section class="footnotes"><ol class="footnotes-list"><li id='
        '"fn1" class="footnote-item"><p>Within a year. <a href="#fnref1" class="footnote-backref">'
        "↩︎</a></p></li></ol></section>",
    ),
    "GitHub": (
        '<sup><a href="#user-content-fn-1-ab" id="user-content-fnref-1-ab" data-footnote-ref="">1'
        "</a></sup>",
        '<section data-footnotes="" class="footnotes"><h2 id="footnote-label" class="sr-only">'
        'Footnotes</h2><ol><li id="user-content-fn-1-ab"><p>Within a year. <a href='
        '"#user-content-fnref-1-ab" data-footnote-backref=""><g-emoji>↩</g-emoji></a></p></li></ol>'
        "</section>",
    ),
    "Sphinx": (
        '<a class="footnote-reference brackets" href="#id2" id="id1" role="doc-noteref"><span '
        'class="fn-bracket">[</span>1<span class="fn-bracket">]</span></a>',
        '<aside class="footnote-list brackets"><aside class="footnote brackets" id="id2" role='
        '"doc-footnote"><span class="label"><span class="fn-bracket">[</span><a role="doc-backlink"'
        ' href="#id1">1</a><span class="fn-bracket">]</span></span><p>Within a year.</p></aside>'
        "</aside>",
    ),
    "Asciidoctor": (
        '<sup class="footnote">[<a id="_footnoteref_1" class="footnote" href="#_footnotedef_1">1'
        "</a>]</sup>",
        '<div id="footnotes"><hr><div class="footnote" id="_footnotedef_1"><a href='
        '"#_footnoteref_1">1</a>. Within a year.</div></div>',
    ),
    "MediaWiki": (
        '<sup id="cite_ref-1" class="reference"><a href="#cite_note-1"><span>&#91;</span>1<span>'
        "&#93;</span></a></sup>",
        '<ol class="references"><li id="cite_note-1"><span class="mw-cite-backlink"><b><a href='
        '"#cite_ref-1">^</a></b></span> <span class="reference-text">Within a year.</span></li>'
        "</ol>",
    ),
    "Word": (
        '<a href="#_ftn1" name="_ftnref1" title=""><span class=MsoFootnoteReference>[1]</span></a>',
        "<div><br clear=all><hr size=1><div id=ftn1><p class=MsoFootnoteText><a href="
        '"#_ftnref1" name="_ftn1" title=""><span class=MsoFootnoteReference>[1]</span></a> Within a'
        " year.</p></div></div>",
    ),
    "LibreOffice": (
        '<a class="sdfootnoteanc" name="sdfootnote1anc" href="#sdfootnote1sym"><sup>1</sup></a>',
        '<div id="sdfootnote1"><p><a class="sdfootnotesym" name="sdfootnote1sym" href='
        '"#sdfootnote1anc">1</a>Within a year.</p></div>',
    ),
    "Google Docs": (
        '<sup><a href="#ftnt1" id="ftnt_ref1">[1]</a></sup>',
        '<hr><div><p><a href="#ftnt_ref1" id="ftnt1">[1]</a><span>&nbsp;Within a year.</span></p>'
        "</div>",
    ),
    "a person": (
        '<sup><a href="#fn1">1</a></sup>',
        '<p id="fn1"><sup>1</sup> Within a year.</p>',
    ),
}


@pytest.mark.parametrize(("reference", "end"), PAGES.values(), ids=PAGES)
def test_a_footnote_stands_behind_what_refers_to_it(
    tmp_path: Path, reference: str, end: str
) -> None:
    body = f"<h1>Costs</h1><p>Claim it{reference} soon.</p><h2>Next</h2><p>Wait.</p>{end}"
    document = parse_file(tmp_path, "a.html", body)
    markdown = "# Costs\n\nClaim it[^1] soon.\n\n## Next\n\nWait.\n\n[^1]: Within a year.\n"
    assert document.text == parse_file(tmp_path, "a.md", markdown).text
    assert document.text == "Costs\n\nClaim it soon.\n\nWithin a year.\n\nNext\n\nWait."
    assert section(document, "Costs") == "Claim it soon.\n\nWithin a year."
    assert section(document, "Next") == "Wait."


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
        # What nothing refers to that is read, or that is where it belongs, stays.
        (
            f"<p>a{ref(1)}</p><p hidden>{ref(2)}</p><div class=footnotes><h2>Notes</h2>"
            "<ol><li id=fn1>one<li id=fn2>two<li id=fn3>three</ol></div>",
            "a\n\none\n\nNotes\n\n2. two\n3. three",
        ),
        (f"<ul><li>a{ref(1)}<div id=fn1>one</div><li>b</ul>", "- a\n  one\n- b"),
        (f"a{ref(1)} b<p>c</p>{notes(fn1='one')}", "a b\n\nc\n\n1. one"),
        (
            f"<p>a{ref(1)}{ref(2)}</p><p>b</p><table><tr><th>Mark<th>Note<tr><td>1<td>"
            "<p id=fn1>one</table><div id=fn2>two<p id=fn3>three</div>",
            "a\n\ntwo\n\nthree\n\nb\n\nMark: 1; Note: one",
        ),
        (
            f"<p>a{ref(1)}</p><p>b{ref(2)}</p><p>c</p><div id=fn1>one<div id=fn2>two</div></div>",
            "a\n\none\n\ntwo\n\nb\n\nc",
        ),
        (
            f"<blockquote><p id=fn1>one</p>a:{ref(1)}{ref(2)}<p id=fn2>two</p>b:</blockquote>"
            "<ul><li>c</ul>",
            "one\n\na:\n\ntwo\n\nb:\n\n- c",
        ),
        # Several marks in one superscript.
        (
            '<p>a<sup><a href="#fn1">1</a>, <a href="#fn2">2</a></sup></p><p>b</p>'
            + notes(fn1="one", fn2="two"),
            "a\n\none\n\ntwo\n\nb",
        ),
        # The marks that are in front of notes, and numbers that are not.
        (
            '<p>a<sup><a href="#fn1">*</a></sup><p>b<sup><a href="#fn2">†</a></sup>'
            "<p id=fn1>* 10.5 days<p id=fn2>12 days",
            "a\n\n10.5 days\n\nb\n\n12 days",
        ),
    ],
)
def test_other_notes(tmp_path: Path, body: str, expected: str) -> None:
    assert text(tmp_path, body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('<p>See <a href="#s">1</a>.</p><h2 id="s">S</h2><p>T', "See 1.\n\nS\n\nT"),
        ('<p>See <a href="#s">[1]</a>.</p><p>T<p id="s">S', "See [1].\n\nT\n\nS"),
        ('<p>See <a href="#s">1</a>.</p><p>T<div id="s" class="note">S', "See 1.\n\nT\n\nS"),
        # A link in words, or to another page.
        (
            '<p>See <a href="#fn1">note 1</a>, <a href="b.html#fn1">1</a>.</p><p>T'
            + notes(fn1="one"),
            "See note 1, 1.\n\nT\n\n1. one",
        ),
        # A list of contents whose entries are led back to.
        (
            '<ul><li><a href="#s1" id="t1">1</a> One</ul><p>T<p id="s1"><a href="#t1">1</a> Clause',
            "- 1 One\n\nT\n\n1 Clause",
        ),
        ('<p>See <a href="#s" id=r>[1]</a></p><p>T<div id="s"><h2>S</h2><a href="#r">1</a>', None),
        # A section of notes is no note.
        (
            '<p>a<a href="#footnotes">*</a></p><p>T<div id="footnotes"><p>one<p>two</div>',
            "a*\n\nT\n\none\n\ntwo",
        ),
        ('<p>a<a href="#gone">1</a> <a href="#">1</a></p>', "a1 1"),
    ],
)
def test_other_links_are_left_alone(tmp_path: Path, body: str, expected: str | None) -> None:
    assert text(tmp_path, body) == (expected or "See [1]\n\nT\n\nS\n\n1")


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
