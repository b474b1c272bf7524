"""Texts cut into pieces that no word goes beyond, and the same piece known by its number.

Most of what a text is made of recurs. So texts are cut and compared as arrays of bytes, many at a
time, and only a piece that has not been seen is made a string of. A piece holds no ASCII character
that stands in no word; what is not ASCII is left in it, for :mod:`retriever.analysis` to take
apart. It need not be exactly a word: joints may be left at its ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from retriever.analysis import JOINTS
from retriever.index.vocabulary import latest

#: So many characters are cut at a time: their arrays stay in the processor's cache. The first
#: are fewer, because what recurs within them is looked up one by one.
_FIRST_CHUNK, _CHUNK = 1 << 13, 1 << 18
#: So many pieces are remembered before all are forgotten.
_REMEMBERED = 1 << 20
#: The first table has this many slots, as a power of 2, and the last one that many.
_FIRST_BITS, _LAST_BITS = 14, 21
#: A longer piece is not looked up in the table: two numbers of 64 bits hold no more.
_LONGEST = 16
#: So many joints are taken off each end.
_TRIMS = 4

_BREAK, _PART, _JOINT = 0, 1, 2
_KINDS = bytes(
    _PART if code >= 0x80 or chr(code).isalnum() else _JOINT if chr(code) in JOINTS else _BREAK
    for code in range(256)
)
_ALL_BYTES = 0x0101010101010101
#: Takes the first so many bytes of a number of 64 bits.
_FIRST_BYTES = np.array([(1 << 8 * count) - 1 for count in range(9)], dtype=np.uint64)
_MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


class Pieces:
    """The pieces of texts by number; those of equal bytes, and of few others, have the same one.

    Args:
        new: is told pieces when they get the next numbers; 0 follows when all are forgotten.
        forgotten: is called when all are.
        folding: an ASCII capital in front is the same as the small letter, unless a capital
            follows: that would part the small one from it.
    """

    def __init__(
        self, new: Callable[[list[str]], None], forgotten: Callable[[], None], *, folding: bool
    ) -> None:
        self._new = new
        self._forgotten = forgotten
        self._folding = folding
        self._chunk = _FIRST_CHUNK
        self._numbers: dict[bytes, int] = {}
        self._table = _Table(_FIRST_BITS)

    def cut(self, texts: Sequence[str]) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.int64]]]:
        """The pieces of texts, in order, for as many texts at a time as are cut at once.

        Yields:
            Their numbers, shape (pieces,), which count until the next are asked for; and how many
            of them each text has, shape (texts,).
        """
        begin = 0
        while begin < len(texts):
            end, size = begin, 0
            while end < len(texts) and (size := size + len(texts[end])) <= self._chunk:
                end += 1
            end = max(end, begin + 1)
            if len(self._numbers) > _REMEMBERED:
                self._numbers = {}
                self._table = _Table(_FIRST_BITS)
                self._forgotten()
            yield self._cut(texts[begin:end])
            self._chunk = min(2 * self._chunk, _CHUNK)
            begin = end

    def _cut(self, texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        # A break before the first, and enough behind the last to read two numbers there.
        content = b"\n".join([b"", *encoded, bytes(_LONGEST)])
        starts, ends = _edges(content)
        offsets = np.ones(len(texts) + 1, dtype=np.int64)
        np.cumsum([len(text) + 1 for text in encoded], out=offsets[1:])
        offsets[1:] += 1
        counts = np.diff(np.searchsorted(starts, offsets))
        sizes = ends - starts
        low, high, folded = _words(content, starts, sizes, folding=self._folding)
        numbers, found = self._table.find(low, high)
        found &= sizes <= _LONGEST
        missing = np.flatnonzero(~found)
        if len(missing):
            numbers[missing] = self._look_up(
                content, starts[missing], ends[missing], folded[missing]
            )
            fitting = missing[sizes[missing] <= _LONGEST]
            if len(self._numbers) > self._table.comfortable:
                self._table = self._table.larger()
            self._table.put(low[fitting], high[fitting], numbers[fitting])
        return numbers, counts

    def _look_up(
        self,
        content: bytes,
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],
        folded: NDArray[np.bool_],
    ) -> list[int]:
        """The numbers of pieces by their bytes; one that is new gets its number."""
        small = np.frombuffer(content, dtype=np.uint8).copy()
        small[starts[folded]] |= 0x20
        content = small.tobytes()
        known = self._numbers
        before = len(known)
        found = [
            known.setdefault(content[start:end], len(known))
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]
        if new := latest(known, len(known) - before):
            self._new(b"\n".join(new).decode("utf-8", "surrogatepass").split("\n"))
        return found


class _Table:
    """Numbers by a piece's bytes, in slots; who finds a slot taken stays outside.

    A slot whose ``low`` is 0 is free, because no piece holds the byte 0.
    """

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._low = np.zeros(1 << bits, dtype=np.uint64)
        self._high = np.zeros(1 << bits, dtype=np.uint64)
        self._numbers = np.zeros(1 << bits, dtype=np.uint32)

    @property
    def comfortable(self) -> int:
        """With more pieces than this, too many would find their slot taken."""
        return 1 << (self._bits - 2) if self._bits < _LAST_BITS else _REMEMBERED * 2

    def find(
        self, low: NDArray[np.uint64], high: NDArray[np.uint64]
    ) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """Numbers, and whether they are right, of the shape of ``low``."""
        slots = self._slots(low, high)
        found = self._low[slots] == low
        found &= self._high[slots] == high
        return self._numbers[slots], found

    def put(
        self, low: NDArray[np.uint64], high: NDArray[np.uint64], numbers: NDArray[np.uint32]
    ) -> None:
        """Put those in whose slots are free."""
        slots = self._slots(low, high)
        free = np.flatnonzero(self._low[slots] == 0)
        slots, first = np.unique(slots[free], return_index=True)
        chosen = free[first]
        self._low[slots] = low[chosen]
        self._high[slots] = high[chosen]
        self._numbers[slots] = numbers[chosen]

    def larger(self) -> _Table:
        """One of more slots with the same in it."""
        made = _Table(min(self._bits + 2, _LAST_BITS))
        taken = np.flatnonzero(self._low)
        made.put(self._low[taken], self._high[taken], self._numbers[taken])
        return made

    def _slots(self, low: NDArray[np.uint64], high: NDArray[np.uint64]) -> NDArray[np.int64]:
        mixed = low * _MIX[0]
        mixed += high * _MIX[1]
        mixed >>= np.uint64(64 - self._bits)
        return mixed.view(np.int64)


def _edges(content: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the pieces begin and end, most of the joints around them left out."""
    kinds = np.frombuffer(content.translate(_KINDS), dtype=np.uint8)
    inside = kinds != _BREAK
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    starts, ends = edges[::2].copy(), edges[1::2].copy()
    at = np.flatnonzero(kinds[ends - 1] == _JOINT)
    for _ in range(_TRIMS):
        ends[at] -= 1
        at = at[kinds[ends[at] - 1] == _JOINT]
    at = np.flatnonzero(kinds[starts] == _JOINT)
    for _ in range(_TRIMS):
        starts[at] += 1
        at = at[kinds[starts[at]] == _JOINT]
    kept = starts < ends
    return (starts, ends) if kept.all() else (starts[kept], ends[kept])


