"""The compiled loops on disk: a process that searches loads them and compiles nothing."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from retriever.index.kernel import is_compiled

_BUILD = """
import sys
from pathlib import Path
from retriever.index.build import IndexedPassage, SegmentBuilder
from retriever.index.folder import IndexFolder
builder = SegmentBuilder()
for number in range(1, 40):
    builder.add(IndexedPassage(number, 1, [f"t{number}", "all"]))
folder = IndexFolder(Path(sys.argv[1]))
with folder.writer():
    folder.update(None, new=builder.segment(), content_version=1)
folder.compile()
"""

_SEARCH = """
import contextlib, json, sys
from pathlib import Path
try:
    from numba.core import event
    recording = event.install_recorder("numba:compile")
except ImportError:
    recording = contextlib.nullcontext()
from retriever.index import kernel
from retriever.index.folder import IndexFolder
with recording as seen:
    index = IndexFolder(Path(sys.argv[1])).open()
    hits = [hit.passage_id for hit in index.search_bm25(["t7", "all"], 3)]
    scores = index.scores(["t7"]).tolist()
json.dump(
    {
        "hits": hits,
        "first": scores[6] == max(scores),
        "kernel": kernel.default().name,
        "compiled": len(seen.buffer) if seen is not None else 0,
    },
    sys.stdout,
)
"""
_OPEN_OFTEN = """
import sys
from pathlib import Path
from retriever.index.folder import IndexFolder
opened = []
sys.addaudithook(lambda event, arguments: event == "open" and opened.append(str(arguments[0])))
for _ in range(3):
    IndexFolder(Path(sys.argv[1])).open()
print(sum(name.endswith("maxscore.py") for name in opened))
"""
_NAME = """
import sys
from pathlib import Path
from retriever.index import compiled
print(compiled._place(Path(sys.argv[1])))
"""
_PREPARE = """
import sys
from pathlib import Path
from retriever.analysis import Analyzer
from retriever.indexing import IndexKeeper
from retriever.store.database import Database
folder = Path(sys.argv[1])
database = Database(f"sqlite:///{folder / 'store.db'}")
if not database.path.exists():
    database.upgrade()
keeper = IndexKeeper(database, folder / "index", Analyzer())
keeper.current() if sys.argv[2:] else keeper.prepare()
keeper.close()
"""
_WITHOUT_NUMBA = "import sys; sys.modules['numba'] = None\n"

needs_numba = pytest.mark.skipif(not is_compiled(), reason="numba is not installed")


HERE = Path(__file__).parent.parent


def run(program: str, folder: Path, *arguments: str, installation: Path = HERE) -> str:
    """What a program prints that is run with the package of an installation."""
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=installation,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def search(folder: Path, before: str = "", installation: Path = HERE) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(run(before + _SEARCH, folder, installation=installation))
    return result


FOUND = {"hits": [7, 1, 2], "first": True, "compiled": 0}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with the code that this installation compiled."""
    index = tmp_path_factory.mktemp("built")
    run(_BUILD, index)
    return index


