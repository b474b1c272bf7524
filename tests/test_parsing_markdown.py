from __future__ import annotations

from pathlib import Path

import pytest

from retriever.errors import ParseError
from tests.parsing_files import headings, parse_file, section


def text(folder: Path, content: str) -> str:
    return parse_file(folder, "a.md", content).text


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('**Bold** and _slanted_ `code` [link](https://x.org "t").', "Bold and slanted code link."),
        (
            "One line\nand the next\\\nhard break  \nagain",
            "One line and the next\nhard break\nagain",
        ),
        ("a &amp; b &lt;c&gt; &#8364;&nbsp;5", "a & b <c> € 5"),
        ("See <https://x.org> and <b>this</b><br>there.", "See https://x.org and this\nthere."),
        ("~~Old: 50 pounds.~~ Now 75.", "Now 75."),
        ("soft\u00adware\u200b and\u00a0more", "software and more"),
        ("Before ![a map of the office](map.png) after", "Before a map of the office after"),
        ("Before ![](map.png) ![map.png](map.png) ![image](x) after", "Before after"),
        ("[![Build status](https://ci.org/badge.svg)](https://ci.org) Text", "Text"),
        ("x<sup>2</sup> <!-- not this --> y", "x² y"),
        (
            "up to 10<sup>3</sup> litres, 10<sup>-9</sup> m, the 2<sup>nd</sup>",
            "up to 10³ litres, 10⁻⁹ m, the 2nd",
        ),
        ("> Quoted\n> text.\n\nNot quoted.", "Quoted text.\n\nNot quoted."),
        ("> [!IMPORTANT]\n> Read this.", "Important: Read this."),
        ("Line\n\n---\n\nOther", "Line\n\nOther"),
        ("Run `a  |  b` now", "Run a | b now"),
        ("Text.[^1]\n\n[^1]: A note.", "Text.\n\nA note."),
    ],
)
def test_markup_goes_and_text_stays(tmp_path: Path, source: str, expected: str) -> None:
    assert text(tmp_path, source) == expected


def test_a_footnote_stands_behind_what_refers_to_it(tmp_path: Path) -> None:
    source = """\
# Leave[^h]

Take it.[^a] Carry *six days[^b]* over.[^a]

You need:[^c]

- a badge[^d]
- a pass

| Plan | Price |
|------|-------|
| Pro  | 5[^e] |

## More

Text^[An inline note.] here.

[^a]: Note a.[^f][^g]

    - of two
    - blocks
[^b]: Note b.
[^c]: Note c.
[^d]: Note d.[^d]
[^e]: Note e.
[^f]: Note f.
[^g]: Note g.
[^h]: Note h.
[^z]: Nothing refers to it.
"""
    document = parse_file(tmp_path, "a.md", source)
    assert document.text == (
        "Leave\n\nNote h.\n\nTake it. Carry six days over.\n\n"
        "Note a.\n\n- of two\n- blocks\n\nNote f.\n\nNote g.\n\nNote b.\n\n"
        "You need:\n\n- a badge\n- a pass\n\nNote c.\n\nNote d.\n\n"
        "Plan: Pro; Price: 5\n\nNote e.\n\nMore\n\nText here.\n\nAn inline note."
    )
    assert section(document, "More") == "Text here.\n\nAn inline note."


def test_lists_have_one_item_a_line(tmp_path: Path) -> None:
    source = """\
Intro:

* one
  goes on
    * nested

      with a paragraph
    * [x] done
    * [ ] to do
* [X]ed out
* two

5. [X] five
6. six

   ```sh
   make  install
   ```

7. seven
"""
    assert text(tmp_path, source) == (
        "Intro:\n\n- one goes on\n  - nested\n    with a paragraph\n  - ☑ done\n  - ☐ to do\n"
        "- [X]ed out\n- two\n\n5. ☑ five\n6. six\n\nmake  install\n\n7. seven"
    )


