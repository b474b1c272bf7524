"""Search engines side by side, each with the same few methods.

All get English stems and no stop words, in the way each of them offers that, and one thread. Each
is imported when it is made: ours and the peers live in environments of their own.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

K = 10
#: Ours takes so many passages at a time, as it does those of a database.
_BATCH = 4096
_WORD = re.compile(r"\w\w+")
#: Lucene's list, which bm25s calls "en".
_STOP = frozenset(
    "a an and are as at be but by for if in into is it no not of on or such that the their then "
    "there these they this to was will with".split()
)


class Engine:
    """What all have in common; ids are places in the list of passages, from 1 on."""

    #: False: it lives in memory only, and opening it means building it.
    on_disk = True
    #: False: a change means building all of it again.
    changes = True

    def build(self, texts: Sequence[str], store: Path) -> None: ...

    def open(self, store: Path) -> None: ...

    def prepare(self, question: str) -> Any:
        return question

    def search(self, query: Any) -> list[int]:
        raise NotImplementedError

    def add(self, texts: Sequence[str], first: int) -> None:
        raise NotImplementedError

    def delete(self, ids: Sequence[int], texts: Sequence[str]) -> None:
        raise NotImplementedError


class Spanbot(Engine):
    """Ours: the analyzer and the index, without the database."""

    def __init__(self) -> None:
        from retriever.analysis import Analyzer
        from retriever.index import build, folder
        from retriever.index.kernel import is_compiled
        from retriever.numbering import TermNumbers

        if is_compiled():
            import numba.core.event  # noqa: F401  # opening loads it, as other engines do here

        self._build, self._folders, self._numbers = build, folder, TermNumbers
        self._analyzer = Analyzer()
        self._index: Any = None
        self._folder: Any = None

    def build(self, texts: Sequence[str], store: Path) -> None:
        self._folder = self._folders.IndexFolder(store)
        self._update(texts, 1, [])

    def compile(self) -> None:
        self._folder.compile()

    def open(self, store: Path) -> None:
        self._folder = self._folders.IndexFolder(store)
        self._index = self._folder.open()

    def prepare(self, question: str) -> Any:
        return self._analyzer.terms(question)

    def search(self, query: Any) -> list[int]:
        return [hit.passage_id for hit in self._index.search_bm25(query, K)]

    def add(self, texts: Sequence[str], first: int) -> None:
        self._update(texts, first, [])

    def delete(self, ids: Sequence[int], texts: Sequence[str]) -> None:
        self._update([], 0, ids)

    def _update(self, texts: Sequence[str], first: int, gone: Sequence[int]) -> None:
        import numpy as np

        numbers = self._numbers(self._analyzer)
        builder = self._build.SegmentBuilder(numbers.vocabulary)
        for begin in range(0, len(texts), _BATCH):
            part = texts[begin : begin + _BATCH]
            ids = np.arange(first + begin, first + begin + len(part))
            ones = np.ones(len(part), dtype=np.int64)
            builder.extend(
                self._build.NumberedPassages(
                    ids, ones, np.zeros(len(part), dtype=np.uint32), numbers.of(part)
                )
            )
        with self._folder.writer():
            self._index = self._folder.update(
                self._index,
                new=builder.segment() if len(builder) else None,
                gone=np.array(gone, dtype=np.int64),
                content_version=1,
            )


class Bm25s(Engine):
    changes = False

    def __init__(self) -> None:
        import bm25s
        import Stemmer

        self._module: Any = bm25s
        self._stemmer = Stemmer.Stemmer("english")
        self._index: Any = None

    def _tokens(self, texts: Any, **how: Any) -> Any:
        return self._module.tokenize(
            texts, stopwords="en", stemmer=self._stemmer, show_progress=False, **how
        )

    def build(self, texts: Sequence[str], store: Path) -> None:
        index = self._module.BM25(backend="numba")
        index.index(self._tokens(list(texts)), show_progress=False)
        index.save(str(store))

    def open(self, store: Path) -> None:
        self._index = self._module.BM25.load(str(store), load_corpus=False)
        self._index.backend = "numba"
        self._index.activate_numba_scorer()

    def prepare(self, question: str) -> Any:
        return self._tokens(question, return_ids=False)

    def search(self, query: Any) -> list[int]:
        found, _ = self._index.retrieve(query, k=K, show_progress=False, n_threads=1)
        return [int(number) + 1 for number in found[0]]


class Tantivy(Engine):
    def __init__(self) -> None:
        import tantivy

        self._module: Any = tantivy
        self._index: Any = None
        self._searcher: Any = None

    def _opened(self, store: Path) -> Any:
        module = self._module
        builder = module.SchemaBuilder()
        builder.add_unsigned_field("id", fast=True, indexed=True, stored=False)
        builder.add_text_field("text", tokenizer_name="english", index_option="freq")
        store.mkdir(parents=True, exist_ok=True)
        index = module.Index(builder.build(), path=str(store))
        analyzer = module.TextAnalyzerBuilder(module.Tokenizer.simple())
        for step in (
            module.Filter.remove_long(40),
            module.Filter.lowercase(),
            module.Filter.stopword("english"),
            module.Filter.stemmer("english"),
        ):
            analyzer = analyzer.filter(step)
        index.register_tokenizer("english", analyzer.build())
        return index

    def build(self, texts: Sequence[str], store: Path) -> None:
        self._index = self._opened(store)
        self.add(texts, 1)

    def open(self, store: Path) -> None:
        self._index = self._opened(store)
        self._searcher = self._index.searcher()

    def prepare(self, question: str) -> Any:
        words = " ".join(re.findall(r"\w+", question))
        return self._index.parse_query(words, ["text"])

    def search(self, query: Any) -> list[int]:
        hits = self._searcher.search(query, K, count=False).hits
        return [int(n) for n in self._searcher.fast_field_values("id", [at for _, at in hits])]

    def add(self, texts: Sequence[str], first: int) -> None:
        writer = self._index.writer(heap_size=500_000_000, num_threads=1)
        for at, text in enumerate(texts):
            document = self._module.Document(text=text)
            document.add_unsigned("id", first + at)
            writer.add_document(document)
        self._commit(writer)

    def delete(self, ids: Sequence[int], texts: Sequence[str]) -> None:
        writer = self._index.writer(heap_size=15_000_000, num_threads=1)
        for number in ids:
            # By its term, a number without a sign is not found.
            one = self._module.Query.term_query(self._index.schema, "id", number)
            writer.delete_documents_by_query(one)
        self._commit(writer)

    def _commit(self, writer: Any) -> None:
        writer.commit()
        if self._searcher is None:  # building: until it is as it stays
            writer.wait_merging_threads()
        self._index.reload()
        self._searcher = self._index.searcher()


class Fts5(Engine):
    def __init__(self) -> None:
        self._database: sqlite3.Connection | None = None

    def _connected(self) -> sqlite3.Connection:
        assert self._database is not None
        return self._database

    def build(self, texts: Sequence[str], store: Path) -> None:
        store.mkdir(parents=True, exist_ok=True)
        self.open(store)
        self._connected().execute(
            "CREATE VIRTUAL TABLE found USING fts5(text, content='', tokenize='porter unicode61')"
        )
        self.add(texts, 1)
        with self._connected() as database:
            database.execute("INSERT INTO found(found) VALUES('optimize')")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def open(self, store: Path) -> None:
        self._database = sqlite3.connect(store / "fts5.db")
        self._database.execute("PRAGMA journal_mode=WAL")

    def prepare(self, question: str) -> Any:
        return " OR ".join(f'"{word}"' for word in _words(question)) or '""'

    def search(self, query: Any) -> list[int]:
        rows = self._connected().execute(
            f"SELECT rowid FROM found WHERE found MATCH ? ORDER BY rank LIMIT {K}",  # noqa: S608
            (query,),
        )
        return [row[0] for row in rows]

    def add(self, texts: Sequence[str], first: int) -> None:
        with self._connected() as database:
            database.executemany(
                "INSERT INTO found(rowid, text) VALUES(?, ?)",
                ((first + at, text) for at, text in enumerate(texts)),
            )

    def delete(self, ids: Sequence[int], texts: Sequence[str]) -> None:
        with self._connected() as database:
            database.executemany(
                "INSERT INTO found(found, rowid, text) VALUES('delete', ?, ?)",
                zip(ids, texts, strict=True),
            )


class RankBm25(Engine):
    on_disk = False
    changes = False

    def __init__(self) -> None:
        import numpy as np
        import rank_bm25
        import Stemmer

        self._numpy: Any = np
        self._module: Any = rank_bm25
        self._stemmer = Stemmer.Stemmer("english")
        self._index: Any = None

    def build(self, texts: Sequence[str], store: Path) -> None:
        self._index = self._module.BM25Okapi([self.prepare(text) for text in texts])

    def prepare(self, question: str) -> Any:
        return self._stemmer.stemWords(_words(question))

    def search(self, query: Any) -> list[int]:
        scores = self._index.get_scores(query)
        best = self._numpy.argpartition(scores, -K)[-K:]
        return [int(n) + 1 for n in best[self._numpy.argsort(-scores[best], kind="stable")]]


class Haystack(Engine):
    on_disk = False

    def __init__(self) -> None:
        from haystack import Document
        from haystack.document_stores.in_memory import InMemoryDocumentStore

        self._document: Any = Document
        self._store: Any = InMemoryDocumentStore()

    def build(self, texts: Sequence[str], store: Path) -> None:
        self.add(texts, 1)

    def search(self, query: Any) -> list[int]:
        return [int(document.id) for document in self._store.bm25_retrieval(query, top_k=K)]

    def add(self, texts: Sequence[str], first: int) -> None:
        self._store.write_documents(
            [self._document(id=str(first + at), content=text) for at, text in enumerate(texts)]
        )

    def delete(self, ids: Sequence[int], texts: Sequence[str]) -> None:
        self._store.delete_documents([str(number) for number in ids])


ENGINES: dict[str, Callable[[], Engine]] = {
    "spanbot": Spanbot,
    "bm25s": Bm25s,
    "tantivy": Tantivy,
    "fts5": Fts5,
    "rank_bm25": RankBm25,
    "haystack": Haystack,
}


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if word not in _STOP]