def _words(
    content: bytes, starts: NDArray[np.int64], sizes: NDArray[np.int64], *, folding: bool
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.bool_]]:
    """The first 16 bytes of each piece as two numbers, and which of them were folded."""
    everywhere: NDArray[np.uint64] = np.ndarray(
        (len(content) - 7,), dtype="<u8", buffer=content, strides=(1,)
    )
    low = everywhere[starts].astype(np.uint64, copy=False)
    low &= _FIRST_BYTES[np.minimum(sizes, 8)]
    high = np.zeros(len(starts), dtype=np.uint64)
    long = np.flatnonzero(sizes > 8)
    rest = everywhere[starts[long] + 8].astype(np.uint64, copy=False)
    rest &= _FIRST_BYTES[np.minimum(sizes[long] - 8, 8)]
    high[long] = rest
    folded = np.zeros(len(starts), dtype=np.bool_)
    if folding:
        folded = _capitals(low & np.uint64(0xFFFF)) == np.uint64(0x80)
        low |= folded.astype(np.uint64) << np.uint64(5)
    return low, high, folded


def _capitals(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The highest bit of every byte that is one of A to Z, in numbers of eight bytes."""
    seven = words & np.uint64(0x7F * _ALL_BYTES)
    from_a = seven + np.uint64((0x80 - ord("A")) * _ALL_BYTES)
    behind_z = seven + np.uint64((0x80 - ord("Z") - 1) * _ALL_BYTES)
    return from_a & ~behind_z & ~words & np.uint64(0x80 * _ALL_BYTES)
