"""Ctrl-C in a training run: it ends behind the step that it is in, and what that did is kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def until_stopped() -> Iterator[Callable[[], bool]]:
    """Have Ctrl-C noted, for the run to end where it can go on from; a second one ends it at once.

    Gives what says whether it was pressed. Nothing changes in another thread than the main one, and
    where Ctrl-C has another meaning already.
    """
    pressed = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    mine = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if mine:
        signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        if mine:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def interrupted(step: int, notify: Callable[[str], None]) -> KeyboardInterrupt:
    """The Ctrl-C that was noted, to be raised once the checkpoint of that step is written."""
    notify(f"stopped after step {step:,}, which is saved; the same command goes on from there")
    return KeyboardInterrupt()
