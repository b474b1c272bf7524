"""Every setting of an installation; the only place that reads the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from platformdirs import user_data_path

from bot.cron import check_cron
from bot.errors import ConfigurationError
from retriever.analysis import languages
from retriever.errors import StoreError
from retriever.store.database import Database

#: Environment variable and what it means, in the order of the README's table.
VARIABLES: Mapping[str, str] = {
    "SPANBOT_HOME": "folder that holds everything an installation stores",
    "SPANBOT_DATABASE_URL": "database; by default spanbot.db in the home folder",
    "SPANBOT_READER": "reader model: a folder or a hub id; by default the embedded one",
    "SPANBOT_DEVICE": "auto, cpu or cuda; cuda:1 is the second GPU",
    "SPANBOT_READER_PRECISION": "auto, fp32, int8 or bf16: how the reader computes",
    "SPANBOT_RANKER": "auto, on, or off to rank by BM25 alone",
    "SPANBOT_RETRIEVER": "bm25, or rank_bm25 for small collections",
    "SPANBOT_LANGUAGE": "language of the documents, for stemming; english by default",
    "SPANBOT_PRECISION": "so many of the answers shown are to be right; 0 to 1",
    "SPANBOT_ADMINS": "Slack user ids of the admins, separated by commas",
    "SPANBOT_REINDEX_CRON": "when to look at every source again, as a cron expression",
    "SPANBOT_HTTP_HOST": "address that the HTTP mode listens on",
    "SPANBOT_HTTP_PORT": "port that the HTTP mode listens on",
    "SLACK_BOT_TOKEN": "the bot's token, xoxb-…",
    "SLACK_APP_TOKEN": "the app-level token for Socket Mode, xapp-…",
    "SLACK_SIGNING_SECRET": "the app's signing secret, for the HTTP mode",
    "SLACK_API_URL": "base URL of Slack's Web API",
}

_Value = TypeVar("_Value")

# More than one GPU is told apart by number.
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")

# Slack's ids of people begin with U, or with W in large organisations.
_USER_ID = re.compile(r"[UW][A-Z0-9]+")

#: Six in ten answers shown are right on the calibration questions, about seven in ten on questions
#: kept back; what that costs in silence is in bench/README.md.
DEFAULT_PRECISION = 0.6


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of an installation; secrets are kept out of its printed form."""

    home: Path
    database_url: str
    reader: str | None
    device: str
    reader_precision: str
    ranker_mode: str
    retriever: Literal["bm25", "rank_bm25"]
    language: str
    precision: float
    admins: frozenset[str]
    reindex_cron: str | None
    http_host: str
    http_port: int
    slack_bot_token: str | None
    slack_app_token: str | None
    slack_signing_secret: str | None
    slack_api_url: str

    @property
    def ranker(self) -> bool:
        """Whether vectors rank the passages beside BM25."""
        return self.ranker_mode != "off"

    @property
    def reader_ranks(self) -> bool:
        """Whether a reader that was trained to rank too makes the vectors."""
        return self.ranker_mode == "auto"

    @property
    def index_folder(self) -> Path:
        return self.home / "index"

    @property
    def synonyms_file(self) -> Path:
        return self.home / "synonyms.txt"

    @property
    def backups_folder(self) -> Path:
        return self.home / "backups"

    @property
    def uploads_folder(self) -> Path:
        return self.home / "uploads"

    def __repr__(self) -> str:
        return f"Settings(home={str(self.home)!r})"


