from __future__ import annotations

from pathlib import Path

import pytest

from retriever.errors import ParseError
from tests.parsing_files import headings, parse_file, section

#: As long as a name may be that is repeated.
LONG = "x" * 200


def text(folder: Path, body: str) -> str:
    return parse_file(folder, "a.html", f"<!DOCTYPE html><title>T</title><body>{body}").text


def test_only_the_text_of_the_document_is_read(tmp_path: Path) -> None:
    body = """
<header><p>Intranet</p></header>
<nav><ul><li>Home</ul></nav>
<div class="breadcrumb">Home &rsaquo; IT</div>
<aside>See also</aside>
<aside class="note">Mind this.</aside>
<form><label>Search</label><input value="x"><button>Go</button></form>
<h1>Laptops <a class="headerlink" href="#laptops">¶</a></h1>
<p hidden>no</p><p aria-hidden="true">no</p><p style="visibility:hidden">no</p>
<p>One <b>two</b>
   three<br>four<!-- no --></p>
<svg><text>no</text></svg><noscript>no</noscript><template><p>no</template>
<p>Five<script>no()</script> six <del>old</del><ins>new</ins>.</p>
<img src="a.png" alt="A photo of the dock"><img alt="logo">
<footer>Imprint</footer>
"""
    assert text(tmp_path, body) == (
        "Mind this.\n\nLaptops\n\nOne two three\nfour\n\nFive six new.\n\nA photo of the dock"
    )


def test_main_is_read_where_there_is_one_and_keeps_its_header(tmp_path: Path) -> None:
    body = (
        "<p>Outside</p><main><header><h1>Title</h1></header><p>Inside</p>"
        "<footer>Last change: May</footer></main>"
    )
    assert text(tmp_path, body) == "Title\n\nInside\n\nLast change: May"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<p>a</p><article>b</article>", "b"),
        ("<p>a</p><article>b</article><article>c</article>", "a\n\nb\n\nc"),
        ('<p>a</p><div role="main">b</div>', "b"),
        ("<p>a</p><main></main>", "a"),
        ("<form><h1>a</h1><p>b</p><input></form>", "a\n\nb"),
        ("a<div>b<span>c</span></div>d", "a\n\nbc\n\nd"),
    ],
)
def test_where_the_text_is(tmp_path: Path, body: str, expected: str) -> None:
    assert text(tmp_path, body) == expected


def test_lists_have_one_item_a_line(tmp_path: Path) -> None:
    body = """
<ul><li>one<ol start="3"><li>three<li><p>four</p><p>more</p><li value="9">nine</ol><li>two</ul>
<ol reversed start="2"><li>b<li>a</ol>
<dl><dt>Egg<dd>The pack.<dt>Nest:<dt>Cage<dd><p>The room.</p><p>Cold.</p><dt>Alone</dl>
"""
    assert text(tmp_path, body) == (
        "- one\n  3. three\n  4. four\n    more\n  9. nine\n- two\n\n2. b\n1. a\n\n"
        "Egg: The pack.\nNest:, Cage: The room.\nCold.\nAlone"
    )


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ("<dt>Egg<dd>The pack.<dd>The shell.", "Egg: The pack.\nEgg: The shell."),
        (
            "<dt>Egg<dt>Nest<dd><ul><li>one<li>two</ul><dd><ol><li>three</ol>",
            "Egg, Nest:\n- one\n- two\n\nEgg, Nest:\n1. three",
        ),
        (
            "<dt>Egg<dd>One.<dl><dt>In<dd>i<dd>j</dl><dd>Two.",
            "Egg: One.\nIn: i\nIn: j\n\nEgg: Two.",
        ),
        ("<dt>Egg<dd></dd><dt>Nest<dd>x<dd></dd>", "Egg\nNest: x"),
        ("<dt>Egg<dd><pre>a  b</pre><dd><pre>c</pre><dd>d", "Egg\n\na  b\n\nc\n\nEgg: d"),
        ("<dd>No term<dt>Egg<dd>x", "No term\nEgg: x"),
        ("<dt>A<dt>B<dt>C<dd>x<dd>y", "A, B, C: x\nA, B, C: y"),
        ("<dt>A<dt>B<dt>C<dt>D<dd>x<dd>y<dd>z", "A, B, C, D: x\nD: y\nD: z"),
        (f"<dt>{LONG}<dt>Egg<dd>x<dd>y", f"{LONG}, Egg: x\nEgg: y"),
        (f"<dt>Egg<dt>{LONG}s<dd>x<dd>y", f"Egg, {LONG}s: x\ny"),
    ],
)
def test_each_description_has_its_term(tmp_path: Path, terms: str, expected: str) -> None:
    assert text(tmp_path, f"<dl>{terms}</dl>") == expected


