from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.sentences import sentence_spans


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Ask Dr. Lund about it. She knows.", ["Ask Dr. Lund about it.", "She knows."]),
        ("Use tools, e.g. Ruff. Then commit.", ["Use tools, e.g. Ruff.", "Then commit."]),
        ("It costs 3.50 EUR. Pay later.", ["It costs 3.50 EUR.", "Pay later."]),
        ("See No. 7 on the list. Done.", ["See No. 7 on the list.", "Done."]),
        ("The answer is no. Then we go.", ["The answer is no.", "Then we go."]),
        ("We close at 5 pm. The alarm is set.", ["We close at 5 pm.", "The alarm is set."]),
        ("1. Open the app\n2. Sign in", ["Open the app", "Sign in"]),
        ("He said “Stop.” Then he left.", ["He said “Stop.”", "Then he left."]),
        ("Call J. Smith. He knows.", ["Call J. Smith.", "He knows."]),
        ("wait... what is it", ["wait... what is it"]),
        ("Größe zählt. Ärger auch.", ["Größe zählt.", "Ärger auch."]),
        ("A line\n\nanother line", ["A line", "another line"]),
        ("  \n ", []),
    ],
)
def test_where_sentences_end(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        # Abbreviations.
        "Tools (e.g. Ruff and mypy) run on every push. | Use them.",
        "Some teams, i.e. Sales and Support, work in shifts. | Others do not.",
        "Mr. Quill and Mrs. Finch share a desk. | Prof. Ashby does not.",
        "It takes approx. 5 days. | Longer ones take max. 10 days.",
        "Bring pens, paper, etc. | We have none.",
        "Send it by Sept. 5 at the latest. | Later ones wait.",
        "See vol. 2, pp. 4 and 5, and fig. 3. | They differ.",
        "Compare Python vs. Ruby. | Then choose.",
        "As Smith et al. wrote, it works. | The others agree.",
        "Orrindale Inc. Headquarters are in Kelverton. | We moved in May.",
        "We belong to Orrindale Ltd. | The owners are many.",
        "Go to 5 Elm St. Suite 4 is on the left.",
        "Rep. Ashby visits us. | Ask your sales rep. | Contracts are signed by two.",
        "Ex. @tee, Team Awesome, is how it looks.",
        # Initials.
        "The U.S. Web Design System is used. | It is free in the U.S. | We use it, too.",
        "See 5 C.F.R. 2635 and 31 U.S.C. 1353. | Both apply.",
        "There are maps of the D.C. office. | Take one.",
        "J. R. Smith signs. | Then take Plan B. | It is longer.",
        "So do I. | Nobody else does.",
        "The desk opens at 8 a.m. | Visitors wait. | It closes at 5 p.m. Friday or 4 p.m. ET.",
        # Numbers, versions, names of files, addresses.
        "Use Python 3.12.1. | Version 3.11 is gone.",
        "It rose by 3.5 %. | Nobody knew.",
        "The limit is 10. | Use more with care.",
        "Write to help@orrindale.example. | Somebody answers.",
        "See https://orrindale.example/a.b?c=d. | Then sign in.",
        "Open README.md. | It says more.",
        "Read docs/setup.txt, then run make.sh. | Wait for it.",
        "Am 24. Dez. ist frei. | Am 3. Okt. 2026 auch. | Sonst nicht.",
        "Am 3. Oktober ist frei. | Am 24. Dezember auch, d.h. Kurzarbeit bzw. Urlaub.",
        "Step 1. Open the app. | Step 2. Sign in.",
        "Section 4. Leave",
        "We use Node.js. | Install it first.",
        # What can begin a sentence.
        "Tell us in Slack. | #help is for that. | @solveig answers.",
        "Bikes are for rent. | $15 buys a day. | £90 buys a week.",
        "Your phone is yours. | iPhones need a PIN. | macOS, too.",
        "No! | 18F does that. | 2FA is on.",
        "First npm install. then nothing.",
        "Он пришёл в 5 ч. вечера. | Мы ждали.",
        "¡Hola! | ¿Qué tal? | Bien.",
        # Questions.
        "Can I bring my dog? | Yes, on Fridays. | And my cat? | No.",
        "Q: Who pays? | We do not.",
        # Quotes, brackets, footnotes.
        "She said “We are closed.” | He left.",
        'Press "OK." | Then wait.',
        "Er sagte: „Stopp.“ | Dann ging er.",
        "We close early. | (See below.) | Ask first.",
        "We close early (at noon, etc.). | Ask first.",
        "Rate it (good? Bad? Both?) and tell us. | Thanks.",
        "Leave is 25 days.[1] | It was 20.² | Ask.",
        "[!] Changes made at the airport. | Others.",
        # Ellipses.
        "Wait for it… | Then go.",
        "And so on... | Then stop.",
        "It says ... Then nothing.",
        "He wrote […] The rest is gone.",
        # Chinese and Japanese.
        "年假有二十天。|病假另计！|请问？|「是的。」|好",
        # Lines.
        "Leave\n|\nTwenty-five days a year\n|and no more",
    ],
)
def test_sentences_of_handbooks(text: str) -> None:
    wanted = [part.strip() for part in text.split("|")]
    assert sentences(text.replace(" | ", " ").replace("|", "")) == wanted


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("- Jury leave, and", "Jury leave, and"),
        ("  - Jury leave", "Jury leave"),
        ("• Jury leave", "Jury leave"),
        ("* Prices without tax", "Prices without tax"),
        ("1. Open the app", "Open the app"),
        ("12) Open the app", "Open the app"),
        ("(a) Open the app", "Open the app"),
        ("iv. Open the app", "Open the app"),
        ("- 2. Book travel", "Book travel"),
        ("• 5 degrees", "5 degrees"),
        ("1) 5 degrees", "5 degrees"),
        ("- ☑ Order the laptop", "Order the laptop"),
        ("- ☐ 5 keys", "5 keys"),
        ("1. ☐ 5 keys", "5 keys"),
        ("☒ Order the laptop", "Order the laptop"),
        ("- [x] Order the laptop", "Order the laptop"),
        ("2) [ ] 5 keys", "5 keys"),
        # What only looks like a marker.
        ("- [x]-rays", "[x]-rays"),
        ("[x] Order the laptop", "[x] Order the laptop"),
        ("- ☑", "- ☑"),
        ("-developer roles", "-developer roles"),
        ("24. December is free", "24. December is free"),
        ("3. Oktober", "3. Oktober"),
        ("24. Dez. ist frei", "24. Dez. ist frei"),
        ("1. Jan. and 3. Okt. are free", "1. Jan. and 3. Okt. are free"),
        ("1. Jan signs", "Jan signs"),
        ("z. B. Hunde", "z. B. Hunde"),
        ("z.  B. Hunde", "z.  B. Hunde"),
        ("- 5 degrees", "- 5 degrees"),
        ("– 5", "– 5"),
        ("p. 12 lists the prices", "p. 12 lists the prices"),
        ("c. 1900 people came", "c. 1900 people came"),
        ("v. 2 is out", "v. 2 is out"),
        ("c. Lund signs", "c. Lund signs"),
        ("24. 12. is free", "24. 12. is free"),
        ("5. 3. is free", "5. 3. is free"),
        ("4. 25 minutes", "4. 25 minutes"),
        ("2026. Then we moved", "2026. Then we moved"),
        ("3.5 % of it", "3.5 % of it"),
        ("* * * * * /bin/sync", "* * * * * /bin/sync"),
        ("✓ Allowed", "✓ Allowed"),
        ("J. Smith", "J. Smith"),
        ("-", "-"),
        ("1.", "1."),
        ("- - -", "- - -"),
    ],
)
def test_the_marker_of_a_list_item_is_in_no_sentence(line: str, sentence: str) -> None:
    assert sentences(line) == [sentence]
    text = f"Above\n{line}\nBelow"
    assert sentences(text) == ["Above", sentence, "Below"]
    assert [text[start:end] for start, end in sentence_spans(text, markers=True)] == [
        "Above",
        line.strip(),
        "Below",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a. Open the app\nb. Sign in", ["Open the app", "Sign in"]),
        ("By hand:\n\na. open the app\n\nb. sign in", ["By hand:", "open the app", "sign in"]),
        ("iv. Open\nv. Sign in\nThen wait", ["Open", "Sign in", "Then wait"]),
        ("i. Open\n\nii. Sign in", ["Open", "Sign in"]),
        ("- 5 days\n- 3 weeks\n  – 2 years", ["5 days", "3 weeks", "– 2 years"]),
        ("- 5 days\n\n- a month", ["5 days", "a month"]),
        ("1. Choose\n2. 25 or 50 minutes", ["Choose", "25 or 50 minutes"]),
        ("- 1. 5 days\n- 2. Wait", ["5 days", "Wait"]),
        # A list of one item.
        ("You get:\n\n- 5 days of leave", ["You get:", "5 days of leave"]),
        ("You get:\n1. 5 days of leave", ["You get:", "5 days of leave"]),
        ("You get:\na. leave", ["You get:", "leave"]),
        ("You get\n- 5 days of leave", ["You get", "- 5 days of leave"]),
        ("At night:\n- 5 degrees", ["At night:", "- 5 degrees"]),
        ("At night:\n- 5 °C", ["At night:", "- 5 °C"]),
        ("Free:\n3. 5 days later", ["Free:", "3. 5 days later"]),
        ("Names:\nc. Lund", ["Names:", "c. Lund"]),
        # Letters that do not follow each other, and numbers that may be dates or pages.
        ("a. Smith\nc. Lund", ["a. Smith", "c. Lund"]),
        ("p. 12\nq. 13", ["p. 12", "q. 13"]),
        ("24. 12. is free\n25. 12. too", ["24. 12. is free", "25. 12. too"]),
    ],
)
def test_words_and_signs_are_markers_in_a_list(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_what_is_in_a_list_is_known_from_around_the_part_that_is_cut() -> None:
    text = "a. Open the app\nb. Sign in"
    assert sentence_spans(text, 0, 7) == [(3, 7)]
    assert sentence_spans(text, text.index("b.")) == [(text.index("Sign"), len(text))]
    assert sentence_spans("- 5 or - 3", 0, 3) == [(0, 3)]


def test_a_marker_is_at_the_beginning_of_a_line() -> None:
    text = "The badge costs\n5. Pay it"
    assert sentence_spans(text, text.index("5")) == [(text.index("Pay"), len(text))]
    assert sentence_spans("See - there", 4) == [(4, 11)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Q: How long?\nA: Ten days. Or more.", ["Q: How long?", "Ten days.", "Or more."]),
        ("Q: How long? A: Ten days.", ["Q: How long?", "Ten days."]),
        ("How long (in days)?\n\nA: Ten.\n\nHow far?\n\nAnswer: Far.", None),
        ("- Q1: Tell me how long.\n- A1: Ten days.", ["Q1: Tell me how long.", "Ten days."]),
        ("Q. How long?\nA. Ten days.", ["Q. How long?", "Ten days."]),
        ("A: Ten days.\n\nQ: How far?", ["Ten days.", "Q: How far?"]),
        # Labels of other things.
        ("A: Ten days.\n\nHow far?", ["A: Ten days.", "How far?"]),
        ("Which plan?\n\nA: Basic\nB: Premium", ["Which plan?", "A: Basic", "B: Premium"]),
        ("Sizes\nA: small\nC: large", ["Sizes", "A: small", "C: large"]),
        ("How long?\nA. Lund knows.", ["How long?", "A. Lund knows."]),
        ("Where?\nA: 5; C: 6", ["Where?", "A: 5; C: 6"]),
    ],
)
def test_the_label_of_an_answer_is_in_no_sentence(text: str, expected: list[str] | None) -> None:
    wanted = expected or ["How long (in days)?", "Ten.", "How far?", "Far."]
    assert sentences(text) == wanted
    whole = "".join(text[start:end] for start, end in sentence_spans(text, markers=True))
    assert "".join(whole.split()) == "".join(text.split())


