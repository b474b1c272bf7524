"""Which calibration an installation uses, and whether it was fitted with the models in use.

A confidence belongs to a reader and a ranker: with others the same features have other values. So
it is stored with the model: ``calibration.json`` in the reader's folder, where ``SPANBOT_READER``
names one that has it. The embedded models' own lies in this package and not beside their weights:
the features that it weighs are the bot's, of ranking and wording as much as of reading, and
:mod:`reader` neither knows them nor could read the file. Each names the models that it was fitted
with (:class:`bot.models.Models`), so that no other model's numbers are taken unnoticed.

``python -m bench.calibrate`` of a checkout writes such files.
"""

from __future__ import annotations

from pathlib import Path

from bot.confidence import Calibration, default_calibration, read_calibration
from bot.errors import ConfigurationError
from bot.models import Models
from bot.settings import Settings

#: The file's name in a reader's folder.
FILE = "calibration.json"

_REMEDY = (
    "measure with spanbot evaluate, or fit a confidence for them with python -m bench.calibrate "
    "(README: A confidence for another reader)"
)


def calibration_of(settings: Settings) -> Calibration:
    """The calibration in the reader's folder, or the one that comes with the program.

    Raises:
        ConfigurationError: the file in the folder cannot be read or is no calibration.
    """
    if settings.reader is None:
        return default_calibration()
    path = Path(settings.reader).expanduser() / FILE
    try:
        return read_calibration(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return default_calibration()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigurationError(
            f"{path} is no calibration ({error}); write it anew with python -m bench.calibrate, or "
            "remove it to use the one that comes with the program"
        ) from error


def misfit(calibration: Calibration, models: Models) -> str | None:
    """What is wrong with using a calibration beside these models, and what to do; or None."""
    fitted = calibration.fitted_with
    if fitted is None:
        found = "does not say which models it was fitted with"
    else:
        others = []
        if fitted.reader != models.reader:
            others.append("another reader")
        elif _is_other(fitted.reader_settings, models.reader_settings):
            others.append("another tokenizer or configuration of the reader")
        if fitted.ranker != models.ranker:
            others.append(
                "a ranker, and none is in use"
                if models.ranker is None
                else "no ranker, and one is in use"
                if fitted.ranker is None
                else "another ranker"
            )
        elif _is_other(fitted.ranker_settings, models.ranker_settings):
            others.append("another tokenizer or configuration of the ranker")
        if not others:
            return None
        found = f"was fitted with {' and with '.join(others)}"
    return f"the confidence {found}: it may be too high or too low; {_REMEDY}"


def _is_other(fitted: str | None, used: str | None) -> bool:
    """Whether settings are known to be others; a fit may have noted the weights alone."""
    return fitted is not None and fitted != used