@pytest.mark.parametrize(
    "body",
    [
        "<dl>" + "".join(f"<dt>name {n}" for n in range(2000)) + "<dd>value" * 2000 + "</dl>",
        f"<dl><dt>{'name ' * 8000}" + "<dd>value" * 2000 + "</dl>",
        "<table>"
        + "".join(f"<tr><th>name {n}<th>{n}" for n in range(2000))
        + "<tr><td>value<td>9" * 2000
        + "</table>",
        f"<table><tr><th>{'name ' * 8000}" + "<tr><td>value" * 2000 + "</table>",
        f"<table><tr><th>9<td rowspan=1000>{'name ' * 8000}" + "<tr><td>value" * 2000 + "</table>",
    ],
)
def test_names_of_many_values_make_no_text_many_times_as_long(tmp_path: Path, body: str) -> None:
    read = text(tmp_path, body)
    assert len(read) < 20 * len(body)
    assert read.count("value") == 2000
    assert read.count("name") >= body.count("name")


@pytest.mark.parametrize(
    "items",
    [
        # As GitHub, GitLab (with paragraphs), MkDocs, pandoc and Confluence write them.
        """<li class="task-list-item enabled"><span class="handle"><svg><path d="M1"/></svg></span>
<input type="checkbox" disabled class="task-list-item-checkbox" checked> Order the laptop</li>
<li class="task-list-item"><input type="checkbox" class="task-list-item-checkbox"> Badge</li>""",
        """<li class="task-list-item" dir="auto"><p><task-button></task-button>
<input type="checkbox" class="task-list-item-checkbox" checked disabled> Order <em>the</em>
laptop</p></li><li class="task-list-item"><p><input type="checkbox" disabled> Badge</p></li>""",
        """<li class="task-list-item"><label class="task-list-control">
<input type="checkbox" disabled checked/><span class="task-list-indicator"></span></label> Order the
laptop</li><li class="task-list-item"><label class="task-list-control"><input type="checkbox"
disabled/><span class="task-list-indicator"></span></label> Badge</li>""",
        """<li><label><input type="checkbox" checked="" />Order the laptop</label></li>
<li><label><input type="checkbox" />Badge</label></li>""",
        """<li class="checked" data-inline-task-id="1"><span class="placeholder-inline-tasks">Order
the laptop</span></li><li data-inline-task-id="2"><span>Badge</span></li>""",
    ],
)
def test_tasks_have_the_boxes_that_markdown_has(tmp_path: Path, items: str) -> None:
    markdown = "- [x] Order the laptop\n- [ ] Badge\n"
    expected = parse_file(tmp_path, "a.md", markdown).text
    assert expected == "- ☑ Order the laptop\n- ☐ Badge"
    assert text(tmp_path, f"<ul>{items}</ul>") == expected
    table = f"<table><tr><th>Who<th>What<tr><td>Ada<td><ul>{items}</ul></table>"
    assert text(tmp_path, table) == "Who: Ada; What: ☑ Order the laptop, ☐ Badge"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "<ol><li><input type=checkbox checked>a<ul><li>b<li><input type=checkbox>c</ul><li>d",
            "1. ☑ a\n  - b\n  - ☐ c\n2. d",
        ),
        ("<ul><li>Take <input type=checkbox> tea<li><input type=radio> none", "- Take tea\n- none"),
        ("<ul><li><input type=checkbox style='display:none'>Folded", "- Folded"),
        ("<ul><li>a<li><ul><li><input type=checkbox>in</ul>", "- a\n  - ☐ in"),
        ("<ul><li><!-- 1 --> <input type=checkbox>a", "- ☐ a"),
        ("<UL><LI><INPUT TYPE=CHECKBOX CHECKED>Folded</UL>", "- ☑ Folded"),
        ("<ul><li><input name=amount> pounds", "- pounds"),
        # The box of an item in an item, where a cell has both on one line.
        (
            "<table><tr><th>Who<th>What<tr><td>Ada<td><ul><li><ul><li><input type=checkbox>in"
            "<li>out</ul></ul></table>",
            "Who: Ada; What: ☐ in, out",
        ),
        # A box may stand in a frame, or be that of a term.
        (
            "<ul><li><table role=presentation><tr><td><input type=checkbox checked><td>Book"
            "</table><li><dl><dt><input type=checkbox> Badge<dd>for the door</dl></ul>",
            "- ☑ Book\n- ☐ Badge: for the door",
        ),
        ("<p><input type=checkbox checked> Yes.</p><ul><li><input type=checkbox></ul>", "Yes."),
    ],
)
def test_only_the_box_in_front_of_an_item_is_one(tmp_path: Path, body: str, expected: str) -> None:
    assert text(tmp_path, body) == expected


