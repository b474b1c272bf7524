"""What every test stands on: a home folder of its own, and no settings from outside."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from retriever.index.kernel import is_compiled, load, set_default
from tests.reader_models import checkpoint

# A busy machine is no failure.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="session")
def kernel() -> None:
    """The index's compiled loops, kept from one run of the tests to the next."""
    if is_compiled():
        set_default(load(compiled=True))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        for entry in [folder, *folder.rglob("*")]:
            if not entry.is_symlink():
                entry.chmod(0o755)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder for this test alone; the environment's own settings are out of the way."""
    for name in list(os.environ):
        if name.startswith(("SPANBOT_", "SLACK_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("SPANBOT_HOME", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder


@pytest.fixture(scope="session")
def tiny_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader of few weights, drawn by chance; tests that share it change nothing."""
    return checkpoint(tmp_path_factory.mktemp("reader") / "tiny")


@pytest.fixture
def light_models(home: Path, monkeypatch: pytest.MonkeyPatch, tiny_reader: Path) -> None:
    """Commands load the tiny reader on the CPU, and no ranker."""
    monkeypatch.setenv("SPANBOT_READER", str(tiny_reader))
    monkeypatch.setenv("SPANBOT_DEVICE", "cpu")
    monkeypatch.setenv("SPANBOT_RANKER", "off")
