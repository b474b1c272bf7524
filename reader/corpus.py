"""Text corpora for pre-training: streamed documents, kept as one file of piece ids.

A corpus is a UTF-8 text file, ``.xz`` too, whose documents are separated by blank lines. Documents
are read one by one and cut into pieces in small batches; what is kept is ``pieces.bin``, every
document's ids closed by ``[SEP]``, which training reads through a memory map. Memory stays small
however large the corpus is.

A row of training is contiguous text of one document, as in the paper (Joshi et al. 2020, section
4.2: up to 512 pieces, or until the document ends). No row holds text of two documents, so nothing
is ever learnt from what another document says. A short document makes a short row.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from reader.errors import CorpusError
from reader.output import make_folder, replacing, write_text, writing
from reader.ranges import counted
from reader.tokenization import PieceTokenizer

_BATCH = 256  # documents tokenized together
_MIN_PIECES = 16  # below this there is nothing to learn from
_SCANNED = 1 << 24  # pieces searched at once for the ends of documents


def documents(paths: Sequence[Path]) -> Iterator[str]:
    """The documents of the files in order, lines joined by newlines.

    Raises:
        CorpusError: a file cannot be read, is not UTF-8 or not a whole xz file, or holds no text;
            the message names the file and, where there is one, the line.
    """
    for path in paths:
        found = False
        for document in _documents_of(path):
            found = True
            yield document
        if not found:
            raise CorpusError(f"{path} holds no text; give a file of documents with blank lines")


def _documents_of(path: Path) -> Iterator[str]:
    lines: list[str] = []
    number = 0
    try:
        with _open(path) as file:
            for number, raw in enumerate(file, start=1):
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                if "\0" in line:
                    raise CorpusError(f"{path}, line {number}: a zero byte; this is no text file")
                if line:
                    lines.append(line)
                elif lines:
                    yield "\n".join(lines)
                    lines = []
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}, line {number}: not UTF-8 text; convert the file") from error
    except (lzma.LZMAError, EOFError) as error:
        raise CorpusError(f"{path} is not a whole xz file ({error}); copy it again") from error
    except OSError as error:
        raise CorpusError(f"cannot read the corpus {path}: {error.strerror or error}") from error
    if lines:
        yield "\n".join(lines)


def _open(path: Path) -> IO[bytes]:
    return lzma.open(path) if path.suffix == ".xz" else path.open("rb")


def fingerprint(paths: Sequence[Path]) -> str:
    """SHA-256 over the files' bytes, hexadecimal; tells whether the prepared pieces still fit.

    Raises:
        CorpusError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise CorpusError(
                f"cannot read the corpus {path}: {error.strerror or error}"
            ) from error
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Corpus:
    """Prepared pieces.

    Attributes:
        ids: (pieces,) unsigned integers, every document's ids and then ``[SEP]``, which stands
            nowhere else.
        documents: how many there are.
        digest: SHA-256 of the ids, hexadecimal.
    """

    ids: NDArray[np.unsignedinteger]
    documents: int
    digest: str


@dataclass(frozen=True, slots=True)
class _Record:
    """What ``pieces.json`` says of ``pieces.bin``."""

    pieces: int
    documents: int
    dtype: str
    digest: str
    source: str | None