def unknown(environment: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong with each variable that looks like a setting and is none."""
    wrong = []
    for name in sorted(os.environ if environment is None else environment):
        if name.startswith("SPANBOT_") and name not in VARIABLES:
            near = get_close_matches(name, VARIABLES, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            wrong.append(f"{name} is no setting{meant}")
    return wrong


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; empty variables count as not set.

    Raises:
        ConfigurationError: values are wrong; the message names each with its variable and what may
            stand there.
    """
    found = read(environment)
    if found.wrong:
        raise ConfigurationError(". ".join(found.wrong.values()))
    return found.settings


@dataclass(frozen=True, slots=True)
class Reading:
    """The settings as far as they can be read.

    ``wrong`` says what is wrong with a variable's value; its default is in ``settings``.
    """

    settings: Settings
    wrong: Mapping[str, str]


def read(environment: Mapping[str, str] | None = None) -> Reading:
    """Read the settings, wrong ones too; empty variables count as not set."""
    given = os.environ if environment is None else environment
    wrong: dict[str, str] = {}

    def text(name: str) -> str | None:
        return given.get(name, "").strip() or None

    def value(name: str, parse: Callable[[str, str], _Value], default: _Value) -> _Value:
        stated = text(name)
        if stated is None:
            return default
        try:
            return parse(name, stated)
        except ConfigurationError as error:
            wrong[name] = str(error)
            return default

    home = value("SPANBOT_HOME", _home, user_data_path("spanbot").absolute())
    retriever = value("SPANBOT_RETRIEVER", _one_of("bm25", "rank_bm25"), "bm25")
    settings = Settings(
        home=home,
        database_url=value(
            "SPANBOT_DATABASE_URL", _database_url, f"sqlite:///{home / 'spanbot.db'}"
        ),
        reader=text("SPANBOT_READER"),
        device=value("SPANBOT_DEVICE", _device, "auto"),
        reader_precision=value(
            "SPANBOT_READER_PRECISION", _one_of("auto", "fp32", "int8", "bf16"), "auto"
        ),
        ranker_mode=value("SPANBOT_RANKER", _one_of("auto", "on", "off"), "auto"),
        retriever="rank_bm25" if retriever == "rank_bm25" else "bm25",
        language=value("SPANBOT_LANGUAGE", _language, "english"),
        precision=value("SPANBOT_PRECISION", _precision, DEFAULT_PRECISION),
        admins=value("SPANBOT_ADMINS", _admins, frozenset()),
        reindex_cron=value("SPANBOT_REINDEX_CRON", _cron, None),
        http_host=text("SPANBOT_HTTP_HOST") or "127.0.0.1",
        http_port=value("SPANBOT_HTTP_PORT", _port, 3000),
        slack_bot_token=value("SLACK_BOT_TOKEN", _token("xoxb-"), None),
        slack_app_token=value("SLACK_APP_TOKEN", _token("xapp-"), None),
        slack_signing_secret=text("SLACK_SIGNING_SECRET"),
        slack_api_url=value("SLACK_API_URL", _web_address, "https://slack.com/api/"),
    )
    return Reading(settings, wrong)


def _one_of(*allowed: str) -> Callable[[str, str], str]:
    def parse(name: str, value: str) -> str:
        if value.casefold() not in allowed:
            listed = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
            raise ConfigurationError(f'{name} is "{value}"; use {listed}')
        return value.casefold()

    return parse


def _home(name: str, value: str) -> Path:
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError as error:  # ~ of a user that there is not
        raise ConfigurationError(
            f'{name} is "{value}"; use the path of a folder, like /srv/spanbot ({error})'
        ) from error


def _database_url(name: str, value: str) -> str:
    try:
        Database(value)  # opens nothing; its error hides the password
    except StoreError as error:
        raise ConfigurationError(f"{name} is wrong: {error}") from error
    return value


def _cron(name: str, value: str) -> str | None:
    check_cron(value)
    return value


def _device(name: str, value: str) -> str:
    if not _DEVICE.fullmatch(value.casefold()):
        raise ConfigurationError(f'{name} is "{value}"; use auto, cpu or cuda')
    return value.casefold()


def _language(name: str, value: str) -> str:
    if value.casefold() not in languages():
        raise ConfigurationError(f'{name} is "{value}"; use one of: {", ".join(languages())}')
    return value.casefold()


def _web_address(name: str, value: str) -> str:
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is none
        valid = False
    if not valid:
        raise ConfigurationError(f'{name} is "{value}"; use an address like https://slack.com/api/')
    return value.rstrip("/") + "/"


def _admins(name: str, value: str) -> frozenset[str]:
    ids = [part.strip() for part in value.split(",")]
    for admin in filter(None, ids):
        if not _USER_ID.fullmatch(admin):
            raise ConfigurationError(
                f'{name} is "{value}"; use ids like U012AB3CD, separated by commas: '
                f'"{admin}" is none (README: Admins)'
            )
    return frozenset(filter(None, ids))


def _precision(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= 1.0:
        raise ConfigurationError(
            f'{name} is "{value}"; use a number from 0 to 1, like {DEFAULT_PRECISION}'
        )
    return number


def _port(name: str, value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= 65535:
        raise ConfigurationError(f'{name} is "{value}"; use a number from 1 to 65535')
    return int(value)


def _token(prefix: str) -> Callable[[str, str], str | None]:
    def parse(name: str, value: str) -> str | None:
        if not value.startswith(prefix):
            # The value is a secret: name its beginning at most.
            raise ConfigurationError(
                f"{name} begins with {value[:4]!r}; a token for it begins with {prefix!r} "
                "(README: Connect Slack)"
            )
        return value

    return parse
