"""The index in step with the database, with a small encoder of counted words."""

from __future__ import annotations

import shutil
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from numpy.typing import NDArray

from retriever.analysis import AnalysisOptions, Analyzer
from retriever.index import folder
from retriever.index.files import FileEntry
from retriever.index.generation import PassageIndex
from retriever.index.merge import FAN_IN
from retriever.index.segment import Marks, Segment, read_segment
from retriever.indexing import Backend, IndexKeeper
from retriever.parsing import TEXT_VERSION
from retriever.passage_terms import TermsOfPassages
from retriever.passages import split_passages
from retriever.records import ParsedDocument
from retriever.search import Retriever
from retriever.store import documents
from retriever.store.database import Database
from retriever.store.passages import SearchText
from retriever.store.sources import ensure_collection, ensure_source
from retriever.synonyms import AnalyzerFile


class Synonyms:
    """Texts as vectors over a few concepts; remembers what it was asked to encode."""

    CONCEPTS = ("warranty guarantee", "vpn tunnel", "lunch canteen")

    def __init__(self, name: str = "synonyms") -> None:
        self.name = name
        self.encoded: list[str] = []

    def encode(
        self, texts: Sequence[str], *, progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        self.encoded.extend(texts)
        vectors = np.full((len(texts), 4), 1e-3, dtype=np.float32)
        for row, text in enumerate(texts):
            for column, words in enumerate(self.CONCEPTS):
                vectors[row, column] += any(word in text.lower() for word in words.split())
        if progress is not None:
            progress(len(texts))
        result: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return result


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'store.db'}")
    opened.upgrade()
    yield opened
    opened.close()


def put(database: Database, name: str, text: str, collection: str = "default") -> int:
    parsed = ParsedDocument(text, name, "text/plain", ())
    with database.write() as session:
        number = ensure_collection(session, collection)
        source = ensure_source(
            session, collection_id=number, kind="path", location="/x", label="x", base_url=None
        )
        saved = documents.save_document(
            session,
            collection_id=number,
            source_id=source.id,
            facts=documents.FileFacts(name, f"/x/{name}", None, name, len(text)),
            parsed=parsed,
            passages=split_passages(parsed),
            text_version=TEXT_VERSION,
        )
        return saved.document_id


def keeper(
    database: Database, folder: Path, encoder: Synonyms | None = None
) -> tuple[IndexKeeper, Retriever]:
    made = IndexKeeper(
        database, folder, Analyzer(), encoder=None if encoder is None else lambda: encoder
    )
    return made, Retriever(database, made)


def found(retriever: Retriever, question: str) -> list[str]:
    return [hit.document for hit in retriever.search(question)]


def test_a_change_is_searched_at_once_also_by_another_process(
    database: Database, tmp_path: Path
) -> None:
    put(database, "a", "The VPN needs a token.")
    _, one = keeper(database, tmp_path / "index")
    _, other = keeper(database, tmp_path / "index")
    assert found(one, "vpn") == found(other, "vpn") == ["a"]
    number = put(database, "b", "A VPN is a tunnel.")
    assert set(found(other, "vpn")) == set(found(one, "vpn")) == {"a", "b"}
    with database.write() as session:
        documents.remove_documents(session, [number])
    assert found(one, "vpn") == ["a"]


def test_only_new_passages_are_encoded(database: Database, tmp_path: Path) -> None:
    encoder = Synonyms()
    put(database, "a", "The warranty lasts five years.")
    _, retriever = keeper(database, tmp_path / "index", encoder)
    assert found(retriever, "guarantee")[0] == "a"
    encoder.encoded.clear()
    put(database, "b", "Lunch is at noon.")
    assert found(retriever, "canteen")[0] == "b"
    assert [text.splitlines()[-1] for text in encoder.encoded] == ["Lunch is at noon.", "canteen"]


def test_another_encoder_means_another_index(database: Database, tmp_path: Path) -> None:
    put(database, "a", "The warranty lasts five years.")
    first, second = Synonyms(), Synonyms("others")
    keeper(database, tmp_path / "index", first)[0].rebuild()
    made, _ = keeper(database, tmp_path / "index", second)
    made.current()
    assert len(second.encoded) == 1
    plain, retriever = keeper(database, tmp_path / "index")
    assert plain.current().encoder is None
    assert found(retriever, "guarantee") == []