def prepare(
    texts: Iterable[str],
    tokenizer: PieceTokenizer,
    folder: Path,
    *,
    source: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Corpus:
    """Cut documents into pieces, kept in the folder; ``progress`` gets documents done.

    Args:
        source: names where the texts come from, a :func:`fingerprint` say. With the same source
            and vocabulary as last time the folder's pieces are taken and ``texts`` is not read.

    Raises:
        CorpusError: there is too little text, or ``texts`` raises it.
        OutputError: the pieces cannot be written.
    """
    make_folder(folder)
    target, record = folder / "pieces.bin", folder / "pieces.json"
    if source is not None:
        vocabulary = hashlib.sha256("\n".join(tokenizer.vocabulary()).encode()).hexdigest()
        source = f"{source}:{vocabulary}"
        kept = _kept(record)
        if kept is not None and kept.source == source and target.exists():
            return _mapped(target, kept)
    dtype = np.dtype("<u2" if tokenizer.vocabulary_size <= 2**16 else "<u4")
    digest = hashlib.sha256()
    pieces = count = 0
    stream = iter(texts)
    with replacing(target) as part:
        with writing(target):
            # Without a buffer, of which closing the file would write the rest, and might fail.
            opened = part.open("wb", buffering=0)
        with opened as file:
            while batch := list(islice(stream, _BATCH)):
                rows = []
                for ids in tokenizer.ids_batch(batch):
                    if tokenizer.sep_id in ids:  # a text that speaks of "[SEP]" does not end there
                        ids = [piece for piece in ids if piece != tokenizer.sep_id]
                    if not ids:
                        continue
                    rows.append(np.array([*ids, tokenizer.sep_id], dtype=dtype).tobytes())
                    pieces += len(ids) + 1
                    count += 1
                raw = b"".join(rows)
                digest.update(raw)
                with writing(target):
                    _write_all(file, raw)
                if progress is not None:
                    progress(len(batch))
        if pieces < _MIN_PIECES:
            raise CorpusError(
                f"the corpus has {pieces} pieces in {count} documents; pre-training needs more text"
            )
        with writing(record):
            record.unlink(missing_ok=True)  # never beside pieces that it does not describe
    made = _Record(pieces, count, dtype.str, digest.hexdigest(), source)
    write_text(record, json.dumps(asdict(made)) + "\n")
    return _mapped(target, made)


def _write_all(file: FileIO, raw: bytes) -> None:
    """Write it all: a system may take less at once."""
    left = memoryview(raw)
    while left:
        left = left[file.write(left) :]


def _kept(record: Path) -> _Record | None:
    try:
        return _Record(**json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _mapped(target: Path, record: _Record) -> Corpus:
    ids = np.memmap(target, dtype=np.dtype(record.dtype), mode="r")
    if len(ids) != record.pieces:
        raise CorpusError(f"{target} is damaged; remove it and start again")
    return Corpus(ids, record.documents, record.digest)


@dataclass(frozen=True, slots=True)
class Row:
    """``[CLS]``, pieces, ``[SEP]``: ids of shape (length,); ``next_id`` comes after the pieces."""

    ids: NDArray[np.int64]
    next_id: int


class Rows:
    """The rows of a corpus in its order: every document from its beginning, cut every ``length``.

    The last row of a document is what is left of it.

    Attributes:
        lengths: (rows,) int64, pieces of each row with its ``[CLS]`` and ``[SEP]``.
    """

    def __init__(self, corpus: Corpus, *, length: int, cls_id: int, sep_id: int) -> None:
        width = length - 2
        if width < 1:
            raise CorpusError(f"rows of {length} pieces leave no room for text")
        self._ids = corpus.ids
        self._cls_id, self._sep_id = cls_id, sep_id
        ends = _document_ends(corpus.ids, sep_id)  # (documents,)
        begins = np.append(0, ends[:-1] + 1)
        counts = -(-(ends - begins) // width)  # rows of each document
        place = counted(counts)
        self._begins = np.repeat(begins, counts) + place * width  # (rows,)
        self._ends = np.minimum(self._begins + width, np.repeat(ends, counts))
        self.lengths: NDArray[np.int64] = self._ends - self._begins + 2

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> Row:
        begin, end = self._begins[number], self._ends[number]
        ids = np.empty(end - begin + 2, dtype=np.int64)
        ids[0], ids[-1] = self._cls_id, self._sep_id
        ids[1:-1] = self._ids[begin:end]
        return Row(ids, int(self._ids[end]))


def _document_ends(ids: NDArray[np.unsignedinteger], sep_id: int) -> NDArray[np.int64]:
    """Where the documents' ``[SEP]`` stand, looked for in parts: the pieces may exceed memory."""
    found = [
        begin + np.flatnonzero(ids[begin : begin + _SCANNED] == sep_id)
        for begin in range(0, len(ids), _SCANNED)
    ]
    return np.concatenate(found)
