"""A disk that refuses to be written: one that is all but full, or one that fails."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

#: The numbers of the system calls that write, by the machine.
_CALLS = {
    "x86_64": {"pwrite64": 18, "fsync": 74, "fdatasync": 75},
    "aarch64": {"pwrite64": 68, "fsync": 82, "fdatasync": 83},
}
# From <linux/prctl.h>, <linux/seccomp.h> and <linux/filter.h>.
_SET_SECCOMP, _SET_NO_NEW_PRIVILEGES, _MODE_FILTER = 22, 38, 2
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_REFUSE, _ALLOW = 0x00050000, 0x7FFF0000


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """In it the system refuses to write a file beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def refused(work: Callable[[], object], error: int, *calls: str) -> None:
    """Do ``work`` in a thread in which the system answers these calls with ``error``.

    The thread takes its filter along when it ends, and what ``work`` raises is raised here.
    """
    numbers = _CALLS.get(platform.machine(), {})
    if not numbers:
        pytest.skip(f"the numbers of the system calls of {platform.machine()} are not known here")

    def filtered() -> None:
        _refuse([numbers[call] for call in calls], error)
        work()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(filtered).result()


def _refuse(numbers: list[int], error: int) -> None:
    """Let the system refuse calls of this thread from now on."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))

    steps = [(_LOAD, 0, 0, 0)]
    for number in numbers:
        steps += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE | error)]
    steps.append((_RETURN, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = Program(len(steps), ctypes.cast(code, ctypes.c_void_p))
    system = ctypes.CDLL(None, use_errno=True)
    if (
        system.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0
        or system.prctl(_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) != 0
    ):
        pytest.skip(f"this system filters no calls: {os.strerror(ctypes.get_errno())}")
