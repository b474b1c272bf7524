"""Ctrl-C where it means something else."""

from __future__ import annotations

import signal
import threading

from reader.interrupt import until_stopped


def test_a_program_with_a_ctrl_c_of_its_own_keeps_it() -> None:
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        with until_stopped() as stopped:
            signal.raise_signal(signal.SIGINT)
            assert not stopped()
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed == [signal.SIGINT] * 2


def test_a_run_in_another_thread_changes_nothing() -> None:
    found: list[object] = []

    def run() -> None:
        with until_stopped() as stopped:
            found.extend((stopped(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [False, signal.default_int_handler]