def test_vectors_that_are_kept_take_no_memory_of_their_own(
    database: Database, tmp_path: Path
) -> None:
    encoder = Large()
    text = "".join(f"# Part {number}\n\nThe VPN needs a token.\n\n" for number in range(300))
    put(database, "a", text)
    keeper(database, tmp_path / "index", encoder)[0].rebuild()
    made, _ = keeper(database, tmp_path / "index", encoder)
    tracemalloc.start()
    try:
        kept = made._kept_vectors()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size = sum(vector.nbytes for vector in kept.values())
    assert held < size / 2


class Large(Synonyms):
    """Vectors that are much larger than what is noted of each."""

    def encode(
        self, texts: Sequence[str], *, progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        return np.repeat(super().encode(texts, progress=progress) / np.float32(32), 1024, axis=1)


def test_a_lost_index_comes_back_from_the_database(database: Database, tmp_path: Path) -> None:
    put(database, "a", "The VPN needs a token.")
    _, retriever = keeper(database, tmp_path / "index")
    assert found(retriever, "vpn") == ["a"]
    shutil.rmtree(tmp_path / "index")
    _, fresh = keeper(database, tmp_path / "index")
    assert found(fresh, "vpn") == ["a"]


def test_the_old_index_serves_while_another_process_builds(
    database: Database, tmp_path: Path
) -> None:
    put(database, "a", "The VPN needs a token.")
    _, retriever = keeper(database, tmp_path / "index")
    assert found(retriever, "vpn") == ["a"]
    put(database, "b", "A VPN is a tunnel.")
    with FileLock(tmp_path / "index" / "write.lock"):
        assert found(retriever, "vpn") == ["a"]
    assert set(found(retriever, "vpn")) == {"a", "b"}


class Slow(Synonyms):
    """Takes its time over passages about tunnels."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = threading.Event(), threading.Event()

    def encode(
        self, texts: Sequence[str], *, progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        if any("tunnel" in text for text in texts):
            self.begun.set()
            assert self.go_on.wait(timeout=60)
        return super().encode(texts, progress=progress)


@pytest.mark.parametrize("builder", ["a run", "a question"])
@pytest.mark.parametrize("backend", ["bm25", "rank_bm25"])
def test_the_old_index_serves_while_another_thread_builds(
    database: Database, tmp_path: Path, backend: Backend, builder: str
) -> None:
    for name, text in (("a", "The VPN needs a token."), ("b", "Lunch."), ("c", "The office.")):
        put(database, name, text)
    encoder = Slow()
    made = IndexKeeper(
        database, tmp_path / "index", Analyzer(), encoder=lambda: encoder, backend=backend
    )
    retriever = Retriever(database, made)
    assert found(retriever, "vpn")[0] == "a"
    number = put(database, "d", "A VPN is a tunnel.")
    with ThreadPoolExecutor(2) as pool:
        try:
            build = pool.submit(made.rebuild if builder == "a run" else made.current)
            assert encoder.begun.wait(timeout=60)
            asked = pool.submit(found, retriever, "vpn")
            assert set(asked.result(timeout=60)) == {"a", "b", "c"}
            assert retriever.coverage("vpn", ["a vpn"]) == [1]
        finally:
            encoder.go_on.set()
        build.result(timeout=60)
    assert set(found(retriever, "vpn")) == {"a", "b", "c", "d"}
    with database.write() as session:
        documents.remove_documents(session, [number])
    assert set(found(retriever, "vpn")) == {"a", "b", "c"}


def test_a_question_does_not_wait_long_for_what_is_new(database: Database, tmp_path: Path) -> None:
    put(database, "a", "The VPN needs a token.")
    encoder = Slow()
    made = IndexKeeper(
        database, tmp_path / "index", Analyzer(), encoder=lambda: encoder, patience=0.01
    )
    retriever = Retriever(database, made)
    assert found(retriever, "vpn") == ["a"]
    put(database, "b", "A VPN is a tunnel.")
    with ThreadPoolExecutor(1) as pool:
        try:
            assert pool.submit(found, retriever, "vpn").result(timeout=60) == ["a"]
        finally:
            encoder.go_on.set()
    made.close()
    assert set(found(retriever, "vpn")) == {"a", "b"}


def test_the_old_index_serves_while_another_thread_opens_the_new_one(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(database, "a", "The VPN needs a token.")
    _, retriever = keeper(database, tmp_path / "index")
    assert found(retriever, "vpn") == ["a"]
    put(database, "b", "A VPN is a tunnel.")
    keeper(database, tmp_path / "index")[0].current()
    begun, go_on = threading.Event(), threading.Event()

    def slow(path: Path, entry: FileEntry) -> Segment:
        begun.set()
        assert go_on.wait(timeout=60)
        return read_segment(path, entry)

    monkeypatch.setattr(folder, "read_segment", slow)
    with ThreadPoolExecutor(2) as pool:
        try:
            opening = pool.submit(found, retriever, "vpn")
            assert begun.wait(timeout=60)
            assert pool.submit(found, retriever, "vpn").result(timeout=30) == ["a"]
        finally:
            go_on.set()
        assert set(opening.result(timeout=60)) == {"a", "b"}
    assert set(found(retriever, "vpn")) == {"a", "b"}


def test_questions_before_an_index_is_open_wait_for_it(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(database, "a", "The VPN needs a token.")
    keeper(database, tmp_path / "index")[0].current()
    _, retriever = keeper(database, tmp_path / "index")
    begun, go_on = threading.Event(), threading.Event()
    read: list[str] = []

    def slow(path: Path, entry: FileEntry) -> Segment:
        read.append(entry.name)
        begun.set()
        assert go_on.wait(timeout=60)
        return read_segment(path, entry)

    monkeypatch.setattr(folder, "read_segment", slow)
    with ThreadPoolExecutor(3) as pool, FileLock(tmp_path / "index" / "write.lock"):
        asked = [pool.submit(found, retriever, "vpn") for _ in range(3)]
        assert begun.wait(timeout=60)
        go_on.set()
        assert [each.result(timeout=20) for each in asked] == [["a"]] * 3
    assert len(read) == 1


def test_questions_before_there_is_an_index_wait_for_it(database: Database, tmp_path: Path) -> None:
    put(database, "a", "A VPN is a tunnel.")
    encoder = Slow()
    _, retriever = keeper(database, tmp_path / "index", encoder)
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(found, retriever, "vpn") for _ in range(3)]
        assert encoder.begun.wait(timeout=60)
        encoder.go_on.set()
        assert [each.result(timeout=60) for each in asked] == [["a"]] * 3
    assert sum("tunnel" in text for text in encoder.encoded) == 1


def test_collections_limit_what_is_searched(database: Database, tmp_path: Path) -> None:
    put(database, "a", "The VPN needs a token.", "it")
    put(database, "b", "A VPN is a tunnel.", "hr")
    _, retriever = keeper(database, tmp_path / "index", Synonyms())
    assert [hit.document for hit in retriever.search("vpn", collections=["hr"])] == ["b"]


def test_rank_bm25_can_be_the_backend(database: Database, tmp_path: Path) -> None:
    put(database, "a", "The VPN needs a token.")
    put(database, "b", "Lunch is at noon.")
    put(database, "c", "The office is closed.")
    made = IndexKeeper(database, tmp_path / "index", Analyzer(), backend="rank_bm25")
    assert found(Retriever(database, made), "token") == ["a"]
    ours, _ = keeper(database, tmp_path / "index")
    expected = ours.current().search(["token"], 5)
    assert made.current().search(["token"], 5) == expected


@pytest.mark.parametrize("backend", ["bm25", "rank_bm25"])
def test_changed_synonyms_are_searched_by_at_once(
    database: Database, tmp_path: Path, backend: Backend
) -> None:
    for name, text in (("a", "A laptop lasts four years."), ("b", "Lunch."), ("c", "The office.")):
        put(database, name, text)
    file, encoder = tmp_path / "synonyms.txt", Synonyms()
    made = [
        IndexKeeper(
            database,
            tmp_path / "index",
            AnalyzerFile(file),
            encoder=lambda: encoder,
            backend=backend,
        )
        for _ in range(2)
    ]
    one, other = (Retriever(database, keeper) for keeper in made)

    def bm25(retriever: Retriever) -> float:
        return {hit.document: hit.bm25 for hit in retriever.search("notebook")}["a"]

    assert bm25(one) == 0
    assert one.coverage("notebook", ["a laptop"]) == [0]
    encoder.encoded.clear()
    file.write_text("laptop, notebook", encoding="utf-8")
    assert bm25(one) == bm25(other) > 0
    assert one.coverage("notebook", ["a laptop", "a desk"]) == [1, 0]
    if backend == "bm25":  # the vectors are kept
        assert set(encoder.encoded) == {"notebook"}
    file.unlink()
    assert bm25(one) == bm25(other) == 0


def test_other_options_mean_another_index(database: Database, tmp_path: Path) -> None:
    put(database, "a", "The tokens are reset.")
    keeper(database, tmp_path / "index")[0].rebuild()
    plain = Analyzer(AnalysisOptions(stemming=False))
    made = IndexKeeper(database, tmp_path / "index", plain)
    assert made.current().analyzer == plain.name
    assert found(Retriever(database, made), "token") == []
    assert found(keeper(database, tmp_path / "index")[1], "token") == ["a"]


def test_an_index_of_other_terms_is_not_searched_while_another_process_writes(
    database: Database, tmp_path: Path
) -> None:
    put(database, "a", "The tokens are reset.")
    plain = Analyzer(AnalysisOptions(stemming=False))
    IndexKeeper(database, tmp_path / "index", plain).current()
    _, retriever = keeper(database, tmp_path / "index")
    with ThreadPoolExecutor(1) as pool:
        with FileLock(tmp_path / "index" / "write.lock"):
            asked = pool.submit(found, retriever, "token")
            with pytest.raises(TimeoutError):
                asked.result(timeout=1)
        assert asked.result(timeout=60) == ["a"]


def test_an_abbreviation_is_found_by_either_form(database: Database, tmp_path: Path) -> None:
    text = "Single sign-on (SSO) is new. " + "It has many words. " * 60 + "SSO is down on Mondays."
    put(database, "a", text)
    put(database, "b", "The SSO is a shelf.")
    _, retriever = keeper(database, tmp_path / "index")
    hits = [hit for hit in retriever.search("single") if "Mondays" in hit.text]
    assert [hit.document for hit in hits] == ["a"]
    assert "b" not in found(retriever, "single")


def test_words_above_a_passage_count_as_often_as_the_weight_says(
    database: Database, tmp_path: Path
) -> None:
    text = SearchText(
        1, 1, "docs/leave.md", "Holidays", ("Carrying over",), "Six days.", "Six days."
    )
    for weight in (0, 1, 3):
        terms_of = TermsOfPassages(Analyzer(AnalysisOptions(heading_weight=weight)))
        assert terms_of(text).count("holiday") == terms_of(text).count("carri") == weight
        assert terms_of(text).count("six") == 1


def test_nothing_is_found_for_nothing_by_vectors_either(database: Database, tmp_path: Path) -> None:
    put(database, "a", "The VPN needs a token.")
    _, retriever = keeper(database, tmp_path / "index", Synonyms())
    assert found(retriever, "tunnel") == ["a"]
    assert [found(retriever, question) for question in ("", "  ", "?!")] == [[], [], []]


def test_an_index_of_another_encoder_is_ranked_by_words_until_it_is_made_anew(
    database: Database, tmp_path: Path
) -> None:
    put(database, "a", "The VPN needs a token.")
    one, _ = keeper(database, tmp_path / "index", Synonyms("one"))
    one.rebuild()

    class Wide(Synonyms):
        def encode(
            self, texts: Sequence[str], *, progress: Callable[[int], None] | None = None
        ) -> NDArray[np.float32]:
            return np.full((len(texts), 9), 1 / 3, dtype=np.float32)

    with FileLock(tmp_path / "index" / "write.lock"):
        _, other = keeper(database, tmp_path / "index", Wide("wide"))
        assert found(other, "vpn") == ["a"]


def test_an_index_that_is_lost_under_a_process_is_whole_after_the_next_change(
    database: Database, tmp_path: Path
) -> None:
    put(database, "a", "The VPN needs a token.")
    _, retriever = keeper(database, tmp_path / "index")
    assert found(retriever, "vpn") == ["a"]
    shutil.rmtree(tmp_path / "index")
    put(database, "b", "A VPN tunnel.")
    assert sorted(found(retriever, "vpn")) == ["a", "b"]
    _, another = keeper(database, tmp_path / "index")
    assert sorted(found(another, "vpn")) == ["a", "b"]


def test_of_passages_alike_the_one_with_the_words_together_comes_first(
    database: Database, tmp_path: Path
) -> None:
    # The same words, so the same vectors and the same BM25.
    put(database, "apart", "VPN network service token account lunch")
    put(database, "together", "network service token account VPN lunch")
    for name in ("other", "another", "third", "fourth"):  # so that the words are rare
        put(database, name, "Nothing of it.")
    _, by_words = keeper(database, tmp_path / "words")
    first, second = by_words.search("VPN lunch")
    assert (first.document, first.score) == ("apart", second.score)
    _, by_both = keeper(database, tmp_path / "both", Synonyms())
    first, second, *_ = by_both.search("VPN lunch")
    assert (first.document, first.bm25) == ("together", second.bm25)
    assert first.score > second.score
    assert [hit.document for hit in by_both.search("VPN lunch", k=1)] == ["together"]


@pytest.mark.parametrize("error", [MemoryError(), ValueError("too many"), None])
def test_a_merge_that_goes_wrong_is_told_and_tried_again(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception | None,
) -> None:
    made, retriever = keeper(database, tmp_path / "index")
    lock = tmp_path / "index" / "merge.lock"

    def fail(*_: object) -> None:
        assert error is not None
        raise error

    with monkeypatch.context() as patch:
        if error is None:
            lock.mkdir(parents=True)  # so that it cannot be opened
        else:
            patch.setattr(folder, "merge", fail)
        fill(database, retriever, made)
    (told,) = (record for record in caplog.records if "not merged" in record.message)
    assert (told.exc_info[1] if told.exc_info else None) is error
    assert len(segments(made)) == FAN_IN
    if error is None:
        lock.rmdir()
    put(database, "more", "The canteen.")
    assert found(retriever, "canteen") == ["more"]
    made.close()
    assert len(segments(made)) == 1


def test_a_change_does_not_need_the_thread_that_merges(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, retriever = keeper(database, tmp_path / "index")
    start = threading.Thread.start

    def no_more(thread: threading.Thread) -> None:
        if thread.name == "merge segments":
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        fill(database, retriever, made)
        assert len(segments(made)) == FAN_IN
        assert made.rebuild() == FAN_IN
    put(database, "more", "The canteen.")
    assert found(retriever, "canteen") == ["more"]
    made.close()
    assert len(segments(made)) == 1


def fill(database: Database, retriever: Retriever, made: IndexKeeper) -> None:
    """Index so many documents one by one that their segments should be merged."""
    for number in range(FAN_IN):
        put(database, f"d{number}", f"Lunch {number}.")
        assert len(found(retriever, "lunch")) == number + 1
    made.close()


def segments(made: IndexKeeper) -> tuple[tuple[Segment, Marks], ...]:
    opened = made.current()
    assert isinstance(opened, PassageIndex)
    return opened.segments


def test_a_longer_list_begins_as_a_shorter_one(database: Database, tmp_path: Path) -> None:
    for number in range(40):
        put(database, f"apart{number:02}", "VPN network service token account lunch")
    for number in range(5):
        put(database, f"together{number}", "network service token account VPN lunch")
    for number in range(60):  # so that the words are rare
        put(database, f"other{number:02}", "Nothing of it.")
    _, retriever = keeper(database, tmp_path / "index", Synonyms())
    lists = {k: retriever.search("VPN lunch", k=k) for k in (1, 10, 30, 31, 45, 60)}
    scores = [hit.score for hit in lists[60]]
    assert scores == sorted(scores, reverse=True)
    for k, hits in lists.items():
        assert hits == lists[60][:k]
    # Those that BM25 and the vectors put behind the first thirty stay there.
    assert all(hit.document.startswith("apart") for hit in lists[60][:40])
    assert retriever.search("VPN lunch", k=0) == retriever.search("VPN lunch", k=-1) == []
