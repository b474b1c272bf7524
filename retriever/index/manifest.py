"""What an index consists of at a moment: its segments, their marks, and what they were made from.

``MANIFEST`` is one JSON document with a checksum, replaced as a whole. Files that it does not name
do not count.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from retriever.index.files import DamagedError, FileEntry, replace_durably
from retriever.index.statistics import Statistics

NAME = "MANIFEST"
#: Grows when the files change, so that an older index is built again.
FORMAT = 5
_FACTS = ("number", "content_version", "analyzer", "encoder")


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A segment's files, how many passages it holds, and how many of them are not deleted."""

    file: FileEntry
    marks: FileEntry | None
    passages: int
    live: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """One generation.

    Attributes:
        number: grows with every generation.
        content_version: of the database, when the passages were those of the database.
        analyzer: the name of the analyzer that made the terms.
        encoder: the name of the encoder that made the vectors, or None.
    """

    number: int
    content_version: int
    analyzer: str
    encoder: str | None
    segments: tuple[SegmentEntry, ...]
    statistics: Statistics

    @property
    def files(self) -> set[str]:
        """The names of all files that count."""
        names = {entry.file.name for entry in self.segments}
        return names | {entry.marks.name for entry in self.segments if entry.marks is not None}


def read_manifest(folder: Path) -> Manifest | None:
    """The current generation; None when there is no index.

    Raises:
        DamagedError: it cannot be used: damaged, or of another version.
        OSError: it cannot be read.
    """
    path = folder / NAME
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        checksum, body = content.split(b"\n", 1)
        if int(checksum, 16) != zlib.crc32(body):
            raise DamagedError(f"{path} is damaged: its checksum is not the one that was written")
        record = json.loads(body)
        if record["format"] != FORMAT:
            raise DamagedError(f"{path} is of version {record['format']}, not {FORMAT}")
        return _from_record(record)
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{path} is damaged: {error}") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Make this the current generation.

    Raises:
        OSError: it cannot be written; the one before stays current.
    """
    statistics = manifest.statistics
    # asdict copies each number of the histogram, of which there are thousands.
    record = {
        **{name: getattr(manifest, name) for name in _FACTS},
        "segments": [asdict(entry) for entry in manifest.segments],
        "statistics": {
            "passages": statistics.passages,
            "length": statistics.length,
            "histogram": list(statistics.histogram.items()),
        },
        "format": FORMAT,
    }
    body = json.dumps(record, separators=(",", ":")).encode()
    replace_durably(folder / NAME, b"%08x\n" % zlib.crc32(body) + body)


def _from_record(record: dict[str, Any]) -> Manifest:
    statistics = record["statistics"]
    return Manifest(
        number=record["number"],
        content_version=record["content_version"],
        analyzer=record["analyzer"],
        encoder=record["encoder"],
        segments=tuple(
            SegmentEntry(
                file=FileEntry(**entry["file"]),
                marks=None if entry["marks"] is None else FileEntry(**entry["marks"]),
                passages=entry["passages"],
                live=entry["live"],
            )
            for entry in record["segments"]
        ),
        statistics=Statistics(
            statistics["passages"],
            statistics["length"],
            {int(df): int(count) for df, count in statistics["histogram"]},
        ),
    )
