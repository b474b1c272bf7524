"""Numbers of things, in words."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """``1 document``, ``2,000 documents``; of nouns whose plural is made by an "s"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