def test_code_stays_as_it_is(tmp_path: Path) -> None:
    body = "<pre><code>if <b>x</b>:\n    y()<br>\n</code></pre><pre><i class=linenos>1</i>z</pre>"
    assert text(tmp_path, body) == "if x:\n    y()\n\nz"


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            "<caption>Wifi</caption><thead><tr><th>Network<th>For</thead>"
            "<tr><td>work<td>laptops<tr><td><td>-",
            "Wifi\n\nNetwork: work; For: laptops",
        ),
        (
            "<tr><th></th><th>North</th><th>South</th></tr>"
            "<tr><th>Desk</th><td>8 to 16</td><td>9 to 15</td></tr>",
            "Desk; North: 8 to 16; South: 9 to 15",
        ),
        (
            "<tr><th>Phone:</th><td>300</td></tr><tr><th>Room</th><td>12<br>first floor</td></tr>",
            "Phone: 300\nRoom: 12, first floor",
        ),
        ("<tr><td>a<td>b<tr><td>c<td>", "a; b\nc"),
        (
            "<tr><th>Opening<br>hours<th>Price<br/>(net)"
            "<tr><td>9 to 5<br>by phone /<br>by mail<td>90<br>(80 used)",
            "Opening hours: 9 to 5, by phone / by mail; Price (net): 90 (80 used)",
        ),
        # Headers in the first column, below a name of the whole table or of some rows.
        (
            "<tr><th colspan=2>Depot<tr><th scope=row>Opened<td>1999<tr><th>Contact"
            "<tr><th scope=row>Phone<td>300<td>301",
            "Depot\n\nOpened: 1999\nContact\nPhone: 300; 301",
        ),
        (
            "<tr><th>Item<th>Price<tr><th colspan=2>Used<tr><td>Dock<td>90",
            "Used\nItem: Dock; Price: 90",
        ),
        ("<tr><th scope=row>Fax<td><tr><th scope=row>Room<td>12", "Room: 12"),
        ("<tr><td><td>Basic<tr><th scope=row>Seats<td>5", "Basic\nSeats: 5"),
        (
            "<tr><th rowspan=2>Monday<th>Morning<td>9 to 12<tr><th>Afternoon<td>closed",
            "Monday, Morning: 9 to 12\nMonday, Afternoon: closed",
        ),
        (
            "<thead><tr><th rowspan=2>Item<th colspan=2>Price<tr><th>new<th>used</thead>"
            "<tr><td rowspan=2>Dock<td>90<td>40<tr><td>80<td>30",
            "Item: Dock; Price new: 90; Price used: 40\nItem: Dock; Price new: 80; Price used: 30",
        ),
        # A value may stand in several columns or rows, and in all columns.
        (
            "<tr><th>Desk<th>North<th>East<th>South<tr><td>A<td>9<td colspan=2>closed"
            "<tr><td>B<td colspan=3 rowspan=2>all day<tr><td>C",
            "Desk: A; North: 9; East, South: closed\nDesk: B; North, East, South: all day\n"
            "Desk: C; North, East, South: all day",
        ),
        (
            f"<tr><th>Desk<th>{LONG}<th>South<tr><td>A<td colspan=2>closed",
            f"Desk: A; {LONG}: closed",
        ),
        (
            "<tr><th>Desk<th colspan=2>Open<tr><td>A<td colspan=2>all day<tr><td>B<td>9<td>5",
            "Desk: A; Open: all day\nDesk: B; Open: 9; Open: 5",
        ),
        (
            "<thead><tr><td>Item<td colspan=2>Price</thead><tr><td>Dock<td>90<td>40",
            "Item: Dock; Price: 90; Price: 40",
        ),
        (
            "<tr><td colspan=3>Rates<tr><th>Item<th>Price<th>Used<tr><td>Dock<td>90<td>40"
            "<tr><td colspan=3>From May<tr><td>Desk<td>80<td>30",
            "Rates\n\nItem: Dock; Price: 90; Used: 40\nFrom May\nItem: Desk; Price: 80; Used: 30",
        ),
        ("<tr><td colspan=2>a<tr><td colspan=2>b", "a\nb"),
        # No cell reaches out of its part of the table, and 0 rows are those that are left in it.
        (
            "<thead><tr><th rowspan=3>Desk<th>Day</thead><tr><td rowspan=0>A<td>Mo<tr><td>Tu"
            "<tbody><tr><td>B<td>We",
            "Desk: A; Day: Mo\nDesk: A; Day: Tu\nDesk: B; Day: We",
        ),
        (
            "<tr><th>Plan<th>Has<tr><td>Basic<td><ul><li>mail<li>chat</ul>",
            "Plan: Basic; Has: mail, chat",
        ),
        ("<tr><td><h2>In a frame</h2><p>Text<td>Beside", "In a frame\n\nText\n\nBeside"),
        ("<tr><th>Only<th>Headers", "Only; Headers"),
        # Of a header, no more is repeated in each row than a name has.
        (
            f"<tr><th>Item<th>Price<tr><th>{LONG}<th>new<tr><th>A<th>9<tr><td>Dock<td>90",
            f"Item: {LONG}; Price: new\nItem: A; Price: 9\nItem: Dock; Price: 90",
        ),
        (f"<tr><th>Item<th>{LONG}<tr><td>Dock<td>90", f"Item: Dock; {LONG}: 90"),
        (
            f"<tr><th>Item<th>{LONG}s<tr><th>name<th>new<tr><td>Dock<td>90",
            f"{LONG}s\n\nItem name: Dock; new: 90",
        ),
        (f"<tr><td rowspan=2>{LONG}<td>a<tr><td>b", f"{LONG}; a\n{LONG}; b"),
        (f"<tr><td rowspan=2>{LONG}s<td>a<tr><td>b", f"{LONG}s; a\nb"),
    ],
)
def test_tables_are_read_row_by_row(tmp_path: Path, table: str, expected: str) -> None:
    assert text(tmp_path, f"<table>{table}</table>") == expected


