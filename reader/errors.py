"""The reader's errors.

    ReaderError
    ├── CheckpointError   a model folder or hub id that cannot serve as a reader
    ├── DatasetError      a question-answering file that is not SQuAD JSON
    ├── CorpusError       a text corpus for pre-training that cannot be used
    ├── TrainingError     a training configuration or run that cannot go on
    ├── OutputError       a file or folder of results that cannot be written
    ├── DeviceError       a device that was asked for and is not there
    └── BusyError         more questions at once than the reader takes

Every message names the value that is wrong and what to do next.
"""


class ReaderError(Exception):
    """Base of everything this package raises on purpose."""


class CheckpointError(ReaderError):
    """The checkpoint is missing, incomplete or not a question-answering BERT."""


class DatasetError(ReaderError):
    """The dataset file cannot be read as SQuAD JSON."""


class CorpusError(ReaderError):
    """The corpus cannot be read as text, or there is too little of it."""


class TrainingError(ReaderError):
    """The training run cannot start or continue."""


class OutputError(ReaderError):
    """A file or folder of results cannot be written."""


class DeviceError(ReaderError):
    """The device does not exist on this machine."""


class BusyError(ReaderError):
    """The reader has no time for the question; ask again later."""


def reason_of(error: BaseException) -> str:
    """The first line of what another's error says, or its kind where it says nothing."""
    lines = str(error).splitlines()
    return lines[0] if lines and lines[0] else type(error).__name__
