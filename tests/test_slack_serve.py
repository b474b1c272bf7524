"""Being connected to Slack, both ways, and starting and stopping."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from http.client import HTTPConnection as Client
from importlib.resources import files
from pathlib import Path

import pytest

from bot.errors import ConfigurationError
from bot.slack.app import SlackDependencies, identify, make_client
from bot.slack.serve import HEALTH_PATH, HttpConnection, check_settings, serve
from tests.slack_parts import (
    ScriptedAnswerer,
    knowledge_in,
    make_database,
    running_bot,
    settings_for,
)
from tests.slack_server import BOT_SCOPES, SlackServer


def dependencies(slack: SlackServer, folder: Path) -> SlackDependencies:
    database = make_database(folder)
    return SlackDependencies(
        settings=settings_for(slack),
        answerer=ScriptedAnswerer(database),
        knowledge=knowledge_in(folder, database),
        database=database,
    )


def ask(slack: SlackServer, question: str) -> str:
    """Ask in a direct message and wait for the answer."""
    user = slack.add_user("asker")
    sent = slack.direct_message(user, question)
    [answer] = slack.wait_for(lambda: slack.thread(slack.dm(user), sent.ts)[1:])
    return answer.plain


def get(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    client = Client("127.0.0.1", port, timeout=10)
    try:
        client.request(method, path, body, dict(headers or {}))
        response = client.getresponse()
        return response.status, response.read()
    finally:
        client.close()


def test_socket_mode_answers_and_survives_new_connections(tmp_path: Path) -> None:
    with SlackServer() as slack, running_bot(slack, tmp_path, http=False):
        assert "*sixteen weeks*" in ask(slack, "One?")
        slack.announce_disconnect()
        slack.wait_for(lambda: slack.socket_mode.total >= 2)
        slack.wait_connected()
        assert "*sixteen weeks*" in ask(slack, "Two?")
        before = slack.socket_mode.total
        slack.drop_connections()
        slack.wait_for(lambda: slack.socket_mode.total > before, timeout=30)
        slack.wait_connected()
        assert "*sixteen weeks*" in ask(slack, "Three?")


def test_http_wants_slacks_signature(tmp_path: Path) -> None:
    with SlackServer() as slack, running_bot(slack, tmp_path) as bot:
        assert slack.verify_endpoint()
        assert "*sixteen weeks*" in ask(slack, "One?")
        event = {"type": "url_verification", "challenge": "x"}
        assert slack.post_to_endpoint(event, age=3600).status == 401
        assert isinstance(bot.connection, HttpConnection)
        port = bot.connection.port
        forged = json.dumps(event).encode()
        assert get(port, "POST", "/slack/events", forged)[0] == 401


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b"payload=%7B", b"[]", b'{"event": 1}', b"[" * 9999]
)
def test_http_refuses_what_is_no_request_of_slacks(
    tmp_path: Path, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with SlackServer() as slack, running_bot(slack, tmp_path) as bot:
        assert isinstance(bot.connection, HttpConnection)
        for content_type in ("application/json", "application/x-www-form-urlencoded"):
            port = bot.connection.port
            status = get(port, "POST", "/slack/events", body, {"Content-Type": content_type})[0]
            assert status in (400, 401)
        assert "*sixteen weeks*" in ask(slack, "One?")
    assert "Traceback" not in caplog.text


def test_http_tells_its_health_and_nothing_else(tmp_path: Path) -> None:
    with SlackServer() as slack, running_bot(slack, tmp_path) as bot:
        assert isinstance(bot.connection, HttpConnection)
        port = bot.connection.port
        assert get(port, "GET", HEALTH_PATH) == (200, b'{"status": "ok"}')
        assert get(port, "HEAD", HEALTH_PATH) == (200, b"")
        for method, path in (
            ("GET", "/"),
            ("GET", "/slack/events"),
            ("GET", "/slack/install"),
            ("POST", HEALTH_PATH),
        ):
            assert get(port, method, path)[0] == 404
        assert str(port) in bot.connection.description


def test_questions_that_were_begun_are_answered_before_the_end(tmp_path: Path) -> None:
    with SlackServer() as slack:
        mira = slack.add_user("mira")
        with running_bot(slack, tmp_path) as bot:
            bot.answerer.gate.clear()
            sent = slack.direct_message(mira, "How long is parental leave?")
            slack.wait_for(lambda: bot.answerer.asked)
            threading.Timer(0.2, bot.answerer.gate.set).start()
        assert len(slack.thread(slack.dm(mira), sent.ts)) == 2


def test_stopping_gives_up_on_a_question_that_hangs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stop, ready = threading.Event(), threading.Event()
    with SlackServer() as slack:
        deps = dependencies(slack, tmp_path)
        answerer = deps.answerer
        assert isinstance(answerer, ScriptedAnswerer)
        answerer.gate.clear()
        thread = threading.Thread(
            target=serve,
            args=[deps, stop],
            kwargs={"drain_s": 0.05, "on_ready": lambda connection: ready.set()},
        )
        thread.start()
        assert ready.wait(30)
        slack.wait_connected()
        mira = slack.add_user("mira")
        slack.direct_message(mira, "How long is parental leave?")
        slack.wait_for(lambda: answerer.asked)
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
        answerer.gate.set()
        assert deps.questions.close(30)
        deps.database.close()
    assert "work unfinished" in caplog.text


def test_stopping_does_not_wait_for_a_rate_limit(tmp_path: Path) -> None:
    stop, ready = threading.Event(), threading.Event()
    with SlackServer() as slack:
        deps = dependencies(slack, tmp_path)
        thread = threading.Thread(
            target=serve,
            args=[deps, stop],
            kwargs={"drain_s": 0.05, "on_ready": lambda connection: ready.set()},
        )
        thread.start()
        assert ready.wait(30)
        slack.wait_connected()
        slack.rate_limit("users.info", times=1, retry_after=3600)
        slack.slash_command(slack.add_user("ada", admin=True), "/kb", "status")
        slack.wait_for(lambda: slack.calls_of("users.info"))
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
        deps.database.close()


def test_an_end_that_hangs_is_cut_short() -> None:
    code = (
        "import threading, time\n"
        "from bot.cli.serve import _ending_within\n"
        "stop = threading.Event()\n"
        "with _ending_within(0.1, stop):\n"
        "    stop.set()\n"
        "    time.sleep(3600)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "the end took more than 0.1 s" in done.stderr


def test_the_start_is_logged_without_secrets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        SlackServer() as slack,
        running_bot(
            slack,
            tmp_path,
            http=False,
            variables={"SPANBOT_ADMINS": "U1,U2", "SPANBOT_REINDEX_CRON": "0 3 * * *"},
        ),
    ):
        ask(slack, "One?")
    said = [record.getMessage() for record in caplog.records if record.name == "bot.slack.serve"]
    assert any("Socket Mode" in line and "@spanbot" in line for line in said)
    assert "admins: U1, U2" in said
    assert "reindexing: 0 3 * * *" in said
    for secret in (slack.bot_token, slack.app_token, slack.signing_secret):
        assert secret not in caplog.text


def test_a_missing_token_is_named() -> None:
    with SlackServer() as slack:
        settings = settings_for(slack)
        with pytest.raises(ConfigurationError, match=r"SLACK_BOT_TOKEN is not set.*xoxb-"):
            make_client(replace(settings, slack_bot_token=None))
        with pytest.raises(ConfigurationError, match="SLACK_BOT_TOKEN is not a bot token") as info:
            make_client(replace(settings, slack_bot_token="xapp-secret"))
        assert "secret" not in str(info.value)
        with pytest.raises(
            ConfigurationError, match="neither SLACK_APP_TOKEN nor SLACK_SIGNING_SECRET"
        ):
            check_settings(replace(settings, slack_app_token=None))
        with pytest.raises(ConfigurationError, match="SLACK_APP_TOKEN is not an app-level") as info:
            check_settings(replace(settings, slack_app_token="xoxb-secret"))
        assert "secret" not in str(info.value)


def test_a_revoked_token_is_explained() -> None:
    with SlackServer() as slack:
        client = make_client(settings_for(slack))
        assert identify(client).user_id == slack.bot.id
        slack.revoke_token()
        with pytest.raises(ConfigurationError, match=r"Slack refuses SLACK_BOT_TOKEN") as info:
            identify(client)
        assert slack.bot_token not in str(info.value)


def test_slack_out_of_reach_is_explained() -> None:
    with SlackServer() as slack:
        settings = settings_for(slack)
    client = make_client(settings)
    client.retry_handlers.clear()
    with pytest.raises(ConfigurationError, match="cannot be reached"):
        identify(client)


def test_missing_scopes_are_listed() -> None:
    scopes = BOT_SCOPES - {"commands", "im:history"}
    with (
        SlackServer(scopes=scopes) as slack,
        pytest.raises(ConfigurationError, match="lacks the scopes commands, im:history"),
    ):
        identify(make_client(settings_for(slack)))


def test_scopes_that_only_admins_need_are_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    with SlackServer(scopes=BOT_SCOPES - {"files:read", "users:read"}) as slack:
        identify(make_client(settings_for(slack)))
    assert "files:read: files cannot be added" in caplog.text
    assert "users:read" in caplog.text


def test_a_refused_app_token_is_named(tmp_path: Path) -> None:
    with SlackServer() as slack:
        deps = dependencies(slack, tmp_path)
        wrong = replace(settings_for(slack), slack_app_token="xapp-1-wrong")
        with pytest.raises(ConfigurationError, match="Slack refuses SLACK_APP_TOKEN"):
            serve(replace(deps, settings=wrong), threading.Event())
        deps.database.close()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with SlackServer() as slack, running_bot(slack, tmp_path) as bot:
        assert isinstance(bot.connection, HttpConnection)
        deps = dependencies(slack, tmp_path / "..")
        taken = replace(settings_for(slack, http=True), http_port=bot.connection.port)
        with pytest.raises(ConfigurationError, match="SPANBOT_HTTP_PORT"):
            serve(replace(deps, settings=taken), threading.Event())
        deps.database.close()


def test_the_environment_of_another_app_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("CLIENT_ID", "CLIENT_SECRET", "SIGNING_SECRET", "BOT_TOKEN"):
        monkeypatch.setenv(f"SLACK_{name}", "other")
    with SlackServer() as slack, running_bot(slack, tmp_path) as bot:
        assert "*sixteen weeks*" in ask(slack, "One?")
        assert isinstance(bot.connection, HttpConnection)
        assert get(bot.connection.port, "GET", "/slack/install")[0] == 404
    assert "unused" not in caplog.text


def test_the_manifest_asks_for_what_the_bot_uses() -> None:
    manifest = json.loads((files("bot.slack") / "manifest.json").read_text(encoding="utf-8"))
    scopes = set(manifest["oauth_config"]["scopes"]["bot"])
    assert {
        "app_mentions:read",
        "chat:write",
        "commands",
        "files:read",
        "im:history",
        "users:read",
    } <= scopes
    features, settings = manifest["features"], manifest["settings"]
    assert [command["command"] for command in features["slash_commands"]] == ["/ask", "/kb"]
    assert settings["event_subscriptions"]["bot_events"] == ["app_mention", "message.im"]
    assert settings["socket_mode_enabled"]
    assert settings["interactivity"]["is_enabled"]
    assert features["app_home"]["messages_tab_enabled"]
    assert not features["app_home"]["messages_tab_read_only_enabled"]
    assert len(manifest["display_information"]["description"]) <= 140


def test_the_manifests_scopes_and_events_are_enough(tmp_path: Path) -> None:
    manifest = json.loads((files("bot.slack") / "manifest.json").read_text(encoding="utf-8"))
    scopes = manifest["oauth_config"]["scopes"]["bot"]
    events = manifest["settings"]["event_subscriptions"]["bot_events"]
    with (
        SlackServer(scopes=scopes, events=events) as slack,
        running_bot(slack, tmp_path, http=False),
    ):
        mira = slack.add_user("mira", admin=True)
        general = slack.add_channel("general", mira)
        sent = slack.mention(mira, general, "How long?")
        slack.wait_for(lambda: slack.thread(general, sent.ts)[1:])
        assert "*sixteen weeks*" in ask(slack, "How long?")
        slack.slash_command(mira, "/kb", "upload")
        slack.wait_for(lambda: slack.views)
        refused = [call for call in slack.calls if call.error]
        assert refused == []
