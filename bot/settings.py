"""Every setting of an installation; the only place that reads the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from platformdirs import user_data_path

from bot.errors import ConfigurationError
from retriever.analysis import languages

#: Environment variable and what it means, in the order of the README's table.
VARIABLES: Mapping[str, str] = {
    "SPANBOT_HOME": "folder that holds everything an installation stores",
    "SPANBOT_DATABASE_URL": "database; by default spanbot.db in the home folder",
    "SPANBOT_READER": "reader model: a folder or a hub id; by default the embedded one",
    "SPANBOT_DEVICE": "auto, cpu or cuda",
    "SPANBOT_READER_PRECISION": "auto, fp32, int8 or bf16: how the reader computes",
    "SPANBOT_RANKER": "on, or off to rank by BM25 alone",
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
    ranker: bool
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
    def index_folder(self) -> Path:
        return self.home / "index"

    @property
    def synonyms_file(self) -> Path:
        return self.home / "synonyms.txt"

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
        ConfigurationError: a value is wrong; the message names the variable and the value.
    """
    given = os.environ if environment is None else environment

    def get(name: str) -> str | None:
        return given.get(name, "").strip() or None

    home = _home(get("SPANBOT_HOME"))
    retriever = get("SPANBOT_RETRIEVER") or "bm25"
    if retriever not in ("bm25", "rank_bm25"):
        raise ConfigurationError(f'SPANBOT_RETRIEVER is "{retriever}"; use bm25 or rank_bm25')
    ranker = get("SPANBOT_RANKER") or "on"
    if ranker not in ("on", "off"):
        raise ConfigurationError(f'SPANBOT_RANKER is "{ranker}"; use on or off')
    language = (get("SPANBOT_LANGUAGE") or "english").casefold()
    if language not in languages():
        raise ConfigurationError(
            f'SPANBOT_LANGUAGE is "{language}"; use one of: {", ".join(languages())}'
        )
    precision = get("SPANBOT_READER_PRECISION") or "auto"
    if precision not in ("auto", "fp32", "int8", "bf16"):
        raise ConfigurationError(
            f'SPANBOT_READER_PRECISION is "{precision}"; use auto, fp32, int8 or bf16'
        )
    api_url = get("SLACK_API_URL") or "https://slack.com/api/"
    if not _is_web_address(api_url):
        raise ConfigurationError(
            f'SLACK_API_URL is "{api_url}"; use an address like https://slack.com/api/'
        )
    return Settings(
        home=home,
        database_url=get("SPANBOT_DATABASE_URL") or f"sqlite:///{home / 'spanbot.db'}",
        reader=get("SPANBOT_READER"),
        device=get("SPANBOT_DEVICE") or "auto",
        reader_precision=precision,
        ranker=ranker == "on",
        retriever="rank_bm25" if retriever == "rank_bm25" else "bm25",
        language=language,
        precision=_precision(get("SPANBOT_PRECISION")),
        admins=_admins(get("SPANBOT_ADMINS")),
        reindex_cron=get("SPANBOT_REINDEX_CRON"),
        http_host=get("SPANBOT_HTTP_HOST") or "127.0.0.1",
        http_port=_port(get("SPANBOT_HTTP_PORT")),
        slack_bot_token=_token(get("SLACK_BOT_TOKEN"), "SLACK_BOT_TOKEN", "xoxb-"),
        slack_app_token=_token(get("SLACK_APP_TOKEN"), "SLACK_APP_TOKEN", "xapp-"),
        slack_signing_secret=get("SLACK_SIGNING_SECRET"),
        slack_api_url=api_url.rstrip("/") + "/",
    )


def _home(value: str | None) -> Path:
    try:
        return Path(value or user_data_path("spanbot")).expanduser().absolute()
    except RuntimeError as error:  # ~ of a user that there is not
        raise ConfigurationError(
            f'SPANBOT_HOME is "{value}"; use the path of a folder, like /srv/spanbot ({error})'
        ) from error


def _is_web_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is none
        return False


def _admins(value: str | None) -> frozenset[str]:
    ids = [part.strip() for part in (value or "").split(",")]
    for admin in filter(None, ids):
        if not _USER_ID.fullmatch(admin):
            raise ConfigurationError(
                f'SPANBOT_ADMINS is "{value}"; use ids like U012AB3CD, separated by commas: '
                f'"{admin}" is none (README: Admins)'
            )
    return frozenset(filter(None, ids))


def _precision(value: str | None) -> float:
    if value is None:
        return DEFAULT_PRECISION
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= 1.0:
        raise ConfigurationError(
            f'SPANBOT_PRECISION is "{value}"; use a number from 0 to 1, like {DEFAULT_PRECISION}'
        )
    return number


def _port(value: str | None) -> int:
    if value is None:
        return 3000
    if not value.isdecimal() or not 1 <= int(value) <= 65535:
        raise ConfigurationError(f'SPANBOT_HTTP_PORT is "{value}"; use a number from 1 to 65535')
    return int(value)


def _token(value: str | None, name: str, prefix: str) -> str | None:
    if value is not None and not value.startswith(prefix):
        # The value is a secret: name its beginning at most.
        raise ConfigurationError(
            f"{name} begins with {value[:4]!r}; a token for it begins with {prefix!r} "
            "(README: Connect Slack)"
        )
    return value
