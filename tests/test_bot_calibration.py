"""The confidence belongs to its models: where it is read from, and what is said of another's."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from bot.calibration import calibration_of, misfit
from bot.confidence import Calibration, default_calibration, read_calibration
from bot.errors import ConfigurationError
from bot.installation import Installation
from bot.models import Models, models_of
from bot.settings import Settings, from_environment
from reader.errors import CheckpointError
from tests.command_line import spanbot
from tests.documents import write_pages
from tests.reader_models import checkpoint

NOTES = {"wifi.md": "# Wifi\n\nThe code of the guest wifi is valid for 12 hours.\n"}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader of one's own, which the environment names."""
    folder = checkpoint(tmp_path / "tiny")
    for name, value in (("READER", folder), ("HOME", tmp_path / "home")):
        monkeypatch.setenv(f"SPANBOT_{name}", str(value))
    monkeypatch.setenv("SPANBOT_DEVICE", "cpu")
    monkeypatch.setenv("SPANBOT_RANKER", "off")
    return folder


def own(folder: Path, settings: Settings, **changes: Any) -> dict[str, Any]:
    """Write a calibration for these models into a folder; what it holds."""
    models = models_of(settings)
    record = json.loads((files("bot") / "calibration.json").read_text(encoding="utf-8"))
    record |= {"fitted_with": asdict(models), **changes}
    (folder / "calibration.json").write_text(json.dumps(record), encoding="utf-8")
    return dict(record)


def confidence_check() -> tuple[int, str, str]:
    ran = spanbot("doctor", "--json")
    [check] = [c for c in json.loads(ran.out) if c["check"] == "confidence"]
    return ran.code, check["state"], check["detail"]


def test_the_program_s_own_was_fitted_with_the_models_that_come_with_it() -> None:
    settings = from_environment({})
    assert calibration_of(settings) is default_calibration()
    assert misfit(default_calibration(), models_of(settings)) is None


def test_what_is_in_the_reader_s_folder_comes_first(model: Path) -> None:
    settings = from_environment()
    assert calibration_of(settings) is default_calibration()
    own(model, settings, intercept=-1.5)
    assert calibration_of(settings).intercept == -1.5
    (model / "calibration.json").unlink()
    assert calibration_of(settings) is default_calibration()
    hub = from_environment({"SPANBOT_READER": "owner/name"})
    assert calibration_of(hub) is default_calibration()


def test_an_answer_is_weighed_by_the_calibration_in_the_folder(model: Path, tmp_path: Path) -> None:
    settings = from_environment()
    shown = []
    for intercept in (30.0, -30.0):  # as sure as can be, and not at all
        own(model, settings, intercept=intercept, precisions={"0.00": 0.3, "0.50": 0.7})
        with Installation(settings) as installation:
            installation.knowledge.add([write_pages(tmp_path / "notes", NOTES)])
            shown.append(installation.answerer.ask("How long is the code valid?", via="cli"))
    assert [reply.answered for reply in shown] == [True, False]
    assert shown[0].answers[0].confidence > 0.99


@pytest.mark.parametrize(
    ("fitted", "used", "said"),
    [
        (Models("a", "b"), Models("a", "b"), None),
        (Models("a", None), Models("a", None), None),
        (Models("a", "b"), Models("x", "b"), "was fitted with another reader: it may be"),
        (Models("a", "b"), Models("a", "x"), "was fitted with another ranker: it may be"),
        (Models("a", "b"), Models("x", "x"), "with another reader and with another ranker:"),
        (Models("a", "b"), Models("a", None), "with a ranker, and none is in use:"),
        (Models("a", None), Models("a", "b"), "with no ranker, and one is in use:"),
        (Models("a", "b"), Models("a", "b", "x", "y"), None),  # the weights alone were noted
        (Models("a", "b", "x", "y"), Models("a", "b", "x", "y"), None),
        (
            Models("a", "b", "x", "y"),
            Models("a", "b", "z", "y"),
            "was fitted with another tokenizer or configuration of the reader: it may be",
        ),
        (
            Models("a", "b", "x", "y"),
            Models("a", "b", "x", "z"),
            "was fitted with another tokenizer or configuration of the ranker: it may be",
        ),
        (Models("a", "b", "x", "y"), Models("a", None, "x"), "a ranker, and none is in use:"),
        (Models("a", "b", "x", "y"), Models("z", "b", "z", "y"), "fitted with another reader: it"),
        (None, Models("a", "b"), "does not say which models it was fitted with:"),
    ],
)
def test_what_was_fitted_with_others_is_told(
    fitted: Models | None, used: Models, said: str | None
) -> None:
    base = default_calibration()
    calibration = Calibration(
        base.choice, base.confidence, base.lead, base.intercept, base.precisions, fitted
    )
    told = misfit(calibration, used)
    if said is None:
        assert told is None
    else:
        assert told is not None
        assert said in told
        assert "python -m bench.calibrate" in told