def test_slugs_are_the_ids_that_lead_to_a_heading(tmp_path: Path) -> None:
    body = """
<h1 id="own">Own</h1>
<h2><a name="inner"></a>Inner</h2>
<h2><span id="span">Span</span></h2>
<a id="before"></a><h2>Before</h2>
<p><a name="para"></a></p><h2>Paragraph</h2>
<section id="first"><div><h2>First of a section</h2></div><p>x</p><h2>Not the first</h2></section>
<a id="far"></a>text<h2>None</h2>
"""
    assert headings(parse_file(tmp_path, "a.html", body)) == [
        ("Own", 1, "own"),
        ("Inner", 2, "inner"),
        ("Span", 2, "span"),
        ("Before", 2, "before"),
        ("Paragraph", 2, "para"),
        ("First of a section", 2, "first"),
        ("Not the first", 2, None),
        ("None", 2, None),
    ]


def test_a_heading_has_the_text_up_to_the_next_one(tmp_path: Path) -> None:
    document = parse_file(tmp_path, "a.html", "<h1>A</h1>x<div><h3>B</h3><p>y</div><h2>C</h2>z")
    assert section(document, "B") == "y"
    assert [anchor.path for anchor in document.anchors] == [("A",), ("A", "B"), ("A", "C")]


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("<title>Site - Page</title><h2>Sub</h2><h1>Page</h1>", "Page"),
        ("<title>Site - Page</title><h2>Sub</h2>", "Site - Page"),
        ("<title>Untitled document</title><header><h1>Name</h1></header><p>x", "Name"),
        ("<title></title><h2>Sub</h2>", "Sub"),
        ("<p>x", "a"),
    ],
)
def test_the_title_is_found(tmp_path: Path, source: str, title: str) -> None:
    assert parse_file(tmp_path, "a.html", source).title == title


