"""Settings: what each variable means, and what is said of a wrong one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from bot.errors import ConfigurationError
from bot.settings import DEFAULT_PRECISION, VARIABLES, Settings, from_environment, read

SECRETS = {
    "SLACK_BOT_TOKEN": "xoxb-1-hush",
    "SLACK_APP_TOKEN": "xapp-1-hush",
    "SLACK_SIGNING_SECRET": "0123hush",
}


def test_without_variables_everything_has_a_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    settings = from_environment({})
    assert settings == Settings(
        home=settings.home,
        database_url=f"sqlite:///{settings.home}/spanbot.db",
        reader=None,
        device="auto",
        reader_precision="auto",
        ranker_mode="auto",
        retriever="bm25",
        language="english",
        precision=DEFAULT_PRECISION,
        admins=frozenset(),
        reindex_cron=None,
        http_host="127.0.0.1",
        http_port=3000,
        slack_bot_token=None,
        slack_app_token=None,
        slack_signing_secret=None,
        slack_api_url="https://slack.com/api/",
    )
    assert settings.home.is_absolute()
    assert settings.home.name == "spanbot"
    assert settings.index_folder == settings.home / "index"
    assert settings.uploads_folder == settings.home / "uploads"
    assert not settings.home.exists()  # reading settings makes nothing


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("SPANBOT_HOME", "/srv/spanbot", "home", Path("/srv/spanbot")),
        ("SPANBOT_HOME", "data", "home", Path.cwd() / "data"),
        ("SPANBOT_HOME", "~/bot", "home", Path.home() / "bot"),
        ("SPANBOT_HOME", "/srv/b", "database_url", "sqlite:////srv/b/spanbot.db"),
        ("SPANBOT_DATABASE_URL", "sqlite:////x/y.db", "database_url", "sqlite:////x/y.db"),
        ("SPANBOT_READER", "owner/name", "reader", "owner/name"),
        ("SPANBOT_DEVICE", "cpu", "device", "cpu"),
        ("SPANBOT_DEVICE", "CUDA", "device", "cuda"),
        ("SPANBOT_DEVICE", "cuda:1", "device", "cuda:1"),
        ("SPANBOT_READER_PRECISION", "fp32", "reader_precision", "fp32"),
        ("SPANBOT_RANKER", "off", "ranker", False),
        ("SPANBOT_RANKER", "Off", "ranker", False),
        ("SPANBOT_RANKER", "on", "ranker", True),
        ("SPANBOT_RANKER", "on", "reader_ranks", False),
        ("SPANBOT_RANKER", "auto", "ranker", True),
        ("SPANBOT_RANKER", "auto", "reader_ranks", True),
        ("SPANBOT_RETRIEVER", "rank_bm25", "retriever", "rank_bm25"),
        ("SPANBOT_RETRIEVER", "bm25", "retriever", "bm25"),
        ("SPANBOT_LANGUAGE", "German", "language", "german"),
        ("SPANBOT_PRECISION", "0", "precision", 0.0),
        ("SPANBOT_PRECISION", " 0.8 ", "precision", 0.8),
        ("SPANBOT_PRECISION", "1", "precision", 1.0),
        ("SPANBOT_ADMINS", "U1, W2,,U3 ,", "admins", frozenset({"U1", "W2", "U3"})),
        ("SPANBOT_REINDEX_CRON", "0 3 * * *", "reindex_cron", "0 3 * * *"),
        ("SPANBOT_HTTP_HOST", "0.0.0.0", "http_host", "0.0.0.0"),
        ("SPANBOT_HTTP_PORT", "8080", "http_port", 8080),
        ("SLACK_BOT_TOKEN", "xoxb-1", "slack_bot_token", "xoxb-1"),
        ("SLACK_APP_TOKEN", "xapp-1", "slack_app_token", "xapp-1"),
        ("SLACK_SIGNING_SECRET", "abc", "slack_signing_secret", "abc"),
        ("SLACK_API_URL", "http://localhost:1/api", "slack_api_url", "http://localhost:1/api/"),
        ("SLACK_API_URL", "http://localhost:1/api/", "slack_api_url", "http://localhost:1/api/"),
    ],
)
def test_a_variable_sets_its_field(variable: str, value: str, field: str, expected: Any) -> None:
    assert getattr(from_environment({variable: value}), field) == expected


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_variable_counts_as_not_set(variable: str, empty: str) -> None:
    assert from_environment({variable: empty}) == from_environment({})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SPANBOT_DEVICE", "gpu"),
        ("SPANBOT_DEVICE", "cuda:one"),
        ("SPANBOT_READER_PRECISION", "fp8"),
        ("SPANBOT_RANKER", "yes"),
        ("SPANBOT_RETRIEVER", "lucene"),
        ("SPANBOT_LANGUAGE", "klingon"),
        ("SPANBOT_PRECISION", "high"),
        ("SPANBOT_PRECISION", "-0.1"),
        ("SPANBOT_PRECISION", "1.01"),
        ("SPANBOT_PRECISION", "nan"),
        ("SPANBOT_HTTP_PORT", "http"),
        ("SPANBOT_HTTP_PORT", "0"),
        ("SPANBOT_HTTP_PORT", "65536"),
        ("SPANBOT_HTTP_PORT", "-1"),
        ("SPANBOT_HTTP_PORT", "80.5"),
        ("SLACK_API_URL", "slack.com/api"),
        ("SLACK_API_URL", "ftp://slack.com/"),
        ("SLACK_API_URL", "https://"),
        ("SLACK_API_URL", "http://["),
        ("SLACK_API_URL", "http://localhost:abc/api/"),
        ("SPANBOT_HOME", "~nosuchuser/x"),
        ("SPANBOT_ADMINS", "@bob"),
        ("SPANBOT_ADMINS", "U1 U2"),
        ("SPANBOT_ADMINS", "U1, u2"),
        ("SPANBOT_ADMINS", "C012AB3CD"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as info:
        from_environment({variable: value})
    message = str(info.value)
    assert message.startswith(f'{variable} is "{value}"')
    assert "; use " in message
    assert "\n" not in message


@pytest.mark.parametrize("value", ["daily", "0 3 * *", "61 * * * *", "0 0 30 2 *"])
def test_a_wrong_schedule_is_told_with_an_example(value: str) -> None:
    with pytest.raises(ConfigurationError) as info:
        from_environment({"SPANBOT_REINDEX_CRON": value})
    message = str(info.value)
    assert message.startswith(f'SPANBOT_REINDEX_CRON is "{value}", which is no cron expression (')
    assert '; write one like "0 3 * * *"' in message


def test_a_wrong_database_is_told_without_its_password() -> None:
    with pytest.raises(ConfigurationError) as info:
        from_environment({"SPANBOT_DATABASE_URL": "postgresql://us:hush@host:port/spanbot"})
    message = str(info.value)
    assert message.startswith("SPANBOT_DATABASE_URL is wrong: ")
    assert "hush" not in message


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("SPANBOT_DEVICE", "gpu", "use auto, cpu or cuda"),
        ("SPANBOT_READER_PRECISION", "fp8", "use auto, fp32, int8 or bf16"),
        ("SPANBOT_RANKER", "yes", "use auto, on or off"),
        ("SPANBOT_RETRIEVER", "lucene", "use bm25 or rank_bm25"),
        ("SPANBOT_HTTP_PORT", "0", "use a number from 1 to 65535"),
    ],
)
def test_a_wrong_value_is_told_with_those_allowed(variable: str, value: str, allowed: str) -> None:
    with pytest.raises(ConfigurationError) as info:
        from_environment({variable: value})
    assert str(info.value) == f'{variable} is "{value}"; {allowed}'


def test_every_wrong_value_is_named_at_once_and_the_rest_is_read() -> None:
    given = {"SPANBOT_DEVICE": "gpu", "SPANBOT_RANKER": "yes", "SPANBOT_HTTP_PORT": "4000"}
    with pytest.raises(ConfigurationError) as info:
        from_environment(given)
    assert str(info.value) == (
        'SPANBOT_DEVICE is "gpu"; use auto, cpu or cuda. '
        'SPANBOT_RANKER is "yes"; use auto, on or off'
    )
    found = read(given)
    assert [*found.wrong] == ["SPANBOT_DEVICE", "SPANBOT_RANKER"]
    assert found.settings == from_environment({"SPANBOT_HTTP_PORT": "4000"})


@pytest.mark.parametrize(
    ("variable", "value", "prefix"),
    [
        ("SLACK_BOT_TOKEN", "xoxp-1-hush-hush", "xoxb-"),
        ("SLACK_BOT_TOKEN", "xapp-1-hush-hush", "xoxb-"),
        ("SLACK_BOT_TOKEN", "hush-hush", "xoxb-"),
        ("SLACK_APP_TOKEN", "xoxb-1-hush-hush", "xapp-"),
    ],
)
def test_a_token_of_another_kind_is_refused_without_showing_it(
    variable: str, value: str, prefix: str
) -> None:
    with pytest.raises(ConfigurationError) as info:
        from_environment({variable: value})
    message = str(info.value)
    assert message.startswith(variable)
    assert prefix in message
    assert value[:4] in message
    assert "hush-" not in message


@pytest.mark.parametrize("wrong", ["SPANBOT_HTTP_PORT", "SPANBOT_PRECISION", "SLACK_API_URL"])
def test_secrets_are_in_no_message_and_no_printed_form(wrong: str) -> None:
    settings = from_environment(SECRETS)
    for shown in (repr(settings), str(settings), f"{settings}", repr([settings])):
        assert "hush" not in shown
    with pytest.raises(ConfigurationError) as info:
        from_environment({**SECRETS, wrong: "wrong"})
    assert "hush" not in str(info.value)


def test_the_process_environment_is_read_now(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    assert from_environment().home == home
    monkeypatch.setenv("SPANBOT_HTTP_PORT", "4000")
    assert from_environment().http_port == 4000
    assert from_environment() == from_environment(os.environ)


def test_every_variable_is_explained() -> None:
    assert all(meaning and "\n" not in meaning for meaning in VARIABLES.values())
    assert len(VARIABLES) == len(Settings.__slots__)
