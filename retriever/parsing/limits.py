"""What reading one file may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a process that parses a file, and of what it begins at all.

    Attributes:
        memory_bytes, cpu_seconds, wall_seconds: of the process.
        characters: of the text that it makes.
        expanded_bytes: of an archive, by the sizes that it declares.
        expanded_ratio: text in an archive that has at least ``ratio_bytes`` may be so many times
            the archive's size. XML shrinks to a tenth or twentieth; what shrinks to a hundredth
            was made to.
    """

    memory_bytes: int = 2 * 1024**3
    cpu_seconds: int = 60
    wall_seconds: float = 90.0
    characters: int = 30_000_000
    expanded_bytes: int = 200 * 1024**2
    expanded_ratio: int = 100
    ratio_bytes: int = 20 * 1024**2


DEFAULT_LIMITS = Limits()
