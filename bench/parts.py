"""Large files in parts, for places that take small ones only."""

from __future__ import annotations

import hashlib
from pathlib import Path

#: What a part holds at most, in bytes.
PART = 15 * 2**20

SUMS = "SHA256SUMS"


def split(file: Path, folder: Path, *, size: int = PART) -> list[Path]:
    """Write ``NAME.part-00`` and so on into the folder, and the whole file's sum beside them.

    In the folder ``cat NAME.part-* > NAME && sha256sum -c SHA256SUMS`` joins them and checks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{file.name}.part-*"):
        old.unlink()
    whole = hashlib.sha256()
    parts: list[Path] = []
    with file.open("rb") as source:
        while content := source.read(size):
            whole.update(content)
            part = folder / f"{file.name}.part-{len(parts):02d}"
            part.write_bytes(content)
            parts.append(part)
    (folder / SUMS).write_text(f"{whole.hexdigest()}  {file.name}\n", encoding="ascii")
    return parts