DEFINITIONS = """\
# Glossary

Egg[^e]
:   The pack, as `one`
of *them*.

    It is closed.

Nest
: The room.

Cage
Coop
: The yard.
: The fence:
  - wood
  - wire

## Lists of them

- Lark

  : A bird.
- Crane
  : A machine.

    It lifts.
- Rook

> What is a wren?
> : A bird.

[^e]: A note.
"""


def test_definition_lists_are_read_as_those_of_html(tmp_path: Path) -> None:
    document = parse_file(tmp_path, "a.md", DEFINITIONS)
    assert document.text == (
        "Glossary\n\nEgg: The pack, as one of them.\nIt is closed.\nNest: The room.\n"
        "Cage, Coop: The yard.\nCage, Coop: The fence:\n- wood\n- wire\n\nA note.\n\n"
        "Lists of them\n\n- Lark: A bird.\n- Crane: A machine.\n  It lifts.\n- Rook\n\n"
        "What is a wren? A bird."
    )
    assert headings(document) == [
        ("Glossary", 1, "glossary"),
        ("Lists of them", 2, "lists-of-them"),
    ]
    assert section(document, "Glossary").startswith("Egg: The pack")
    html = "<dl><dt>Nest<dd>The room.<dt>Cage<dt>Coop<dd>The yard.<dd>The fence.</dl>"
    markdown = "Nest\n: The room.\n\nCage\nCoop\n: The yard.\n: The fence.\n"
    assert parse_file(tmp_path, "a.html", html).text == text(tmp_path, markdown)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (": alone\n\n: and again", ": alone\n\n: and again"),
        (": alone\n: and again", ": alone : and again"),
        ("Tea\n:ten pence\n\n:tea: for two", "Tea :ten pence\n\n:tea: for two"),
        ("Price\n:\n\nTea\n~ 5 pence", "Price :\n\nTea ~ 5 pence"),
        ("# Title\n: text", "Title\n\n: text"),
        ("| a |\n|---|\n| 1 |\n\n: A caption", "a: 1\n\n: A caption"),
        ("- item\n: text\n\n1. one\n\n: text", "- item : text\n\n1. one\n\n: text"),
        ("    code\n: text\n\n```\nTerm\n: code\n```", "code\n\n: text\n\nTerm\n: code"),
        # Prose, whole or broken into lines.
        (
            "This is a sentence, which says what it says.\n\n: text",
            "This is a sentence, which says what it says.\n\n: text",
        ),
        (f"{'word ' * 41}\n: text", f"{'word ' * 41}: text"),
        ("Results are below.\n\n: Table 1", "Results are below.\n\n: Table 1"),
        ("This is prose.\n: and this", "This is prose. : and this"),
        (
            "A paragraph that is broken into lines here,\nin front of\n: a colon",
            "A paragraph that is broken into lines here, in front of : a colon",
        ),
        (
            "A paragraph that is broken into lines in front\nof a second line\n: a colon",
            "A paragraph that is broken into lines in front of a second line : a colon",
        ),
        (
            "One\nand a line that is longer than any term is, of two\n: three",
            "One and a line that is longer than any term is, of two : three",
        ),
        (f"One\n{'x' * 41}\n: three", f"One {'x' * 41} : three"),
        ("1\n2\n3\n4\n5\n6\n: seven", "1 2 3 4 5 6 : seven"),
        ("One\ntwo\n\n: three", "One two\n\n: three"),
        ("One,\ntwo\n: three", "One, two : three"),
        ("One two,\nthree\n: four", "One two, three : four"),
        ("One\nthree.\n: four", "One three. : four"),
        ("One\n- two\n: three", "One\n\n- two : three"),
        ("One\n    two\n: three", "One two : three"),
        # What stands below a list of definitions is held to the same.
        (
            "Tea\n: A drink.\n\nThis is a sentence, which says what it says.\n\n: text",
            "Tea: A drink.\n\nThis is a sentence, which says what it says.\n\n: text",
        ),
        ("Tea\n: A drink.\n~ 5 pence\n\nCost\n~ 5", "Tea: A drink. ~ 5 pence\n\nCost ~ 5"),
        ("Tea\n: A drink.\n## Cost\n~ 5 pence", "Tea: A drink.\n\nCost\n\n~ 5 pence"),
        ("Tea\n: A drink.\n- with milk\n~ 5 pence", "Tea: A drink.\n\n- with milk ~ 5 pence"),
        (
            "Tea\n: A drink.\n\nThis is a paragraph that is broken into lines,\nhere\n: a colon",
            "Tea: A drink.\n\nThis is a paragraph that is broken into lines, here : a colon",
        ),
        (
            "```\nx\n: y\n```\nThis is a paragraph that is broken into lines,\nhere\n: a colon",
            "x\n: y\n\nThis is a paragraph that is broken into lines, here : a colon",
        ),
    ],
)
def test_other_lines_that_begin_with_a_colon_stay(
    tmp_path: Path, source: str, expected: str
) -> None:
    assert text(tmp_path, source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("approx.\n: Not exactly.", "approx.: Not exactly."),
        ("1\n2\n3\n4\n5\n: six", "1, 2, 3, 4, 5: six"),
        # A line of more than 40 characters is a term where it stands alone.
        (
            "How do I get a parking space, and where is it?\n: Ask the desk.",
            "How do I get a parking space, and where is it? Ask the desk.",
        ),
        (f"{'x ' * 99}xx\n: long", f"{'x ' * 99}xx: long"),
        (f"{'x' * 40}\n{'y' * 40}\n: long", f"{'x' * 40}, {'y' * 40}: long"),
    ],
)
def test_what_is_short_or_no_sentence_may_be_a_term(
    tmp_path: Path, source: str, expected: str
) -> None:
    assert text(tmp_path, source) == expected