@pytest.mark.parametrize(
    "content",
    [
        '<meta charset="windows-1251"><p>Отпуск</p>'.encode("cp1251"),
        b'<meta http-equiv="Content-Type" content="text/html; charset=koi8-r"><p>'
        + "Отпуск".encode("koi8-r"),
        '<meta charset="iso-8859-1"><p>Отпуск</p>'.encode("utf-8-sig"),
        '<meta charset="utf-16"><p>Отпуск</p>'.encode(),
        '<meta charset="nonsense"><p>Отпуск</p>'.encode(),
        '<meta charset="ascii"><p>&#1054;тпуск</p>'.encode("utf-16"),
    ],
)
def test_the_declared_encoding_is_believed_below_a_byte_order_mark(
    tmp_path: Path, content: bytes
) -> None:
    assert parse_file(tmp_path, "a.html", content).text == "Отпуск"


@pytest.mark.parametrize("tags", ["<div>", "<b>", "<ul><li>", "<span>", "<table><tr><td>"])
def test_deep_nesting_is_refused_at_once(tmp_path: Path, tags: str) -> None:
    for times in (1_000, 200_000):
        with pytest.raises(ParseError, match=r"^a\.html: elements are nested more than 500 deep"):
            parse_file(tmp_path, "a.html", tags * times + "text")


def test_a_page_with_many_unclosed_paragraphs_is_read(tmp_path: Path) -> None:
    document = parse_file(tmp_path, "a.html", "<ul>" + "<li>item<p>text<br><img>" * 6000)
    assert document.text.count("- item") == 6000


@pytest.mark.parametrize("charset", ["undefined", "no-such-charset", "utf-16", "rot13", "idna"])
def test_a_declared_encoding_that_decodes_nothing_is_left_aside(
    tmp_path: Path, charset: str
) -> None:
    html = f'<!DOCTYPE html><meta charset="{charset}"><title>T</title><body><p>Größe zählt.'
    assert parse_file(tmp_path, "a.html", html).text == "Größe zählt."
