"""Answering on a real store; only the reader's logits are placed by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.answering import (
    MAX_QUESTION_CHARACTERS,
    Answerer,
    AnswerOptions,
    Reply,
    check_question,
)
from bot.confidence import Calibration, Features, Precisions, default_calibration, feature_names
from bot.errors import QuestionError
from bot.settings import DEFAULT_PRECISION
from reader.errors import ReaderError
from reader.reader import Reader
from retriever.errors import IngestError
from retriever.records import Hit
from retriever.search import Retriever
from retriever.store.database import Database
from retriever.store.models import Document, Question
from tests.documents import Store, open_store, write_pages
from tests.reader_models import MarkingReader

#: Of the answers with a confidence of at least a half, half are right, and so on.
AS_THEY_SAY = Precisions(tuple((step / 100, step / 100) for step in range(100)))


def by(**weights: float) -> Calibration:
    """A calibration that weighs these features, for the choice and for the confidence."""
    values = tuple(weights.get(name, 0.0) for name in feature_names())
    return Calibration(
        choice=values, confidence=values, lead=0.0, intercept=-10.0, precisions=AS_THEY_SAY
    )


#: Confidence by the logits alone: 0.5 at 10, 0.73 at 11, 0.99 at 15, 0.00 at 0.
BY_LOGIT = by(logit=1.0)

NOTES = {
    "wifi.md": (
        "# Wifi\n\nGuests ask at the desk. The code of the guest wifi is valid for twelve hours. "
        "After that a new code is needed.\n\n## Speed\n\nThe wifi is fast on every floor.\n"
    ),
    "lunch.md": "# Lunch hours\n\nLunch is served at noon in the canteen.\n",
    "annex.txt": "The wifi of the annex is valid for two days.\n",
    "dogs.txt": "Dogs are welcome on Fridays.\n",
    "keys.txt": "Keys are kept at the reception.\n",
    "mail.txt": "The mail is collected at four.\n",
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "home") as opened:
        folder = write_pages(tmp_path / "notes", NOTES)
        opened.ingestor.add([folder], base_url="https://example.com/")
        yield opened


def answerer(
    store: Store, reader: Reader, calibration: Calibration = BY_LOGIT, **options: float
) -> Answerer:
    return Answerer(
        store.database,
        store.retriever,
        lambda: reader,
        options=AnswerOptions(**{"precision": 0.5, "prior": 0.0, **options}),  # type: ignore[arg-type]
        calibration=calibration,
    )


def ask(
    store: Store,
    question: str,
    marks: dict[str, float],
    calibration: Calibration = BY_LOGIT,
    **options: float,
) -> Reply:
    """Ask with these spans marked by that logit, and check what holds of every reply."""
    placed = {text: (logit / 2, logit / 2) for text, logit in marks.items()}
    chosen = answerer(store, MarkingReader(placed), calibration, **options)
    reply = chosen.ask(question, via="cli")
    check(store, reply)
    return reply


def check(store: Store, reply: Reply) -> None:
    """Texts stand where the reply says, sentences hold their answers, none is shown twice."""
    assert reply.answered == bool(reply.answers)
    assert not (reply.answers and reply.closest)
    with store.database.read() as session:
        documents = {d.id: d for d in session.scalars(select(Document))}
    for answer in reply.answers:
        document = documents[answer.document_id]
        text = document.text
        stop = answer.sentence_start + len(answer.sentence)
        assert text[answer.start : answer.end] == answer.text
        assert text[answer.sentence_start : stop] == answer.sentence
        assert answer.sentence_start <= answer.start < answer.end <= stop
        assert "\n" not in answer.sentence
        assert (answer.document, answer.title) == (document.uri, document.title)
        assert answer.document_version == document.version
        assert 0.0 <= answer.confidence <= 1.0
    shown = [(a.document_id, a.sentence_start) for a in reply.answers]
    assert len(set(shown)) == len(shown)


def test_the_sentence_around_the_answer_is_quoted_with_its_place(store: Store) -> None:
    reply = ask(store, "How long is the guest wifi code valid?", {"twelve hours": 15.0})
    [answer] = reply.answers
    assert answer.text == "twelve hours"
    assert answer.sentence == "The code of the guest wifi is valid for twelve hours."
    assert answer.title == "Wifi"
    assert answer.document.endswith("notes/wifi.md")
    assert (answer.section, answer.page) == (None, None)  # the title alone stands above it
    assert answer.url == "https://example.com/wifi.md#wifi"
    assert answer.confidence == pytest.approx(0.9933, abs=1e-4)
    assert reply.question == "How long is the guest wifi code valid?"


def test_an_answer_under_a_heading_leads_there(store: Store) -> None:
    [answer] = ask(store, "wifi speed", {"on every floor": 15.0}).answers
    assert answer.section == "Speed"
    assert answer.url == "https://example.com/wifi.md#speed"
    assert answer.sentence == "The wifi is fast on every floor."


def test_an_item_of_a_list_is_shown_without_its_marker_and_brackets_are_whole(
    tmp_path: Path,
) -> None:
    pages = {
        "leave.md": (
            "# Leave\n\n1. Parents get two weeks (80 hours) each.\n"
            "2. Pets (big; small) must wait.\n"
        ),
        **{name: text for name, text in NOTES.items() if name.endswith(".txt")},
    }
    with open_store(tmp_path / "home") as store:
        store.ingestor.add([write_pages(tmp_path / "notes", pages)])
        [answer] = ask(store, "parents leave weeks", {"two weeks (80 hours": 15.0}).answers
        assert answer.text == "two weeks (80 hours)"
        assert answer.sentence == "Parents get two weeks (80 hours) each."
        [answer] = ask(store, "parents leave weeks", {"1. Parents get two weeks": 15.0}).answers
        assert answer.text == "Parents get two weeks"
        assert answer.sentence == "Parents get two weeks (80 hours) each."
        # Also where it is widened to the clause that decides.
        [answer] = ask(store, "do pets get leave?", {"small": 15.0}).answers
        assert answer.text == "(big; small) must wait"


def test_an_answer_is_quoted_from_one_row_of_a_table(tmp_path: Path) -> None:
    table = "| Plan | Price |\n|---|---|\n| Basic | 1.90 |\n| Premium | 4.60 |\n"
    pages = {**NOTES, "plans.md": f"# Plans\n\n{table}"}
    with open_store(tmp_path / "home") as store:
        store.ingestor.add([write_pages(tmp_path / "notes", pages)])
        marks = {"90\nPlan: Premium": 15.0}
        [answer] = ask(store, "price of the premium plan", marks).answers
        assert answer.sentence == "Plan: Premium; Price: 4.60"
        assert answer.text == "4.60"  # of the cell that the question names


def test_the_answer_to_a_question_of_the_document_is_quoted(tmp_path: Path) -> None:
    pages = {
        **NOTES,
        "faq.md": "# Bikes\n\n**Q: Where do bikes go?**\nA: They go into the shed, on the left.\n",
    }
    with open_store(tmp_path / "home") as store:
        store.ingestor.add([write_pages(tmp_path / "notes", pages)])
        wanted = "They go into the shed, on the left."
        [answer] = ask(store, "where do bikes go?", {"Where do bikes go": 15.0}).answers
        assert (answer.text, answer.sentence) == (wanted, wanted)
        # What the reader finds in the answer itself is more exact, and no less sure for that.
        for part in ("the shed", "They go", "on the left."):
            marks = {"Where do bikes go": 15.0, part: 12.0}
            [marked] = ask(store, "where do bikes go?", marks).answers
            assert (marked.text, marked.sentence) == (part, wanted)
            assert marked.confidence == answer.confidence
        # Of several that it finds there it is the best.
        for asked, better in ((15.0, 12.0), (13.0, 15.0)):
            marks = {"Where do bikes go": asked, "the shed": better, "on the left": 11.0}
            [marked] = ask(store, "where do bikes go?", marks).answers
            assert marked.text == "the shed"


def test_further_answers_are_other_sentences(store: Store) -> None:
    reply = ask(
        store,
        "How long is the wifi valid?",
        {"twelve hours": 15.0, "The code": 14.5, "two days": 14.0, "at the desk": 13.0},
    )
    assert [answer.text for answer in reply.answers] == ["twelve hours", "two days", "at the desk"]
    assert [Path(a.document).name for a in reply.answers] == ["wifi.md", "annex.txt", "wifi.md"]
    confidences = [answer.confidence for answer in reply.answers]
    assert confidences == sorted(confidences, reverse=True)


def test_sentences_without_a_space_between_them_are_two(tmp_path: Path) -> None:
    with open_store(tmp_path / "home") as store:
        desk, valid = "WIFI の番号は受付にあります。", "WIFI の番号は二日間有効です。"
        pages = {**NOTES, "ja.md": f"# WIFI\n\n{desk}{valid}\n"}
        store.ingestor.add([write_pages(tmp_path / "notes", pages)])
        for first, second in ((desk, valid), (valid, desk)):
            marks = {first[5:-1]: 15.0, second[5:-1]: 14.0}
            answers = ask(store, "WIFI の番号", marks).answers
            assert [answer.sentence for answer in answers] == [first, second]


def test_the_same_sentence_of_two_documents_is_shown_once(tmp_path: Path) -> None:
    with open_store(tmp_path / "home") as store:
        same = "The code of the guest wifi is valid for twelve hours.\n"
        pages = {"a.txt": same, "b.txt": same, "c.txt": "Dogs.\n", "d.txt": "Keys.\n", "e.txt": "x"}
        store.ingestor.add([write_pages(tmp_path / "notes", pages)])
        assert len(ask(store, "guest wifi", {"twelve hours": 15.0}).answers) == 1


def test_a_further_answer_needs_its_share_of_the_first_ones_confidence(store: Store) -> None:
    marks = {"twelve hours": 15.0, "two days": 9.0}  # 0.99 and 0.27
    question = "How long is the wifi valid?"
    assert len(ask(store, question, marks, further_confidence=0.4).answers) == 1
    assert len(ask(store, question, marks, further_confidence=0.2).answers) == 2
    same = {"twelve hours": 15.0, "two days": 15.0, "at the desk": 14.9}
    assert len(ask(store, question, same, further_confidence=1.0).answers) == 2


def test_so_many_answers_are_shown_at_most(store: Store) -> None:
    marks = {"twelve hours": 15.0, "two days": 14.5, "at the desk": 14.0, "every floor": 13.5}
    question = "wifi code desk"
    assert len(ask(store, question, marks).answers) == 3
    assert len(ask(store, question, marks, shown=1).answers) == 1
    assert len(ask(store, question, marks, shown=4).answers) == 4


def test_an_answer_that_is_not_sure_enough_is_none(store: Store) -> None:
    reply = ask(store, "How long is the wifi valid?", {"twelve hours": 9.0})  # 0.27
    assert not reply.answered
    names = [Path(hit.document).name for hit in reply.closest]
    assert set(names) == {"wifi.md", "annex.txt"}  # each document once
    assert len(names) == 2
    reply = ask(store, "How long is the wifi valid?", {"twelve hours": 9.0}, precision=0.26)
    assert reply.answered


def test_of_copies_one_is_among_the_closest(tmp_path: Path) -> None:
    with open_store(tmp_path / "home") as store:
        note = (
            "# Wifi\n\nThe code of the guest wifi is at the desk.\n\n"
            "# Guests\n\nGuests of the wifi sign the book at the desk.\n"
        )
        other = "# Wifi\n\nThe guest wifi covers every floor.\n"
        pages = {"a.md": note, "copy.md": note, "b.md": other, "c.md": "# Dogs\n\nNo.\n"}
        store.ingestor.add([write_pages(tmp_path / "notes", pages)])
        closest = ask(store, "guest wifi", {"desk": 0.0}).closest
        names = [Path(hit.document).name for hit in closest if "wifi" in hit.text]
        assert len(names) == 2
        assert "b.md" in names


def test_a_question_that_finds_nothing_has_no_answer(store: Store) -> None:
    reply = ask(store, "zebra?", {"twelve hours": 15.0})
    assert (reply.answers, reply.closest) == ((), ())


def test_headings_are_no_answers(store: Store) -> None:
    reply = ask(store, "lunch hours", {"Lunch hours": 20.0, "noon": 15.0})
    assert [answer.text for answer in reply.answers] == ["noon"]
    assert not ask(store, "lunch hours", {"Lunch hours": 20.0}).answered


def test_an_answer_is_made_of_whole_words(store: Store) -> None:
    [answer] = ask(store, "guest wifi code", {"welve": 15.0}).answers
    assert answer.text == "twelve"


def test_a_better_passage_weighs_more(store: Store) -> None:
    marks = {"twelve hours": 12.0, "two days": 12.0}
    both = by(logit=1.0, score=10.0)
    for question, text in (("wifi of the annex", "two days"), ("guest code wifi", "twelve hours")):
        assert ask(store, question, marks, both).answers[0].text == text
    # What the reader makes of it counts as well.
    marks["twelve hours"] = 40.0
    assert ask(store, "wifi of the annex", marks, both).answers[0].text == "twelve hours"


def test_a_question_of_yes_or_no_gets_a_sentence_that_decides(store: Store) -> None:
    marks = {"every floor": 12.0, "on Fridays": 11.0}
    weighed = by(logit=1.0, decisive=2.0)
    question = "can dogs use the wifi on Fridays?"
    [answer] = ask(store, question, marks, weighed, shown=1).answers
    assert answer.sentence == "Dogs are welcome on Fridays."
    assert answer.text == "Dogs are welcome on Fridays"  # the clause, for the span decides nothing
    question = "where can dogs use the wifi on Fridays?"
    [answer] = ask(store, question, marks, weighed, shown=1).answers
    assert answer.text == "every floor"
    [answer] = ask(store, question, {"on Fridays": 12.0}, weighed).answers
    assert answer.text == "on Fridays"


def test_a_question_of_how_much_gets_a_span_with_an_amount(store: Store) -> None:
    marks = {"at the desk": 12.0, "twelve hours": 11.0}
    weighed = by(logit=1.0, amount=2.0)
    for question, text in (
        ("How long is the wifi valid?", "twelve hours"),
        ("wifi", "at the desk"),
    ):
        assert ask(store, question, marks, weighed).answers[0].text == text


def test_the_spans_of_a_sentence_speak_for_it_together(store: Store) -> None:
    marks = {"twelve hours": 11.0, "The code": 11.0, "two days": 11.5}
    alone = ask(store, "How long is the wifi valid?", marks)
    assert alone.answers[0].text == "two days"
    together = ask(store, "How long is the wifi valid?", marks, by(probability=100.0))
    assert together.answers[0].sentence == "The code of the guest wifi is valid for twelve hours."
    marks["The wifi of"] = 8.0  # that of the other sentence, which is little
    together = ask(store, "How long is the wifi valid?", marks, by(probability=100.0))
    assert together.answers[0].sentence == "The code of the guest wifi is valid for twelve hours."


def test_titles_and_headings_are_read_with_a_passage(store: Store) -> None:
    reader = MarkingReader({})
    answerer(store, reader).ask("wifi speed", via="cli")
    assert {passage.context for passage in reader.seen} >= {"Wifi", "Wifi › Speed"}


def test_collections_limit_the_answers(store: Store, tmp_path: Path) -> None:
    other = write_pages(
        tmp_path / "other", {"x.txt": "The wifi of the ship is valid for a week.\n"}
    )
    store.ingestor.add([other], collection="ship")
    marks = {"twelve hours": (8.0, 8.0), "a week": (7.0, 7.0)}
    chosen = answerer(store, MarkingReader(marks))
    first = chosen.ask("wifi valid", via="cli", collections=["ship"]).answers[0]
    assert first.text == "a week"
    [answer] = chosen.ask("wifi valid", via="cli", collections=["default"]).answers
    assert answer.text == "twelve hours"
    with pytest.raises(IngestError, match="no collection"):
        chosen.ask("wifi valid", via="cli", collections=["nowhere"])


def test_the_reader_is_made_when_it_is_needed_and_not_for_nothing(store: Store) -> None:
    made: list[int] = []

    def reader() -> Reader:
        made.append(1)
        return MarkingReader({})

    chosen = Answerer(store.database, store.retriever, reader, calibration=BY_LOGIT)
    for wrong in ("", " ?! ", "x" * 1001):
        with pytest.raises(QuestionError, match="ask it in a"):
            chosen.ask(wrong, via="cli")
    assert made == []
    chosen.ask("wifi", via="cli")
    assert made == [1]


def test_so_many_passages_are_read(store: Store) -> None:
    reader = MarkingReader({})
    answerer(store, reader, passages=1).ask("wifi valid", via="cli")
    assert len(reader.seen) == 1
    answerer(store, reader).ask("wifi valid", via="cli")
    assert len(reader.seen) > 1


def test_every_answer_is_considered_and_nothing_noted(store: Store) -> None:
    marks = {"twelve hours": (4.0, 4.0), "The code": (3.0, 3.0)}
    considered = answerer(store, MarkingReader(marks)).consider("wifi valid")
    found = considered.candidates
    sentences = sorted((c.hit.document_id, c.start, c.end) for c in found)
    for (document, _, end), (other, start, _) in pairwise(sentences):
        assert document != other or end <= start  # each sentence competes once
    best = max(hit.score for hit in considered.hits)
    assert [c.features.behind for c in found] == [c.hit.score - best for c in found]
    assert min(c.features.behind for c in found) < 0.0
    assert {candidate.hit for candidate in found} <= set(considered.hits)
    assert found[0].span.text == "twelve hours"
    assert [c.span.score for c in found] == sorted((c.span.score for c in found), reverse=True)
    for candidate in found:
        assert candidate.sentence in candidate.hit.text
        assert candidate.start <= candidate.span.start < candidate.span.end <= candidate.end
    assert found[0].features.logit == pytest.approx(8.0)
    assert 0.0 < found[0].features.said <= found[0].features.coverage <= 1.0
    with store.database.read() as session:
        assert session.scalars(select(Question)).all() == []


class Overtaken(Retriever):
    """Something else happens between searching and reading."""

    then: Callable[[], object]

    def search(
        self, question: str, *, k: int = 10, collections: Sequence[str] | None = None
    ) -> list[Hit]:
        hits = super().search(question, k=k, collections=collections)
        self.then()
        return hits


@pytest.mark.parametrize("after", ["Welcome. The wifi is valid for twelve hours.\n", None])
def test_a_document_that_changes_while_it_is_read_is_not_quoted(
    store: Store, tmp_path: Path, after: str | None
) -> None:
    marks = {"twelve hours": (8.0, 8.0), "two days": (7.5, 7.5)}
    retriever = Overtaken(store.database, store.keeper)
    file = tmp_path / "notes" / "wifi.md"

    def change() -> None:
        file.unlink() if after is None else file.write_text(after)
        store.ingestor.reindex()

    retriever.then = change
    chosen = Answerer(
        store.database,
        retriever,
        lambda: MarkingReader(marks),
        options=AnswerOptions(precision=0.5, prior=0.0),
        calibration=BY_LOGIT,
    )
    reply = chosen.ask("How long is the wifi valid?", via="cli")
    check(store, reply)
    assert [answer.text for answer in reply.answers] == ["two days"]


# -- the log ----------------------------------------------------------------------------------


def test_questions_are_logged_with_what_was_shown(store: Store) -> None:
    reader = MarkingReader({"twelve hours": (8.0, 8.0), "two days": (7.5, 7.5)})
    chosen = answerer(store, reader)
    reply = chosen.ask(
        "  How long  is the wifi\tvalid? ", via="mention", user="U1", channel="C1", thread_ts="1.2"
    )
    missed = chosen.ask("lunch", via="dm")
    with store.database.read() as session:
        rows = {row.id: row for row in session.scalars(select(Question))}
        assert set(rows) == {reply.question_id, missed.question_id}
        assert reply.question_id is not None
        row = rows[reply.question_id]
        assert row.text == reply.question == "How long is the wifi valid?"
        assert (row.via, row.user, row.channel, row.thread_ts) == ("mention", "U1", "C1", "1.2")
        assert (row.reader, row.answered) == ("marking", True)
        assert (row.retrieve_ms, row.read_ms) == (reply.retrieve_ms, reply.read_ms)
        assert [
            (a.document_id, a.document_uri, a.document_version, a.text, a.sentence, a.start, a.end)
            for a in row.answers
        ] == [
            (a.document_id, a.document, 1, a.text, a.sentence, a.start, a.end)
            for a in reply.answers
        ]
        assert len(row.answers) == 2
        assert missed.question_id is not None
        row = rows[missed.question_id]
        assert (row.answered, row.answers, row.user) == (False, [], None)


def test_a_question_that_could_not_be_read_is_not_logged(store: Store) -> None:
    def broken() -> Reader:
        raise ReaderError("no model")

    chosen = Answerer(store.database, store.retriever, broken)
    with pytest.raises(ReaderError, match="no model"):
        chosen.ask("wifi", via="cli")
    with store.database.read() as session:
        assert session.scalars(select(Question)).all() == []


def test_a_log_that_cannot_be_written_costs_nobody_the_answer(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    only_read = Database(f"sqlite:///{store.database.path}?mode=ro")
    with closing(only_read):
        chosen = Answerer(
            only_read,
            store.retriever,
            lambda: MarkingReader({"twelve hours": (8.0, 8.0)}),
            options=AnswerOptions(precision=0.5, prior=0.0),
            calibration=BY_LOGIT,
        )
        reply = chosen.ask("How long is the wifi valid?", via="cli")
    assert [answer.text for answer in reply.answers] == ["twelve hours"]
    assert reply.question_id is None
    [message] = caplog.messages
    assert message.startswith("a question was not noted: ")
    assert "not writable" in message


# -- what is asked ----------------------------------------------------------------------------


@pytest.mark.parametrize("question", ["", "   \n", "?", "…!?", "\u200b"])
def test_an_empty_question_is_refused(question: str) -> None:
    with pytest.raises(QuestionError, match="empty"):
        check_question(question)


def test_a_question_that_is_too_long_is_refused() -> None:
    assert check_question("x" * MAX_QUESTION_CHARACTERS) == "x" * MAX_QUESTION_CHARACTERS
    assert check_question(" a\n" + " " * 5000 + "b ") == "a b"
    with pytest.raises(QuestionError, match=r"has 1,001 characters, the limit is 1,000"):
        check_question("x" * (MAX_QUESTION_CHARACTERS + 1))


def test_the_threshold_is_the_least_confidence_that_gives_the_precision() -> None:
    precisions = Precisions(((0.0, 0.4), (0.2, 0.55), (0.35, 0.7), (0.8, 0.9)))
    wanted = {0.0: 0.0, 0.4: 0.0, 0.41: 0.2, 0.55: 0.2, 0.7: 0.35, 0.75: 0.8, 0.9: 0.8, 1.0: 0.8}
    assert {asked: precisions.threshold(asked) for asked in wanted} == wanted
    assert precisions.highest == 0.9


def test_the_precision_decides_what_is_shown(store: Store) -> None:
    marks, question = {"twelve hours": 10.0}, "How long is the wifi valid?"  # confidence 0.5
    chosen = replace(BY_LOGIT, precisions=Precisions(((0.0, 0.3), (0.45, 0.6), (0.55, 0.8))))
    assert ask(store, question, marks, chosen, precision=0.6).answered
    assert not ask(store, question, marks, chosen, precision=0.61).answered
    as_sure = replace(BY_LOGIT, precisions=Precisions(((0.0, 0.3), (0.5, 0.6))))
    assert ask(store, question, marks, as_sure, precision=0.6).answered


def test_a_precision_that_was_never_reached_is_named_in_the_log(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    marks, question = {"twelve hours": 10.0}, "How long is the wifi valid?"  # confidence 0.5
    chosen = replace(BY_LOGIT, precisions=Precisions(((0.0, 0.3), (0.45, 0.6))))
    assert ask(store, question, marks, chosen, precision=0.6).answered
    assert caplog.messages == []
    assert ask(store, question, marks, chosen, precision=0.95).answered
    [message] = caplog.messages
    assert "0.95 is asked for, the highest that was measured is 0.6" in message
    weaker = {"twelve hours": 9.0}  # 0.27: below the strictest threshold
    assert not ask(store, question, weaker, chosen, precision=0.95).answered


def test_the_calibration_that_comes_along_is_whole() -> None:
    record = json.loads((files("bot") / "calibration.json").read_text(encoding="utf-8"))
    assert list(record["choice"]) == list(record["confidence"]) == list(feature_names())
    precisions = default_calibration().precisions
    thresholds, reached = zip(*precisions.measured, strict=True)
    assert thresholds[0] == 0.0
    assert list(thresholds) == sorted(set(thresholds))
    assert list(reached) == sorted(set(reached))
    assert precisions.highest >= DEFAULT_PRECISION
    assert 0.0 < precisions.threshold(DEFAULT_PRECISION) < 1.0


def test_confidence_is_a_probability() -> None:
    def features(logit: float) -> Features:
        return Features(
            logit=logit, margin=0.0, probability=1.0, coverage=1.0, score=1.0, behind=0.0,
            likeness=0.5, said=0.5, brief=0.0, decisive=0.0, amount=0.0,
        )  # fmt: skip

    calibration = Calibration(
        choice=(1.0, *[0.0] * 10),
        confidence=(1.0, 0.0, 2.0, *[0.0] * 8),
        lead=0.5,
        intercept=-3.0,
        precisions=AS_THEY_SAY,
    )
    assert calibration.confidences([features(1.0)]) == pytest.approx([0.5])
    # The better one gains by its lead of 2, the other loses by it.
    ahead, behind = calibration.confidences([features(3.0), features(1.0)])
    assert ahead == pytest.approx(1 / (1 + math.exp(-3.0)))
    # Of three, each is ahead of the best other one or behind it.
    three = calibration.confidences([features(3.0), features(1.0), features(0.0)])
    assert three[:2] == [ahead, behind]
    assert three[2] == pytest.approx(1 / (1 + math.exp(2.5)))
    assert behind == pytest.approx(1 / (1 + math.exp(1.0)))
    assert calibration.confidences([]) == []
    for chosen in (calibration, default_calibration()):
        for value in chosen.confidences([features(-1e6), features(1e6)]):
            assert 0.0 <= value <= 1.0