def test_a_definition_has_all_paragraphs_that_are_indented_as_it_is(tmp_path: Path) -> None:
    source = "Nest\n: The room.\n\n  It is closed.\n\n It was open.\n"
    assert text(tmp_path, source) == "Nest: The room.\nIt is closed.\n\nIt was open."


def test_a_term_right_below_another_definition_begins_its_own(tmp_path: Path) -> None:
    source = """\
Apple
: A fruit of the genus Malus in the family Rosaceae.
Orange
Tangerine
:   The fruit of an evergreen tree.
Pear
: A fruit
that is eaten.
Quince
: A fruit
  that is cooked
Raisin
: A fruit,
dried in the sun,
Sloe
: A fruit.

```
Plum
: Code
Fig
: Code
```
"""
    assert text(tmp_path, source) == (
        "Apple: A fruit of the genus Malus in the family Rosaceae.\n"
        "Orange, Tangerine: The fruit of an evergreen tree.\nPear: A fruit that is eaten.\n"
        "Quince: A fruit that is cooked\nRaisin: A fruit, dried in the sun,\nSloe: A fruit.\n\n"
        "Plum\n: Code\nFig\n: Code"
    )


def test_code_stays_as_it_is(tmp_path: Path) -> None:
    source = "```python\nif x:\n\n\n\n    print('<b>&amp;')  \n```\n\n    $ ls  -l\n"
    assert text(tmp_path, source) == "if x:\n\n    print('<b>&amp;')\n\n$ ls  -l"


def test_tables_get_their_headers_into_each_row(tmp_path: Path) -> None:
    source = """\
| Plan | Price (£) | Note |
|------|----------:|------|
| Basic | 1.90 | |
| **Premium** | 4.60 | with `API`<br>and support |
| Other | - | by [mail](mailto:x@y.org) |
"""
    assert text(tmp_path, source) == (
        "Plan: Basic; Price (£): 1.90\n"
        "Plan: Premium; Price (£): 4.60; Note: with API, and support\n"
        "Plan: Other; Note: by mail"
    )


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        # Markdown demands a header row where the headers stand in the first column.
        ("| | |\n|-|-|\n| Phone | 300 |\n| Room | 12 |", "Phone: 300\nRoom: 12"),
        ("| **Status** | Accepted |\n|-|-|\n| **Date** | 3 May |", "Status: Accepted\nDate: 3 May"),
        ("| | |\n|-|-|\n| Phone | 300 |\n| | 301 |", "Phone; 300\n301"),
        ("| Plan | Price |\n|-|-|\n| **Basic** | 1.90 |", "Plan: Basic; Price: 1.90"),
        ("| **Plan** | **Price** |\n|-|-|\n| **Basic** | 1.90 |", "Plan: Basic; Price: 1.90"),
        ("| | Basic | Pro |\n|-|-|-|\n| **Seats** | 5 | 20 |", "Seats; Basic: 5; Pro: 20"),
    ],
)
def test_the_first_column_may_hold_the_headers(tmp_path: Path, table: str, expected: str) -> None:
    assert text(tmp_path, f"{table}\n") == expected


