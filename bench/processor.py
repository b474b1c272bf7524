"""The processor that figures were measured on."""

from __future__ import annotations

import platform
from pathlib import Path

#: The instructions that decide how fast a reader is: 8-bit and bfloat16 products, and the widest
#: vectors.
_TELLING = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")


def processor(described: Path = Path("/proc/cpuinfo")) -> str:
    """Its name and its vector instructions, ``AMD EPYC (avx2, avx512f, avx512_vnni)``.

    ``described`` is Linux's list of processors; where there is none, the name is all that Python
    knows of it.
    """
    try:
        lines = described.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())  # the first processor's
    name = facts.get("model name") or platform.processor() or platform.machine()
    has = set(facts.get("flags", "").split())
    told = [instruction for instruction in _TELLING if instruction in has]
    return f"{name} ({', '.join(told)})" if told else name
