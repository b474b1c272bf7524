"""Questions that arrive together are read together.

Threads call :meth:`Batcher.read`; one thread of the batcher's own reads. While it is busy with a
batch, the next one gathers by itself, so nobody waits for company. The queue is bounded: who finds
it full waits for a place, and gives up after a time limit with a clear error instead of piling up.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType

from reader.errors import BusyError
from reader.reader import Passage, Reader, Span

#: Questions read at once. A GPU is not full with one; on a CPU more only make the first one wait.
GPU_TOGETHER = 16
CPU_TOGETHER = 2


class _Job:
    """A question in the queue."""

    def __init__(self, question: str, passages: Sequence[Passage], top_k: int) -> None:
        self.question = question
        self.passages = passages
        self.top_k = top_k
        self.answer: Future[list[Span]] = Future()


class Batcher:
    """A reader for many threads; used like :class:`reader.reader.Reader`, and closed at the end.

    Args:
        reader: is used by one thread at a time.
        together: questions read at once; by default what suits the reader's device.
        waiting: questions in the queue at most, besides those that are being read.
        limit: seconds from the question to its answer at most, waiting included.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        together: int | None = None,
        waiting: int = 64,
        limit: float = 60.0,
    ) -> None:
        if together is None:
            together = CPU_TOGETHER if reader.device == "cpu" else GPU_TOGETHER
        if together < 1 or waiting < 1:
            raise ValueError(f"together is {together}, waiting {waiting}; both must be at least 1")
        self._reader = reader
        self._together = together
        self._waiting = waiting
        self._limit = limit
        self._queue: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="reader", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """The reader's name."""
        return self._reader.name

    @property
    def device(self) -> str:
        """The reader's device."""
        return self._reader.device

    def read(
        self,
        question: str,
        passages: Sequence[Passage],
        *,
        top_k: int = 10,
        until: float | None = None,
    ) -> list[Span]:
        """What :meth:`reader.reader.Reader.read` gives; blocks until it is there.

        Args:
            until: the ``time.monotonic()`` to give up at, should that be before the time limit.

        Raises:
            BusyError: no place in the queue or no answer in time, or the batcher is closed.
            ReaderError: reading this question failed.
        """
        end = time.monotonic() + self._limit
        if until is not None:
            end = min(end, until)
        job = _Job(question, passages, top_k)
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or len(self._queue) < self._waiting,
                timeout=max(0.0, end - time.monotonic()),
            )
            if self._closed:
                raise BusyError("the reader is closed; no more questions are read")
            if len(self._queue) >= self._waiting:
                raise self._too_busy()
            self._queue.append(job)
            self._changed.notify_all()
        try:
            return job.answer.result(timeout=max(0.0, end - time.monotonic()))
        except TimeoutError as error:
            if job.answer.done():  # the reader's own error, or the answer came just now
                return job.answer.result()
            job.answer.cancel()  # it is not read any more, if that has not begun
            with self._changed:
                if job in self._queue:
                    self._queue.remove(job)
                    self._changed.notify_all()
            raise self._too_busy() from error

    def close(self) -> None:
        """Take no more questions, and return when those in the queue are answered."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def __enter__(self) -> Batcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _too_busy(self) -> BusyError:
        return BusyError(
            f"the reader is busy: no answer in time, {len(self._queue)} questions are waiting; ask "
            "again later"
        )

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or bool(self._queue))
                if not self._queue:
                    return
                batch = [self._queue.popleft()]
                while (
                    self._queue
                    and len(batch) < self._together
                    and self._queue[0].top_k == batch[0].top_k
                ):
                    batch.append(self._queue.popleft())
                self._changed.notify_all()
            # Those who gave up are left out; the others can no longer.
            self._answer([job for job in batch if job.answer.set_running_or_notify_cancel()])

    def _answer(self, batch: Sequence[_Job]) -> None:
        if not batch:
            return
        try:
            found = self._reader.read_batch(
                [(job.question, job.passages) for job in batch], top_k=batch[0].top_k
            )
        except Exception as error:  # noqa: BLE001  whatever it is, an asker waits for it
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            for job in batch:  # each one alone, so that only the cause of the error gets it
                self._answer([job])
            return
        for job, spans in zip(batch, found, strict=True):
            job.answer.set_result(spans)