def test_the_doctor_says_whose_confidence_it_is(model: Path) -> None:
    code, state, detail = confidence_check()
    assert (code, state) == (0, "warning")  # it works, only not as well
    assert "with another reader and with a ranker, and none is in use" in detail
    settings = from_environment()
    own(model, settings)
    assert confidence_check() == (0, "ok", "fitted with these models")
    tokenizer = model / "tokenizer_config.json"
    before = tokenizer.read_text()
    tokenizer.write_text(before.replace("true", "false"))  # do_lower_case
    code, state, detail = confidence_check()
    assert (code, state) == (0, "warning")
    assert "with another tokenizer or configuration of the reader: it may be" in detail
    tokenizer.write_text(before)
    assert confidence_check() == (0, "ok", "fitted with these models")
    # One that was fitted before the files beside the weights were noted.
    models = models_of(settings)
    own(model, settings, fitted_with={"reader": models.reader, "ranker": models.ranker})
    assert confidence_check() == (0, "ok", "fitted with these models")
    own(model, settings, fitted_with=None)
    assert confidence_check()[:2] == (0, "warning")
    (model / "calibration.json").write_text("{}")
    code, state, detail = confidence_check()
    assert (code, state) == (1, "problem")
    assert f"{model / 'calibration.json'} is no calibration (it has no 'choice')" in detail
    (model / "config.json").unlink()
    assert confidence_check() == (1, "off", "not checked, as the reader cannot be used")


def test_the_doctor_finds_what_comes_along_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANBOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SPANBOT_DEVICE", "cpu")
    assert confidence_check() == (0, "ok", "fitted with these models")


def test_another_s_confidence_is_logged_once(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    def logged() -> list[str]:
        caplog.clear()
        with caplog.at_level(logging.WARNING), Installation(from_environment()) as installation:
            installation.reader()
            installation.reader()
        return [message for message in caplog.messages if "confidence" in message]

    [message] = logged()
    assert "was fitted with another reader" in message
    own(model, from_environment())
    assert logged() == []


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no object": (lambda record: [], "of the wrong kind"),
    "without a lead": (lambda record: {**record, "lead": None}, "of the wrong kind"),
    "no number": (lambda record: {**record, "intercept": "x"}, "could not convert"),
    "not finite": (
        lambda record: {**record, "choice": {"logit": float("nan")}},
        "nan is no finite number",
    ),
    "no precisions": (lambda record: {**record, "precisions": {}}, "do not rise"),
    "in disorder": (
        lambda record: {**record, "precisions": {"0.5": 0.7, "0.0": 0.3}},
        "do not rise",
    ),
    "no ranker": (lambda record: {**record, "fitted_with": {"reader": "a"}}, "no 'ranker'"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_no_calibration_is_named(model: Path, tmp_path: Path, damage: str) -> None:
    settings = from_environment()
    change, message = DAMAGES[damage]
    record = own(model, settings)
    text = json.dumps(change(record))
    with pytest.raises(ValueError, match=message):
        read_calibration(text)
    path = model / "calibration.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"calibration\.json is no calibration \(.*remove"):
        calibration_of(settings)
    # Whoever does not ask is not kept from working.
    assert spanbot("add", write_pages(tmp_path / "notes", NOTES)).code == 0
    assert "calibration.json is no calibration" in spanbot("ask", "wifi?").error()
    path.write_bytes(b"\xff\xfe")
    assert "calibration.json is no calibration" in spanbot("ask", "wifi?").error()


def test_weights_that_are_not_there_name_the_setting(model: Path) -> None:
    (model / "model.safetensors").rename(model / "other.safetensors")
    with pytest.raises(CheckpointError, match=r'SPANBOT_READER is ".*tiny": .* holds no model'):
        models_of(from_environment())
    (model / "other.safetensors").rename(model / "pytorch_model.bin")
    assert len(models_of(from_environment()).reader) == 64