def test_headings_have_the_slugs_that_github_gives(tmp_path: Path) -> None:
    source = """\
# Über *uns* & `code`?

## Set up: a VPN_client (2.0)

## Räume {#rooms}

## Räume ##

### Räume

## 日本語 見出し

Underlined
----------

## !!!

#
"""
    assert headings(parse_file(tmp_path, "a.md", source)) == [
        ("Über uns & code?", 1, "über-uns--code"),
        ("Set up: a VPN_client (2.0)", 2, "set-up-a-vpn_client-20"),
        ("Räume", 2, "rooms"),
        ("Räume", 2, "räume"),
        ("Räume", 3, "räume-1"),
        ("日本語 見出し", 2, "日本語-見出し"),
        ("Underlined", 2, "underlined"),
        ("!!!", 2, None),
    ]


def test_a_slug_given_twice_is_not_one_that_a_heading_has_already(tmp_path: Path) -> None:
    document = parse_file(tmp_path, "a.md", "# A\n\n# A 1\n\n# A\n\n# A\n")
    assert [slug for _, _, slug in headings(document)] == ["a", "a-1", "a-2", "a-3"]


def test_headings_know_those_above_and_share_out_the_text(tmp_path: Path) -> None:
    document = parse_file(
        tmp_path, "a.md", "Before.\n\n# One\n\nText.\n\n### Three\n\n- a\n\n## Two\n\nEnd.\n"
    )
    assert [anchor.path for anchor in document.anchors] == [
        ("One",),
        ("One", "Three"),
        ("One", "Two"),
    ]
    assert document.anchors[0].start == len("Before.\n\n")
    assert section(document, "Three") == "- a"


def test_html_blocks_are_read_and_their_headings_count(tmp_path: Path) -> None:
    source = """\
<div class="accordion">
<h2 id="step-1"><button aria-controls="a1">Step 1: <em>Ask</em></button></h2>
<div id="a1" hidden>

Ask *before* you go.

</div>
<details><summary>More</summary>
<p>Hidden text.</p></details>
</div>

<table><tr><th>Room</th><th>Seats</th></tr><tr><td>Woad</td><td>24</td></tr></table>

<script>alert(1)</script>
<div style="display: none">never</div>
"""
    document = parse_file(tmp_path, "a.md", source)
    assert document.text == (
        "Step 1: Ask\n\nAsk before you go.\n\nMore\n\nHidden text.\n\nRoom: Woad; Seats: 24"
    )
    assert headings(document) == [("Step 1: Ask", 2, "step-1")]


def test_placeholders_in_angle_brackets_are_text(tmp_path: Path) -> None:
    source = "Use gds aws <environment>-admin -n <your name>.\n\n<namespace>\n\nEnd <title> here."
    assert text(tmp_path, source) == (
        "Use gds aws <environment>-admin -n <your name>.\n\n<namespace>\n\nEnd <title> here."
    )


@pytest.mark.parametrize("tag", ["script", "style", "textarea", "template", "select", "nav", "s"])
def test_a_tag_that_is_never_closed_does_not_take_the_rest(tmp_path: Path, tag: str) -> None:
    assert text(tmp_path, f"Before <{tag}> here.\n\nAfter.").endswith("here.\n\nAfter.")


