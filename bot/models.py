"""The models that the settings name: loading them, and telling them from others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bot.settings import Settings
from reader.errors import CheckpointError, DeviceError

if TYPE_CHECKING:
    from reader.ranker import Ranker
    from reader.reader import Reader

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Models:
    """A reader and a ranker, by the digests of their files (:mod:`reader.digests`).

    Attributes:
        reader, ranker: of the weights; ``ranker`` is None where BM25 alone ranks the passages.
        reader_settings, ranker_settings: of the configuration and the tokenizer; None where there
            is no ranker, or where only the weights were noted.
    """

    reader: str
    ranker: str | None
    reader_settings: str | None = None
    ranker_settings: str | None = None


def reader_of(settings: Settings, *, notify: Callable[[str], None] | None = None) -> Reader:
    """Load the reader that the settings name.

    Args:
        notify: gets what the user must know before a model is downloaded.

    Raises:
        CheckpointError, DeviceError: see :func:`reader.reader.load_reader`; the message names the
            settings.
    """
    from reader.reader import load_reader

    device, precision = settings.device, settings.reader_precision
    try:
        with _naming_reader(settings):
            return load_reader(settings.reader, device=device, precision=precision, notify=notify)
    except DeviceError as error:
        raise DeviceError(
            f'SPANBOT_DEVICE is "{device}", SPANBOT_READER_PRECISION is "{precision}": {error}'
        ) from error


def ranker_of(settings: Settings, *, notify: Callable[[str], None] | None = None) -> Ranker:
    """Load the ranker: the reader where it ranks too and the settings let it, or the embedded one.

    Args:
        notify: as for :func:`reader_of`; to see whether a reader ranks, it must be there.

    Raises:
        CheckpointError, DeviceError: see :func:`reader.ranker.load_ranker`; the message names the
            setting.
    """
    from reader.ranker import load_ranker

    folder = _ranker_folder(settings, notify or _log.warning)
    try:
        with _naming_reader(settings, folder):
            return load_ranker(folder, device=settings.device)
    except DeviceError as error:
        raise DeviceError(f'SPANBOT_DEVICE is "{settings.device}": {error}') from error


def models_of(settings: Settings, *, notify: Callable[[str], None] | None = None) -> Models:
    """The digests of the models that the settings name; nothing is loaded.

    Args:
        notify: as for :func:`reader_of`; a model that is not there yet is downloaded.

    Raises:
        CheckpointError: the files are not there or cannot be read; the message names the setting.
    """
    from reader.digests import digest_of_settings_files, digest_of_weights_file

    tell = notify or _log.warning
    with _naming_reader(settings):
        folder = _reader_folder(settings, tell)
        reader = Models(
            digest_of_weights_file(folder), None, digest_of_settings_files(folder), None
        )
    if not settings.ranker:
        return reader
    folder = _ranker_folder(settings, tell)
    with _naming_reader(settings, folder):
        return replace(
            reader,
            ranker=digest_of_weights_file(folder),
            ranker_settings=digest_of_settings_files(folder),
        )


def _reader_folder(settings: Settings, notify: Callable[[str], None]) -> Path:
    from reader.checkpoint import EMBEDDED, resolve

    return resolve(settings.reader or EMBEDDED, notify=notify)


def _ranker_folder(settings: Settings, notify: Callable[[str], None]) -> Path:
    from reader.checkpoint import ranks
    from reader.ranker import EMBEDDED

    if settings.reader_ranks:
        with _naming_reader(settings):
            folder = _reader_folder(settings, notify)
            if ranks(folder):
                return folder
    return EMBEDDED


@contextmanager
def _naming_reader(settings: Settings, folder: Path | None = None) -> Iterator[None]:
    """An error of the reader's checkpoint names the setting, where it was chosen by one.

    ``folder`` is what is loaded: nobody chose the embedded ranker by that setting.
    """
    from reader.ranker import EMBEDDED

    try:
        yield
    except CheckpointError as error:
        if settings.reader is None or folder == EMBEDDED:
            raise  # nobody chose what comes with the program
        meant = _model_of_a_run(settings.reader)
        raise CheckpointError(f'SPANBOT_READER is "{settings.reader}": {error}{meant}') from error


def _model_of_a_run(reader: str) -> str:
    """What to add to the error of a training run's folder, which has the weights one below."""
    model = Path(reader).expanduser() / "model"
    if (model.parent / "config.json").exists() or not (model / "config.json").is_file():
        return ""
    return f"; did you mean {model}?"