@needs_numba
def test_a_search_after_a_build_compiles_nothing(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    assert search(tmp_path) == {**FOUND, "kernel": "numba"}
    # The same index without the code: numpy, at once.
    (ready,) = tmp_path.glob("compiled-*/READY")
    content = ready.read_text()
    ready.unlink()
    assert search(tmp_path) == {**FOUND, "kernel": "numpy"}
    # Code that was damaged is not run, and not made again by somebody who searches.
    ready.write_text(content)
    damaged = max(ready.parent.rglob("*.nbc"), key=lambda file: file.stat().st_size)
    damaged.write_bytes(damaged.read_bytes()[:-100])
    assert search(tmp_path) == {**FOUND, "kernel": "numpy"}


@needs_numba
def test_installations_that_share_an_index_keep_each_others_code(
    built: Path, tmp_path: Path
) -> None:
    other, index = tmp_path / "other", tmp_path / "index"
    shutil.copytree(HERE / "retriever", other / "retriever")
    shutil.copytree(built, index)
    (ours,) = index.glob("compiled-*")
    theirs = Path(run(_NAME, index, installation=other).strip())
    outdated = theirs.with_name(f"{theirs.name[:-8]}{'0' * 8}")
    outdated.mkdir()
    run(_BUILD, index, installation=other)
    assert set(index.glob("compiled-*")) == {ours, theirs}
    for installation in (HERE, other):
        assert search(index, installation=installation) == {**FOUND, "kernel": "numba"}


@needs_numba
def test_code_that_nobody_uses_any_more_goes_when_other_code_is_compiled(
    built: Path, tmp_path: Path
) -> None:
    other, index, moved = tmp_path / "other", tmp_path / "index", tmp_path / "moved"
    shutil.copytree(HERE / "retriever", other / "retriever")
    shutil.copytree(built, index)
    (ours,) = index.glob("compiled-*")
    run(_BUILD, index, installation=other)
    (theirs,) = set(index.glob("compiled-*")) - {ours}

    def copy(number: int, *, days: float, made_by: str | None) -> Path:
        """Code of yet another installation, last used so many days ago."""
        place = ours.with_name(f"compiled-{number:08x}-{'0' * 8}")
        shutil.copytree(ours, place)
        (place / "MADE-BY").unlink()
        if made_by is not None:
            (place / "MADE-BY").write_text(made_by)
        used = time.time() - days * 24 * 60 * 60
        os.utime(place / "READY", (used, used))
        return place

    here = (ours / "MADE-BY").read_text()
    assert json.loads(here) == [platform.node(), sys.prefix, str(HERE / "retriever" / "index")]
    elsewhere = json.dumps(["another machine", "/srv/nowhere", "/srv/nowhere/retriever"])
    gone = json.dumps([platform.node(), str(tmp_path / "gone"), str(tmp_path / "gone" / "index")])
    kept = {
        copy(1, days=100, made_by=here),
        copy(2, days=100, made_by=elsewhere),
        copy(3, days=100, made_by=None),  # as earlier versions left it
        copy(4, days=100, made_by="no JSON"),
        # A container that has this machine's name and other folders, say, and is in use.
        copy(9, days=20, made_by=gone),
    }
    copy(10, days=40, made_by=gone)
    copy(5, days=200, made_by=here)
    copy(6, days=200, made_by=elsewhere)
    copy(7, days=200, made_by=None)
    (copy(8, days=0, made_by=here) / "READY").unlink()  # its making was cut off
    os.utime(ours / "READY", (0, 0))
    search(index)  # which uses ours
    other.rename(moved)  # which is an installation that is gone, and a new one
    a_while_ago = time.time() - 40 * 24 * 60 * 60
    os.utime(theirs / "READY", (a_while_ago, a_while_ago))
    run(_BUILD, index, installation=moved)
    left = set(index.glob("compiled-*"))
    assert left >= kept | {ours}
    (new,) = left - kept - {ours}
    assert new.name[:17] not in (ours.name[:17], theirs.name[:17])
    assert search(index, installation=moved) == {**FOUND, "kernel": "numba"}
    assert search(index) == {**FOUND, "kernel": "numba"}


def test_the_sources_are_looked_at_once_by_a_process(tmp_path: Path) -> None:
    run(_WITHOUT_NUMBA + _BUILD, tmp_path)
    assert run(_WITHOUT_NUMBA + _OPEN_OFTEN, tmp_path).split() == ["1"]


@needs_numba
def test_a_process_that_will_search_often_has_it_compiled(tmp_path: Path) -> None:
    """As after an upgrade, when an index is there and nothing new to put into it."""
    run(_PREPARE, tmp_path, "only searching")
    assert list(tmp_path.glob("index/compiled-*")) == []
    run(_PREPARE, tmp_path)
    assert len(list(tmp_path.glob("index/compiled-*/READY"))) == 1


def test_without_numba_numpy_does_it_all(tmp_path: Path) -> None:
    run(_WITHOUT_NUMBA + _BUILD, tmp_path)
    assert list(tmp_path.glob("compiled-*")) == []
    assert search(tmp_path, _WITHOUT_NUMBA) == {**FOUND, "kernel": "numpy"}
