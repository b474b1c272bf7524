"""Bounded work: Slack wants its acknowledgement in three seconds, an answer may take longer."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)

Job = Callable[[], None]
OnError = Callable[[Exception], None]


@dataclass(frozen=True, slots=True)
class _Task:
    job: Job
    on_error: OnError


class WorkQueue:
    """``workers`` threads that take jobs from a queue of at most ``limit`` waiting ones.

    Nothing starts before the first job. A job's exception goes to the ``on_error`` it came with.
    """

    def __init__(self, name: str, *, workers: int, limit: int) -> None:
        if workers < 1 or limit < 1:
            raise ValueError(f"workers={workers} and limit={limit} must both be at least 1")
        self._name = name
        self._workers = workers
        self._tasks: queue.Queue[_Task | None] = queue.Queue(limit)
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, job: Job, *, on_error: OnError) -> bool:
        """Queue a job; False, and nothing happens, when the queue is full or closed."""
        with self._lock:
            if self._closed:
                return False
            try:
                self._tasks.put_nowait(_Task(job, on_error))
            except queue.Full:
                return False
            while len(self._threads) < self._workers:
                # Daemons: a job that hangs must not keep the process from ending.
                thread = threading.Thread(
                    target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True
                )
                self._threads.append(thread)
                thread.start()
        return True

    def close(self, timeout: float) -> bool:
        """Take no more jobs and finish those that wait, for ``timeout`` seconds at most.

        Returns:
            Whether everything was finished.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            self._closed = True
            threads = tuple(self._threads)
        for _ in threads:
            try:
                self._tasks.put(None, timeout=max(0.0, deadline - time.monotonic()))
            except queue.Full:
                return False
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        finished = not any(thread.is_alive() for thread in threads)
        if finished:
            with self._lock:
                self._threads.clear()
        return finished

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                _run(task)
            except Exception:  # a worker outlives any job
                logger.exception("the failure of a job could not be reported")


def _run(task: _Task) -> None:
    try:
        task.job()
    except Exception as error:  # noqa: BLE001 - whoever submitted it decides what it means
        task.on_error(error)
