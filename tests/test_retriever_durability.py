"""What is synced before what: the disk may keep only that when the power fails."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from retriever.index.build import IndexedPassage
from retriever.index.merge import FAN_IN
from tests.index_parts import Mirror, random_passages


def watch(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced and renamed from now on, in order, by the kinds of the files."""
    done: list[str] = []
    sync = os.fsync

    def kind(path: str | os.PathLike[str]) -> str:
        return Path(path).name.partition("-")[0]

    def synced(handle: int) -> None:
        sync(handle)
        done.append(f"sync {kind(Path(f'/proc/self/fd/{handle}').readlink())}")

    def watched(
        rename: Callable[[str | os.PathLike[str], str | os.PathLike[str]], None],
    ) -> Callable[[str | os.PathLike[str], str | os.PathLike[str]], None]:
        def renamed(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
            rename(source, target)
            done.append(f"{kind(source)} becomes {kind(target)}")

        return renamed

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", watched(os.rename))
    monkeypatch.setattr(os, "replace", watched(os.replace))
    return done


COMMIT = ["sync index", "sync MANIFEST.part", "MANIFEST.part becomes MANIFEST", "sync index"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="nothing tells a file's name here")
def test_all_is_on_the_disk_before_the_manifest_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = random.Random(1)
    mirror = Mirror(tmp_path / "index")
    for number in range(FAN_IN - 1):
        mirror.change(random_passages(source, 30, first=1 + 30 * number))
    done = watch(monkeypatch)
    mirror.change([IndexedPassage(900, 1, ["new"])], [3])
    assert done == ["sync marks", "sync segment", *COMMIT]
    done.clear()
    assert mirror.folder.merge()
    assert done == ["sync merging", "merging becomes segment", *COMMIT]
