"""Bounded work: Slack wants its acknowledgement in three seconds, an answer may take longer."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from bot.errors import RestartError, WaitedTooLongError

logger = logging.getLogger(__name__)

Job = Callable[[], None]
OnError = Callable[[Exception], None]

P = ParamSpec("P")
T = TypeVar("T")

_SUBMITTED = 10_000

# Seconds for telling people, at the end, that their jobs were left undone, and threads that do.
_TELLING_S = 5.0
_TELLERS = 8


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    job: Job
    on_error: OnError
    until: float | None


class WorkQueue:
    """``workers`` threads that take jobs, first come first served; ``limit`` may wait at most.

    Nothing starts before the first job. A job's exception goes to the ``on_error`` it came with,
    and so does what keeps it from being done: every job that was taken is either done or reported.
    """

    def __init__(self, name: str, *, workers: int, limit: int) -> None:
        if workers < 1 or limit < 1:
            raise ValueError(f"workers={workers} and limit={limit} must both be at least 1")
        self._name = name
        self._workers = workers
        self._limit = limit
        self._waiting: deque[_Task] = deque()
        self._running: list[_Task] = []
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._closed = False

    def submit(self, job: Job, *, on_error: OnError, until: float | None = None) -> bool:
        """Queue a job; False, and nothing happens, when the queue is full or closed.

        Args:
            until: the ``time.monotonic()`` after which it is too late to begin: ``on_error`` then
                gets a :class:`WaitedTooLongError`, at once and not only when its turn comes.
        """
        with self._changed:
            if self._closed or len(self._waiting) >= self._limit:
                return False
            self._waiting.append(_Task(job, on_error, until))
            if not self._threads:
                self._start("watch", self._watch)
                for number in range(self._workers):
                    self._start(str(number), self._work)
            self._changed.notify_all()
        return True

    def close(self, timeout: float) -> bool:
        """Take no more jobs, and finish those that were taken, for ``timeout`` seconds at most.

        Whoever's job is not done by then gets a :class:`RestartError`.

        Returns:
            Whether everything was finished.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            threads = tuple(self._threads)
            self._changed.wait_for(lambda: not self._waiting and not self._running, timeout)
            left = [*self._running, *self._waiting]
            self._waiting.clear()
            self._changed.notify_all()
        if left:
            _tell(left)
            return False
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return True

    def _start(self, name: str, target: Callable[[], None]) -> None:
        # Daemons: a job that hangs must not keep the process from ending.
        thread = threading.Thread(target=target, name=f"{self._name}-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or bool(self._waiting))
                if not self._waiting:
                    return
                task = self._waiting.popleft()
                self._running.append(task)
            try:
                _run(task)
            finally:
                with self._changed:
                    self._running.remove(task)
                    self._changed.notify_all()

    def _watch(self) -> None:
        """Tell those who have waited too long, also while every worker is busy."""
        while True:
            with self._changed:
                if self._closed and not self._waiting:
                    return
                now = time.monotonic()
                late = [task for task in self._waiting if _is_late(task, now)]
                if not late:
                    ends = [task.until for task in self._waiting if task.until is not None]
                    self._changed.wait(min(ends) - now if ends else None)
                    continue
                for task in late:
                    self._waiting.remove(task)
                self._running.extend(late)  # until they are told
            for task in late:
                try:
                    _report(task, WaitedTooLongError())
                finally:
                    with self._changed:
                        self._running.remove(task)
                        self._changed.notify_all()


class DaemonExecutor(Executor):
    """An executor that the end of the process does not wait for, unlike a thread pool."""

    def __init__(self, name: str, *, workers: int) -> None:
        self._work = WorkQueue(name, workers=workers, limit=_SUBMITTED)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - whoever has the future gets it
                future.set_exception(error)
            else:
                future.set_result(result)

        if not self._work.submit(job, on_error=_nobody_waits):
            raise RuntimeError("the executor is closed, or has too much to do")
        return future

    def close(self, timeout: float) -> bool:
        """Take nothing more; whether what was begun ended within ``timeout`` seconds."""
        return self._work.close(timeout)


def _nobody_waits(error: Exception) -> None:
    logger.debug("left undone at the end: %s", error)


def _is_late(task: _Task, now: float) -> bool:
    return task.until is not None and now >= task.until


def _run(task: _Task) -> None:
    try:
        if _is_late(task, time.monotonic()):
            raise WaitedTooLongError
        task.job()
    except Exception as error:  # noqa: BLE001 - whoever submitted it decides what it means
        _report(task, error)


def _report(task: _Task, error: Exception) -> None:
    try:
        task.on_error(error)
    except Exception:  # a worker outlives any job
        logger.exception("the failure of a job could not be reported")


def _tell(tasks: Iterable[_Task]) -> None:
    """Report many tasks at once, but wait for it no longer than a moment."""
    left = deque(tasks)

    def tell() -> None:
        while left:
            try:
                task = left.popleft()
            except IndexError:  # another one took the last
                return
            _report(task, RestartError())

    deadline = time.monotonic() + _TELLING_S
    tellers = [threading.Thread(target=tell, daemon=True) for _ in range(min(_TELLERS, len(left)))]
    for teller in tellers:
        teller.start()
    for teller in tellers:
        teller.join(max(0.0, deadline - time.monotonic()))