@pytest.mark.parametrize(
    "row",
    [
        "Name: Intro; Description: About the team. Held weekly; Format: Video",
        "List: Red; Countries and rules: All others. No company equipment may be taken along",
        "Users; Basic: Three. No more; Standard: 25",
        "Question: What does it do?; Answer: It saves time. Much of it.",
        "name: Intro. Held weekly; format: video; held: Mon",
        "Name: Intro. Held weekly; e-mail: yes; Format: Video; Age: 16",
        "Name: Intro; 2026: Two. No more",
    ],
)
def test_the_row_of_a_table_is_one_sentence(row: str) -> None:
    assert sentences(f"Above. All.\n{row}\nBelow.") == ["Above.", "All.", row, "Below."]


def test_a_row_of_many_words_is_cut_like_prose() -> None:
    row = "Name: Intro; Description: " + "About the team. " * 40 + "; Format: Video"
    assert len(sentences(row)) == 40


@pytest.mark.parametrize(
    "text",
    [
        "Note: bring a pen. | We have none; the shop does. | Ask: it helps.",
        "There are two ways: call us. | We are there all day; otherwise: write to us. | We answer.",
        "There are two ways: call us; otherwise: write to us. | We answer soon.",
        "Es gibt zwei Wege: Rufe an. | Wir sind da; Ausnahme: Feiertage. | Dann schreibe.",
        "so there are two: call us. | We are there; otherwise: write to us. | We answer.",
    ],
)
def test_prose_with_colons_is_no_row(text: str) -> None:
    assert sentences(text.replace(" | ", " ")) == text.split(" | ")