def test_template_tags_vanish_from_prose(tmp_path: Path) -> None:
    source = """\
---
title: Leave
---
{% alert %}
  Ask *first*.
{% endalert %}
Then \\[go]({% page "/leave/#a b" %}) on. {% comment %}TODO
more{% endcomment %}

* TOC
{:toc}

| a | b |
|---|---|
| [x]({% page "x" | filter %}) | y |

## Pay
{: #money .no_toc}

Write to {% slack_channel "people-ops" %} or {% slack_channel "#it" %}.{: .lead}
Dear {{ first_name }}, see {{ site.baseurl }}/x and [this]({{ site.url }}/a).
<%= render "x" %>{{< note >}}{{% tip %}}
{% image "a.png" "the form with its fields" %}

{% raw %}Write {% include x %}{% endraw %} and {{ "{{ y }}" }}.
"""
    document = parse_file(tmp_path, "a.md", source)
    assert document.text == (
        "Ask first.\n\nThen go on.\n\na: x; b: y\n\nPay\n\n"
        "Write to #people-ops or #it. Dear {{ first_name }}, see /x and this.\n\n"
        "the form with its fields\n\nWrite {% include x %} and {{ y }}."
    )
    assert headings(document) == [("Pay", 2, "money")]


def test_template_tags_stay_in_code(tmp_path: Path) -> None:
    source = """\
```jinja
{% if x %}
{{ y }} {# z #} <%= w %>
{% endif %}
```

Inline `{% x %}` and `{{ y }}`.
"""
    assert text(tmp_path, source) == (
        "{% if x %}\n{{ y }} {# z #} <%= w %>\n{% endif %}\n\nInline {% x %} and {{ y }}."
    )


def test_braces_that_are_no_tags_stay(tmp_path: Path) -> None:
    source = "Set {:processed=>114} and {a} and ${HOME} and {1, 2} and {#not heading}."
    assert text(tmp_path, source) == source


def test_admonitions_are_paragraphs(tmp_path: Path) -> None:
    source = """\
!!! note "Mind the gap"
    Text of
    the note.

        code

After.

:::tip[Hint]
Inside.
:::
"""
    assert text(tmp_path, source) == (
        "Mind the gap\n\nText of the note.\n\ncode\n\nAfter.\n\nHint\n\nInside."
    )


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("---\ntitle: From the matter # not this\n---\n# Heading", "From the matter"),
        ('---\ntitle: "Quoted: \\"it\\""\nx: 1\n---\nText', 'Quoted: "it"'),
        ("---\ntitle: 'It''s'\n---\nText", "It's"),
        ("---\ntitle: >-\n  Folded\n  title\n---\nText", "Folded title"),
        ('+++\ntitle = "Hugo\'s"\n+++\nText', "Hugo's"),
        ("## Second\n\n# First\n", "First"),
        ("## Second\n\n### Third\n", "Second"),
        ("---\nlayout: page\n---\nText", "a"),
        ("---\n\nA rule\n\n---\n\n# Heading\n", "Heading"),
    ],
)
def test_the_title_is_found(tmp_path: Path, source: str, title: str) -> None:
    document = parse_file(tmp_path, "a.md", source)
    assert document.title == title
    assert "title:" not in document.text


def test_text_between_two_rules_is_no_front_matter(tmp_path: Path) -> None:
    assert text(tmp_path, "---\n\nA rule\n\n---\n\nEnd\n") == "A rule\n\nEnd"


def test_a_page_that_is_only_front_matter_has_its_title_as_text(tmp_path: Path) -> None:
    assert text(tmp_path, "---\ntitle: Org chart\nredirect_to: https://x.org\n---\n") == "Org chart"


def test_deep_nesting_is_refused_and_not_cut_off(tmp_path: Path) -> None:
    nested = "\n".join("  " * depth + f"- level {depth}" for depth in range(60))
    assert "- level 59" in text(tmp_path, nested)
    terms = "term\n" + "".join("  " * depth + ": term\n" for depth in range(200))
    for source in (">" * 1000 + " deep", "<div>\n\n" * 2000 + "deep", terms):
        with pytest.raises(ParseError, match=r"^a\.md: .*nested"):
            text(tmp_path, source)
