"""An installation's synonyms: words that mean the same there, in a file that people write.

    # comments and empty lines are left aside
    holiday, annual leave, PTO
    laptop, notebook

Comma-separated words or phrases, one group a line. A word of a group is found by every other. The
file is read again when it has changed; the index is then made anew.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from pathlib import Path

from retriever.analysis import AnalysisOptions, Analyzer
from retriever.errors import AnalysisError

_log = logging.getLogger(__name__)


def read_synonyms(path: Path, options: AnalysisOptions) -> tuple[tuple[str, ...], ...]:
    """The groups of a file; none when there is no file.

    Args:
        options: what the words are analysed by, which says when two are the same.

    Raises:
        AnalysisError: the file cannot be read, or a line is wrong; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ()
    except UnicodeDecodeError as error:
        raise AnalysisError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise AnalysisError(
            f"{path} cannot be read: {error.strerror or error}; check its permissions"
        ) from error
    analyzer = Analyzer(replace(options, synonyms=()))
    groups: list[tuple[str, ...]] = []
    line_of: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{path}, line {number}"
        words = [" ".join(word.split()) for word in line.split(",")]
        if not all(words):
            raise AnalysisError(f"{where}: nothing stands between two commas; take one out")
        if len(words) < 2:
            raise AnalysisError(
                f'{where}: "{words[0]}" is alone; write words that mean the same on one line, '
                "separated by commas"
            )
        for word in words:
            terms = tuple(analyzer.terms(word))
            if not terms:
                raise AnalysisError(
                    f'{where}: "{word}" has no word to search by (only words like "the" or "it", '
                    "or signs); take it out"
                )
            if line_of.setdefault(terms, number) != number:
                raise AnalysisError(
                    f'{where}: "{word}" is in line {line_of[terms]} too; put the words of both '
                    "on one line"
                )
        groups.append(tuple(words))
    return tuple(groups)


class AnalyzerFile:
    """The analyzer of an installation: its options, and the synonyms in a file.

    Several processes that share an index see a change of the file at their next question, so that
    none of them goes on with an analyzer of its own. A file that has become wrong changes nothing,
    and the log says so.

    Raises:
        AnalysisError: there is no stemmer for the language, or the file is wrong.
    """

    def __init__(self, path: Path, options: AnalysisOptions | None = None) -> None:
        self._path = path
        self._options = options or AnalysisOptions()
        self._lock = threading.Lock()
        self._stamp = self._stamp_now()
        self._analyzer = self._read()

    def __call__(self) -> Analyzer:
        """The analyzer by the file as it is now; looking costs next to nothing."""
        with self._lock:
            stamp = self._stamp_now()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._analyzer = self._read()
                except AnalysisError as error:
                    _log.warning("the synonyms stay as they were: %s", error)
            return self._analyzer

    def _read(self) -> Analyzer:
        synonyms = read_synonyms(self._path, self._options)
        return Analyzer(replace(self._options, synonyms=synonyms))

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size
