"""The name of the processor that figures are measured on."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from bench.processor import processor

_LISTED = """\
processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 9B14
flags\t\t: fpu sse4_2 avx avx2 avx512f avx512_vnni avx512_bf16

processor\t: 1
model name\t: another
flags\t\t: fpu amx_int8
"""


def listed(folder: Path, text: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_name_and_the_vector_instructions_of_the_first_processor(tmp_path: Path) -> None:
    found = processor(listed(tmp_path, _LISTED))
    assert found == "AMD EPYC 9B14 (avx2, avx512f, avx512_vnni, avx512_bf16)"


def test_a_processor_with_none_of_them_is_its_name(tmp_path: Path) -> None:
    text = _LISTED.replace("avx2 avx512f avx512_vnni avx512_bf16", "")
    assert processor(listed(tmp_path, text)) == "AMD EPYC 9B14"


@pytest.mark.parametrize("text", [None, "Features\t: asimd fphp\n"])
def test_without_a_name_it_is_what_python_knows(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "missing" if text is None else listed(tmp_path, text)
    assert processor(path) == (platform.processor() or platform.machine()) != ""