@pytest.mark.parametrize(
    "part",
    [".", "!", "…", "Dr. ", '."', ". (", "! A", "( ", "a: b; ", "1. ", "... A", "。", "? A: b"],
    ids=repr,
)
def test_long_runs_of_marks_take_linear_time(part: str) -> None:
    # In quadratic time this would take minutes, with every other thread standing still.
    text = part * 200_000
    spans = sentence_spans(text)
    assert spans[0][0] == 0
    assert text[spans[-1][1] :].strip() == ""


@pytest.mark.parametrize("part", ["a. b\n", "c.  \n", "- 1\n\n", "\n- 1 \n \n", "A: b\n"], ids=repr)
def test_long_lists_take_linear_time(part: str) -> None:
    assert len(sentence_spans(part * 100_000)) == 100_000


@given(
    st.text(alphabet="aABQ.!? \n\"'1ß-()。:;", max_size=80), st.integers(0, 20), st.integers(0, 90)
)
def test_sentences_lie_in_order_inside_and_hold_every_word(text: str, start: int, end: int) -> None:
    end = min(end, len(text))
    spans = sentence_spans(text, start, end, markers=True)
    assert all(start <= begin < stop <= end for begin, stop in spans)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))
    inside = "".join(text[begin:stop] for begin, stop in spans)
    assert "".join(inside.split()) == "".join(text[start:end].split())
    # Without their markers the same sentences end where they did.
    bare = sentence_spans(text, start, end)
    assert [stop for _, stop in bare] == [stop for _, stop in spans]
    assert all(one[0] <= other[0] < other[1] for one, other in zip(spans, bare, strict=True))
