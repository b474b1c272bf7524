"""The tests' Slack server, proved with Slack's own clients: slack_sdk, Bolt and Socket Mode."""

import json
import logging
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeAlias
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from slack_bolt import App
from slack_bolt.adapter.socket_mode.websocket_client import SocketModeHandler
from slack_bolt.adapter.wsgi import SlackRequestHandler
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from slack_sdk.models.blocks import (
    ContextActionsBlock,
    FeedbackButtonObject,
    FeedbackButtonsElement,
    InputBlock,
)
from slack_sdk.models.blocks.block_elements import FileInputElement, PlainTextInputElement
from slack_sdk.models.views import View as SdkView
from slack_sdk.webhook import WebhookClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.slack_server import (
    SlackServer,
    User,
    close_handler,
    message_errors,
    mrkdwn_text,
    pings,
    plain_text,
    text_length,
    view_errors,
)

Json: TypeAlias = dict[str, Any]
Setup: TypeAlias = Callable[[App], None]
Mode: TypeAlias = Callable[[SlackServer, Setup], AbstractContextManager[App]]


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


@pytest.fixture
def mira(slack: SlackServer) -> User:
    return slack.add_user("mira", admin=True)


def client_of(slack: SlackServer, token: str | None = None) -> WebClient:
    return WebClient(token=token or slack.bot_token, base_url=slack.api_url)


def bolt_app(slack: SlackServer, setup: Setup) -> App:
    app = App(
        client=client_of(slack),
        signing_secret=slack.signing_secret,
        raise_error_for_unhandled_request=False,
    )
    # Bolt logs each event that no listener takes; here most events are such.
    app.logger.setLevel(logging.CRITICAL)
    setup(app)
    return app


@contextmanager
def over_socket(slack: SlackServer, setup: Setup) -> Iterator[App]:
    app = bolt_app(slack, setup)
    with ExitStack() as stack:
        executor = app.listener_runner.listener_executor
        stack.callback(executor.shutdown)
        handler = SocketModeHandler(app, slack.app_token)
        stack.callback(close_handler, slack, handler)
        handler.connect()  # type: ignore[no-untyped-call]
        slack.wait_connected()
        yield app


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def over_http(slack: SlackServer, setup: Setup) -> Iterator[App]:
    app = bolt_app(slack, setup)
    server = make_server("127.0.0.1", 0, SlackRequestHandler(app), handler_class=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    slack.http_endpoint = (
        f"http://127.0.0.1:{server.server_port}/slack/events",
        slack.signing_secret,
    )
    try:
        yield app
    finally:
        slack.http_endpoint = None
        server.shutdown()
        thread.join()
        server.server_close()
        app.listener_runner.listener_executor.shutdown()


@pytest.fixture(params=[over_socket, over_http])
def mode(request: pytest.FixtureRequest) -> Mode:
    return request.param  # type: ignore[no-any-return]


def error_of(call: Callable[[], object]) -> Json:
    """The answer that the call is refused with."""
    with pytest.raises(SlackApiError) as caught:
        call()
    return dict(caught.value.response.data)


def section(text: str, **more: object) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def button(action_id: str = "go", **more: object) -> Json:
    text = {"type": "plain_text", "text": "Go"}
    return {"type": "button", "action_id": action_id, "text": text, **more}


def modal(*blocks: Json, **more: object) -> Json:
    title = {"type": "plain_text", "text": "Add a document"}
    submit = {"type": "plain_text", "text": "Add"}
    return {"type": "modal", "title": title, "submit": submit, "blocks": list(blocks), **more}


def file_modal(**more: object) -> Json:
    element = FileInputElement(action_id="files", filetypes=["md", "pdf"], max_files=2)
    title = PlainTextInputElement(action_id="text")
    view = SdkView(
        type="modal",
        title="Add a document",
        submit="Add",
        callback_id="add",
        blocks=[
            InputBlock(block_id="title", label="Title", element=title, optional=True),
            InputBlock(block_id="files", label="Files", element=element),
        ],
    )
    return {**view.to_dict(), **more}


# -- tokens, scopes, arguments ---------------------------------------------------------------------


def test_auth_test_names_the_bot(slack: SlackServer) -> None:
    answer = client_of(slack).auth_test()
    assert answer["user_id"] == slack.bot.id
    assert answer["bot_id"] == slack.bot.bot_id
    assert "chat:write" in answer.headers["x-oauth-scopes"].split(",")


def test_a_missing_and_an_unknown_token_are_refused(slack: SlackServer) -> None:
    no_token = WebClient(base_url=slack.api_url)
    assert error_of(no_token.auth_test)["error"] == "not_authed"
    assert error_of(client_of(slack, "xoxb-other").auth_test)["error"] == "invalid_auth"
    slack.revoke_token()
    assert error_of(client_of(slack).auth_test)["error"] == "invalid_auth"


def test_a_missing_scope_is_named(slack: SlackServer, mira: User) -> None:
    slack.revoke("users:read")
    answer = error_of(lambda: client_of(slack).users_info(user=mira.id))
    assert answer["error"] == "missing_scope"
    assert answer["needed"] == "users:read"
    assert "chat:write" in answer["provided"].split(",")
    slack.grant("users:read")
    assert client_of(slack).users_info(user=mira.id)["user"]["is_admin"] is True


def test_socket_mode_wants_the_app_token(slack: SlackServer) -> None:
    client = WebClient(base_url=slack.api_url)
    refused = error_of(lambda: client.apps_connections_open(app_token=slack.bot_token))
    assert refused["error"] == "not_allowed_token_type"
    assert client.apps_connections_open(app_token=slack.app_token)["url"].startswith("ws://")
    refused = error_of(
        lambda: client_of(slack, slack.app_token).chat_postMessage(channel="C", text="x")
    )
    assert refused["error"] == "not_allowed_token_type"


def test_methods_that_read_take_no_json(slack: SlackServer, mira: User) -> None:
    refused = error_of(lambda: client_of(slack).api_call("users.info", json={"user": mira.id}))
    assert refused["error"] == "invalid_arguments"


def test_unknown_methods_missing_arguments_and_unknown_people(slack: SlackServer) -> None:
    client = client_of(slack)
    assert error_of(lambda: client.api_call("files.upload"))["error"] == "unknown_method"
    assert error_of(lambda: client.users_info(user="U404"))["error"] == "user_not_found"
    assert error_of(lambda: client.conversations_open(users="U404"))["error"] == "user_not_found"
    refused = error_of(lambda: client.api_call("chat.postMessage", json={"text": "x"}))
    assert refused["response_metadata"]["messages"] == ["[ERROR] missing required field: channel"]


def test_calls_are_recorded_without_the_token(slack: SlackServer, mira: User) -> None:
    client_of(slack).users_info(user=mira.id)
    [call] = slack.calls_of("users.info")
    assert call.arguments["user"] == mira.id
    assert "token" not in call.arguments
    assert call.error is None


# -- messages --------------------------------------------------------------------------------------


def test_messages_form_threads_and_reach_direct_messages(slack: SlackServer, mira: User) -> None:
    client = client_of(slack)
    general = slack.add_channel("general", mira)
    parent = client.chat_postMessage(channel="#general", text="one")
    reply = client.chat_postMessage(channel=general.id, text="two", thread_ts=parent["ts"])
    assert [message.text for message in slack.thread(general, parent["ts"])] == ["one", "two"]
    assert reply["message"]["thread_ts"] == parent["ts"]
    found = client.conversations_replies(channel=general.id, ts=parent["ts"])
    assert [message["text"] for message in found["messages"]] == ["one", "two"]

    private = client.chat_postMessage(channel=mira.id, text="psst")
    assert (
        private["channel"]
        == slack.dm(mira).id
        == client.conversations_open(users=mira.id)["channel"]["id"]
    )


def test_channels_are_closed_to_outsiders(slack: SlackServer, mira: User) -> None:
    client = client_of(slack)
    slack.add_channel("lounge", mira, with_bot=False)
    slack.add_channel("board", mira, private=True, with_bot=False)
    archive = slack.add_channel("archive", mira)
    archive.is_archived = True
    slack.add_channel("news", mira).is_read_only = True
    slack.remove_bot(slack.add_channel("left", mira))
    theo = slack.add_user("theo")
    slack.deactivate(theo)

    def post(channel: str) -> str:
        return str(error_of(lambda: client.chat_postMessage(channel=channel, text="x"))["error"])

    assert post("C404") == "channel_not_found"
    assert post("#lounge") == "not_in_channel"
    assert post("#board") == "channel_not_found"
    assert post("#archive") == "is_archived"
    assert post("#news") == "restricted_action_read_only_channel"
    assert post("#left") == "not_in_channel"
    assert post(theo.id) == "channel_not_found"
    slack.grant("chat:write.public")
    assert client.chat_postMessage(channel="#lounge", text="x")["ok"]


def test_empty_messages_and_unknown_threads_are_refused(slack: SlackServer, mira: User) -> None:
    client = client_of(slack)
    general = slack.add_channel("general", mira)
    with pytest.warns(UserWarning, match="text"):
        refused = error_of(lambda: client.chat_postMessage(channel=general.id))
    assert refused["error"] == "no_text"
    refused = error_of(
        lambda: client.chat_postMessage(channel=general.id, text="x", thread_ts="1.2")
    )
    assert refused["error"] == "thread_not_found"


def test_long_messages(slack: SlackServer, mira: User) -> None:
    client = client_of(slack)
    general = slack.add_channel("general", mira)
    sent = client.chat_postMessage(channel=general.id, text="x" * 40_001)
    assert len(slack.messages(general)[0].text) == 40_000
    refused = error_of(
        lambda: client.chat_update(channel=general.id, ts=sent["ts"], text="x" * 4_001)
    )
    assert refused["error"] == "msg_too_long"
    blocks = [section("x" * 2_750)] * 4
    client.chat_postMessage(channel=general.id, text="fits", blocks=blocks)
    refused = error_of(
        lambda: client.chat_postMessage(
            channel=general.id, text="x", blocks=[*blocks, section("y")]
        )
    )
    assert refused["error"] == "msg_blocks_too_long"


def test_invalid_blocks_come_back_with_pointers(slack: SlackServer, mira: User) -> None:
    general = slack.add_channel("general", mira)
    client = client_of(slack)
    refused = error_of(
        lambda: client.chat_postMessage(channel=general.id, text="x", blocks=[section("x" * 3_001)])
    )
    assert refused["error"] == "invalid_blocks"
    assert (
        "[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]"
        in refused["response_metadata"]["messages"]
    )
    refused = error_of(lambda: client.chat_postMessage(channel=general.id, text="x", blocks="[{"))
    assert refused["error"] == "invalid_blocks_format"


def test_only_own_messages_are_changed(slack: SlackServer, mira: User) -> None:
    client = client_of(slack)
    general = slack.add_channel("general", mira)
    own = client.chat_postMessage(channel=general.id, text="draft", blocks=[section("draft")])
    client.chat_update(channel=general.id, ts=own["ts"], text="final", blocks=[section("*final*")])
    assert slack.messages(general)[0].plain == "*final*"
    hers = slack.say(mira, general, "hello")
    refused = error_of(lambda: client.chat_update(channel=general.id, ts=hers.ts, text="x"))
    assert refused["error"] == "cant_update_message"
    refused = error_of(lambda: client.chat_delete(channel=general.id, ts=hers.ts))
    assert refused["error"] == "cant_delete_message"
    refused = error_of(lambda: client.chat_update(channel=general.id, ts="1.2", text="x"))
    assert refused["error"] == "message_not_found"
    client.chat_delete(channel=general.id, ts=own["ts"])
    assert [message.text for message in slack.messages(general)] == ["hello"]


def test_ephemerals_go_to_members(slack: SlackServer, mira: User) -> None:
    client = client_of(slack)
    general = slack.add_channel("general", mira)
    client.chat_postEphemeral(channel=general.id, user=mira.id, text="only you")
    assert [(shown.user, shown.plain) for shown in slack.ephemerals] == [(mira.id, "only you")]
    noor = slack.add_user("noor")
    refused = error_of(
        lambda: client.chat_postEphemeral(channel=general.id, user=noor.id, text="x")
    )
    assert refused["error"] == "user_not_in_channel"
    assert not slack.messages(general)


def test_reactions_and_permalinks(slack: SlackServer, mira: User) -> None:
    client = client_of(slack)
    general = slack.add_channel("general", mira)
    sent = slack.say(mira, general, "hello")
    client.reactions_add(channel=general.id, timestamp=sent.ts, name="eyes")
    assert sent.message.reactions == {"eyes": {slack.bot.id}}
    again = error_of(
        lambda: client.reactions_add(channel=general.id, timestamp=sent.ts, name="eyes")
    )
    assert again["error"] == "already_reacted"
    refused = error_of(
        lambda: client.reactions_add(channel=general.id, timestamp="1.2", name="eyes")
    )
    assert refused["error"] == "message_not_found"
    link = client.chat_getPermalink(channel=general.id, message_ts=sent.ts)["permalink"]
    assert link.endswith(f"/archives/{general.id}/p{sent.ts.replace('.', '')}")


def test_conversations_info_wants_the_scope_of_its_kind(slack: SlackServer, mira: User) -> None:
    client = client_of(slack)
    board = slack.add_channel("board", mira, private=True)
    assert client.conversations_info(channel=board.id)["channel"]["is_private"] is True
    slack.revoke("groups:read")
    refused = error_of(lambda: client.conversations_info(channel=board.id))
    assert (refused["error"], refused["needed"]) == ("missing_scope", "groups:read")


def test_status_lasts_until_the_answer(slack: SlackServer, mira: User) -> None:
    client = client_of(slack)
    sent = slack.direct_message(mira, "hello")
    client.assistant_threads_setStatus(
        channel_id=sent.channel, thread_ts=sent.ts, status="is reading"
    )
    assert slack.status(sent.channel, sent.ts) == "is reading"
    client.chat_postMessage(channel=sent.channel, thread_ts=sent.ts, text="done")
    assert slack.status(sent.channel, sent.ts) == ""
    refused = error_of(
        lambda: client.assistant_threads_setStatus(
            channel_id=sent.channel, thread_ts="1.2", status="x"
        )
    )
    assert refused["error"] == "invalid_thread_ts"


def test_prompts_are_for_direct_messages(slack: SlackServer, mira: User) -> None:
    client = client_of(slack)
    prompts: list[dict[str, str]] = [{"title": "Leave", "message": "How much leave?"}]
    general = slack.add_channel("general", mira)

    def suggest(channel: str, **more: Any) -> object:
        return client.assistant_threads_setSuggestedPrompts(
            channel_id=channel, **{"prompts": prompts, **more}
        )

    suggest(slack.dm(mira).id, thread_ts="1.2")
    assert slack.prompts(mira) == []
    suggest(slack.dm(mira).id)
    assert slack.prompts(mira) == prompts
    assert error_of(lambda: suggest(general.id))["error"] == "channel_not_found"
    too_many = error_of(lambda: suggest(slack.dm(mira).id, prompts=prompts * 5))
    assert too_many["error"] == "invalid_arguments"


# -- rate limits -----------------------------------------------------------------------------------


def test_a_rate_limit_is_waited_out_by_the_handler(slack: SlackServer) -> None:
    slack.rate_limit("auth.test", times=1, retry_after=0)
    client = client_of(slack)
    client.retry_handlers = [RateLimitErrorRetryHandler(max_retry_count=2)]
    assert client.auth_test()["ok"]
    assert [call.status for call in slack.calls_of("auth.test")] == [429, 200]


def test_a_rate_limit_without_the_handler_is_an_error(slack: SlackServer) -> None:
    slack.rate_limit("auth.test", times=1, retry_after=30)
    with pytest.raises(SlackApiError) as caught:
        client_of(slack).auth_test()
    assert caught.value.response["error"] == "ratelimited"
    assert caught.value.response.headers["Retry-After"] == "30"


# -- Block Kit -------------------------------------------------------------------------------------

FEEDBACK = ContextActionsBlock(
    elements=[
        FeedbackButtonsElement(
            action_id="feedback",
            positive_button=FeedbackButtonObject(text="Helpful", value="good"),
            negative_button=FeedbackButtonObject(text="Wrong", value="bad"),
        )
    ]
).to_dict()

QUOTE: Json = {
    "type": "rich_text",
    "elements": [
        {
            "type": "rich_text_section",
            "elements": [
                {"type": "user", "user_id": "U1"},
                {"type": "text", "text": " from "},
                {"type": "link", "url": "https://x.org/a#b", "text": "Leave"},
                {"type": "emoji", "name": "wave"},
            ],
        },
        {
            "type": "rich_text_quote",
            "elements": [
                {"type": "text", "text": "You get "},
                {"type": "text", "text": "25 days", "style": {"bold": True}},
                {"type": "text", "text": ".\n<!channel> *not bold*"},
            ],
        },
        {
            "type": "rich_text_list",
            "style": "bullet",
            "elements": [
                {"type": "rich_text_section", "elements": [{"type": "text", "text": "one"}]}
            ],
        },
        {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "x = 1"}]},
    ],
}


def test_sound_blocks_pass() -> None:
    fields = [{"type": "plain_text", "text": "a", "emoji": True}]
    blocks = [
        section("hello", accessory=button(value="v", style="primary")),
        {"type": "section", "fields": fields},
        {"type": "header", "text": {"type": "plain_text", "text": "x" * 150}},
        {"type": "divider"},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "a"}] * 10},
        {"type": "actions", "elements": [button("a"), button("b", url="https://x.org")]},
        {"type": "markdown", "text": "**x**"},
        FEEDBACK,
        QUOTE,
    ]
    assert message_errors(blocks) == []


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (section(""), "must be more than 0 characters [json-pointer:/blocks/0/text/text]"),
        ({"type": "section"}, "must define either `text` or `fields` [json-pointer:/blocks/0]"),
        (
            {"type": "section", "fields": [{"type": "mrkdwn", "text": "x" * 2_001}]},
            "must be less than 2001 characters [json-pointer:/blocks/0/fields/0/text]",
        ),
        (
            {"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11},
            "no more than 10 items allowed [json-pointer:/blocks/0/fields]",
        ),
        (
            {"type": "section", "text": {"type": "mrkdwn", "text": "x", "emoji": True}},
            "invalid additional property: emoji [json-pointer:/blocks/0/text]",
        ),
        (
            section("x", colour="red"),
            "invalid additional property: colour [json-pointer:/blocks/0]",
        ),
        (section("x", accessory=None), "must provide an object [json-pointer:/blocks/0/accessory]"),
        (
            {"type": "header", "text": {"type": "plain_text", "text": "x" * 151}},
            "must be less than 151 characters [json-pointer:/blocks/0/text/text]",
        ),
        (
            {"type": "header", "text": {"type": "mrkdwn", "text": "x"}},
            "must be a valid enum value [json-pointer:/blocks/0/text/type]",
        ),
        (
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 11},
            "no more than 10 items allowed [json-pointer:/blocks/0/elements]",
        ),
        (
            {"type": "context", "elements": []},
            "no fewer than 1 items allowed [json-pointer:/blocks/0/elements]",
        ),
        (
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "x" * 3_001}]},
            "must be less than 3001 characters [json-pointer:/blocks/0/elements/0/text]",
        ),
        (
            {"type": "actions", "elements": [button(str(n)) for n in range(26)]},
            "no more than 25 items allowed [json-pointer:/blocks/0/elements]",
        ),
        (
            {"type": "actions", "elements": [button("a"), button("a")]},
            "`action_id` already exists in this block: a [json-pointer:/blocks/0]",
        ),
        (
            {"type": "actions", "elements": [button(value="x" * 2_001)]},
            "must be less than 2001 characters [json-pointer:/blocks/0/elements/0/value]",
        ),
        (
            {
                "type": "actions",
                "elements": [button(text={"type": "plain_text", "text": "x" * 76})],
            },
            "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]",
        ),
        (
            {"type": "actions", "elements": [button(url="file:///etc/motd")]},
            "must be a valid URL [json-pointer:/blocks/0/elements/0/url]",
        ),
        (
            {"type": "actions", "elements": [FEEDBACK["elements"][0]]},
            "unsupported type: feedback_buttons [json-pointer:/blocks/0/elements/0/type]",
        ),
        (
            {"type": "context_actions", "elements": [button()]},
            "unsupported type: button [json-pointer:/blocks/0/elements/0/type]",
        ),
        (
            {"type": "divider", "block_id": "x" * 256},
            "must be less than 256 characters [json-pointer:/blocks/0/block_id]",
        ),
        ({"type": "sektion"}, "unsupported type: sektion [json-pointer:/blocks/0/type]"),
        (
            {"type": "rich_text", "elements": [{"type": "text", "text": "x"}]},
            "unsupported type: text [json-pointer:/blocks/0/elements/0/type]",
        ),
        (
            {
                "type": "rich_text",
                "elements": [
                    {"type": "rich_text_quote", "elements": [{"type": "text", "text": ""}]}
                ],
            },
            "must be more than 0 characters [json-pointer:/blocks/0/elements/0/elements/0/text]",
        ),
        (
            {
                "type": "rich_text",
                "elements": [
                    {
                        "type": "rich_text_section",
                        "elements": [{"type": "text", "text": "x", "style": {"big": True}}],
                    }
                ],
            },
            "invalid additional property: big [json-pointer:/blocks/0/elements/0/elements/0/style]",
        ),
        (
            {
                "type": "rich_text",
                "elements": [{"type": "rich_text_section", "elements": [{"type": "link"}]}],
            },
            "missing required field: url [json-pointer:/blocks/0/elements/0/elements/0]",
        ),
    ],
)
def test_unsound_blocks_are_named(block: Json, error: str) -> None:
    assert error in message_errors([block])


def test_inputs_stand_in_modals_only() -> None:
    block = file_modal()["blocks"][1]
    assert view_errors(file_modal()) == []
    assert message_errors([block]) == ["unsupported type: input [json-pointer:/blocks/0/type]"]
    assert view_errors(modal(FEEDBACK)) == [
        "unsupported type: context_actions [json-pointer:/view/blocks/0/type]"
    ]


def test_limits_of_messages_and_modals() -> None:
    assert message_errors([{"type": "divider"}] * 50) == []
    assert message_errors([{"type": "divider"}] * 51) == [
        "no more than 50 items allowed [json-pointer:/blocks]"
    ]
    assert view_errors(modal(*[{"type": "divider"}] * 100)) == []
    assert view_errors(modal(*[{"type": "divider"}] * 101)) == [
        "no more than 100 items allowed [json-pointer:/view/blocks]"
    ]
    same = {"type": "divider", "block_id": "a"}
    assert message_errors([same, same]) == [
        "`block_id` already exists: a [json-pointer:/blocks/1/block_id]"
    ]


@pytest.mark.parametrize(
    ("view", "error"),
    [
        (
            modal(title={"type": "plain_text", "text": "x" * 25}),
            "must be less than 25 characters [json-pointer:/view/title/text]",
        ),
        (modal(private_metadata="x" * 3_001), "must be less than 3001 characters"),
        (modal(surprise=1), "invalid additional property: surprise [json-pointer:/view]"),
        (
            {key: value for key, value in file_modal().items() if key != "submit"},
            "missing required field: submit [json-pointer:/view]",
        ),
        ([], "must provide an object [json-pointer:/view]"),
    ],
)
def test_unsound_modals_are_named(view: object, error: str) -> None:
    assert any(error in found for found in view_errors(view))


def test_text_length_counts_all_texts() -> None:
    assert text_length([section("abc"), QUOTE]) == 3 + len(
        " fromLeave You get 25 days.\n<!channel> *not bold*onex = 1"
    )


# -- what people see -------------------------------------------------------------------------------


def test_plain_text_shows_bold_links_quotes() -> None:
    assert plain_text([QUOTE]).splitlines() == [
        "@U1 from [Leave](https://x.org/a#b):wave:",
        "> You get *25 days*.",
        "> <!channel> *not bold*",
        "• one",
        "```x = 1```",
    ]
    shown = plain_text([section("*a* &lt;b&gt; <https://x.org|c> <@U1> <!here>"), FEEDBACK])
    assert shown == "*a* <b> [c](https://x.org) @U1 @here\n(Helpful) (Wrong)"
    assert mrkdwn_text("<https://x.org>") == "[https://x.org](https://x.org)"


def test_pings_are_found_where_slack_looks() -> None:
    # Rich text elements of type text are never read as mrkdwn: only the user element alerts.
    assert pings("", [QUOTE]) == {"U1"}
    assert pings("", [section("<!channel> &lt;!here&gt; <@U2|x>")]) == {"channel", "U2"}
    assert pings("<!everyone>") == {"everyone"}
    broadcast = {"type": "broadcast", "range": "here"}
    inside = [{"type": "rich_text_section", "elements": [broadcast]}]
    assert pings("", [{"type": "rich_text", "elements": inside}]) == {"here"}


def test_typed_text_is_escaped_as_slack_does(slack: SlackServer, mira: User) -> None:
    sent = slack.direct_message(mira, "R&D <costs>, see https://x.org/a?b=1&c=2.")
    assert sent.message.text == "R&amp;D &lt;costs&gt;, see <https://x.org/a?b=1&amp;c=2>."
    assert sent.message.plain == (
        "R&D <costs>, see [https://x.org/a?b=1&c=2](https://x.org/a?b=1&c=2)."
    )


# -- files -----------------------------------------------------------------------------------------


def fetch(url: str, token: str | None) -> tuple[int, str, bytes]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
        return response.status, response.headers.get_content_type(), response.read()


def test_files_want_the_token_and_its_scope(slack: SlackServer, mira: User) -> None:
    general = slack.add_channel("general", mira)
    slack.share_file(mira, general, "notes 1.md", b"# Notes", "text/markdown")
    [message] = slack.messages(general)
    file = client_of(slack).files_info(file=message.files[0].id)["file"]
    url = file["url_private_download"].replace(" ", "%20")
    assert fetch(url, slack.bot_token) == (200, "text/markdown", b"# Notes")
    status, kind, page = fetch(url, None)
    assert (status, kind) == (200, "text/html")
    assert b"Sign in" in page
    slack.revoke("files:read")
    assert fetch(url, slack.bot_token)[1] == "text/html"
    refused = error_of(lambda: client_of(slack).files_info(file=file["id"]))
    assert refused["error"] == "missing_scope"


def test_files_of_other_channels_are_hidden(slack: SlackServer, mira: User) -> None:
    board = slack.add_channel("board", mira, private=True, with_bot=False)
    sent = slack.share_file(mira, board, "a.txt", b"a")
    refused = error_of(lambda: client_of(slack).files_info(file=sent.message.files[0].id))
    assert refused["error"] == "file_not_found"


# -- delivery, in both modes -----------------------------------------------------------------------


class Heard:
    """A minimal app: keeps what it hears, answers mentions, commands, clicks and submissions."""

    def __init__(self) -> None:
        self.events: list[Json] = []
        self.retries: list[tuple[str, str]] = []
        self.bodies: list[Json] = []

    def __call__(self, app: App) -> None:
        @app.middleware
        def keep(body: Json, request: Any, next: Callable[[], object]) -> None:
            if "x-slack-retry-num" in request.headers:
                number, reason = (
                    request.headers[f"x-slack-retry-{key}"][0] for key in ("num", "reason")
                )
                self.retries += [(number, reason)] if number != "0" else []
            if "event" in body:
                self.events.append(body)
            next()

        @app.event("app_mention")
        def mentioned(event: Json, say: Any) -> None:
            say(text="25 days", thread_ts=event["ts"], blocks=[QUOTE, FEEDBACK])

        @app.event("message")
        def message(event: Json) -> None:
            """Heard, not answered."""

        @app.event("app_home_opened")
        def opened(event: Json) -> None:
            """Heard, not answered."""

        @app.command("/ask")
        def ask(ack: Any, respond: Any, body: Json) -> None:
            ack()
            self.bodies.append(body)
            respond(text=f"you asked {body['text']}", blocks=[section("*yes*"), FEEDBACK])

        @app.command("/now")
        def now(ack: Any) -> None:
            ack("right now")

        @app.command("/add")
        def add(ack: Any, body: Json, client: WebClient) -> None:
            ack()
            client.views_open(trigger_id=body["trigger_id"], view=file_modal())

        @app.view("add")
        def added(ack: Any, body: Json) -> None:
            self.bodies.append(body)
            values = body["view"]["state"]["values"]
            if values["title"]["text"]["value"] == "bad":
                ack(response_action="errors", errors={"title": "choose another"})
            else:
                ack()

        @app.action("feedback")
        def feedback(ack: Any, body: Json, respond: Any) -> None:
            ack()
            self.bodies.append(body)
            respond(text="thank you", replace_original=False)


def test_a_mention_comes_as_two_events(slack: SlackServer, mira: User, mode: Mode) -> None:
    heard = Heard()
    general = slack.add_channel("general", mira)
    with mode(slack, heard):
        sent = slack.mention(mira, general, "How much leave & when?")
        assert {delivery.event_type for delivery in sent.deliveries} == {"app_mention", "message"}
        assert all(delivery.acknowledged for delivery in sent.deliveries)
        answer = slack.wait_for(lambda: slack.thread(general, sent.ts)[1:])[0]
        assert "> You get *25 days*." in answer.plain.splitlines()
        assert "channel" not in answer.pings
        # Slack tells the app of its own message too; Bolt keeps that from the listeners.
        slack.wait_for(lambda: len(slack.deliveries) == 3 and slack.deliveries[2].acknowledged)
        assert slack.deliveries[2].payload["event"]["bot_id"] == slack.bot.bot_id
    first, second = (body["event"] for body in heard.events[:2])
    assert first["ts"] == second["ts"]
    assert first["text"] == f"<@{slack.bot.id}> How much leave &amp; when?"
    assert {first["type"], second["type"]} == {"app_mention", "message"}
    assert heard.events[0]["event_id"] != heard.events[1]["event_id"]
    assert heard.retries == []


def test_an_event_can_come_twice(slack: SlackServer, mira: User, mode: Mode) -> None:
    heard = Heard()
    with mode(slack, heard):
        sent = slack.direct_message(mira, "hello")
        [delivery] = sent.deliveries
        assert delivery.payload["event"]["channel_type"] == "im"
        assert slack.redeliver(delivery.event_id).acknowledged
    assert [body["event_id"] for body in heard.events] == [delivery.event_id] * 2
    reason = "timeout" if mode is over_socket else "http_timeout"
    assert heard.retries == [("1", reason)]


def test_events_follow_subscription_scope_and_membership(mode: Mode) -> None:
    with SlackServer(events=["app_mention", "message.im"]) as slack:
        mira = slack.add_user("mira")
        general = slack.add_channel("general", mira)
        lounge = slack.add_channel("lounge", mira, with_bot=False)
        with mode(slack, Heard()):
            sent = slack.mention(mira, general, "hello")
            assert [delivery.event_type for delivery in sent.deliveries] == ["app_mention"]
            assert slack.mention(mira, lounge, "hello").deliveries == ()
            slack.revoke("im:history")
            assert slack.direct_message(mira, "hello").deliveries == ()
            assert slack.open_app_home(mira).acknowledged


def test_a_shared_file_is_an_event(slack: SlackServer, mira: User, mode: Mode) -> None:
    heard = Heard()
    with mode(slack, heard):
        sent = slack.share_file(mira, slack.dm(mira), "a.md", b"# A", "text/markdown", text="here")
        assert sent.event("message").acknowledged
    event = heard.events[0]["event"]
    assert event["subtype"] == "file_share"
    assert fetch(event["files"][0]["url_private"], slack.bot_token)[2] == b"# A"


def test_other_bots_and_edits_are_events_too(slack: SlackServer, mira: User, mode: Mode) -> None:
    heard = Heard()
    other = slack.add_user("otherbot", bot=True)
    general = slack.add_channel("general", mira, other)
    with mode(slack, heard):
        said = slack.say(other, general, "beep")
        assert said.event("message").payload["event"]["bot_id"] == other.bot_id
        hers = slack.say(mira, general, "hello")
        edit = slack.edit(hers.message, "hello again")
        [change] = edit.deliveries
        assert change.payload["event"]["subtype"] == "message_changed"
        assert change.acknowledged


def test_an_edit_that_mentions_the_bot_is_a_mention(
    slack: SlackServer, mira: User, mode: Mode
) -> None:
    heard = Heard()
    general = slack.add_channel("general", mira)
    with mode(slack, heard):
        for text in ("hello", f"<@{slack.bot.id}> hello"):
            said = slack.say(mira, general, text)
            edit = slack.edit(said.message, f"<@{slack.bot.id}> hello again", days=2)
            assert {delivery.event_type for delivery in edit.deliveries} == {
                "app_mention",
                "message",
            }
            event = edit.event("app_mention").payload["event"]
            assert event["ts"] == said.ts
            assert float(event["edited"]["ts"]) - float(said.ts) > 2 * 86_400
        written = slack.direct_message(mira, "hello")
        edit = slack.edit(written.message, f"<@{slack.bot.id}> hello again")
        assert [delivery.event_type for delivery in edit.deliveries] == ["message"]


def test_a_command_is_answered_by_its_response_url(
    slack: SlackServer, mira: User, mode: Mode
) -> None:
    heard = Heard()
    general = slack.add_channel("general", mira)
    with mode(slack, heard):
        interaction = slack.slash_command(mira, "/ask", "why?", general)
        assert interaction.delivery.acknowledged
        [response] = slack.wait_for(lambda: slack.responses)
        assert (response.via, response.text, response.plain) == (
            "response_url",
            "you asked why?",
            "*yes*\n(Helpful) (Wrong)",
        )
        assert not response.in_channel

        click = slack.click(mira, response, "feedback", value="good")
        assert click.delivery.acknowledged
        slack.wait_for(lambda: len(slack.responses) == 2)
        direct = slack.slash_command(mira, "/now")
        assert direct.answer
        assert slack.responses[2].via == "ack"
        assert slack.responses[2].text == "right now"
    command, clicked = heard.bodies
    assert command["channel_id"] == general.id
    assert command["user_name"] == "mira"
    assert clicked["actions"][0]["value"] == "good"
    assert clicked["container"]["is_ephemeral"] is True


def test_a_click_on_a_message(slack: SlackServer, mira: User, mode: Mode) -> None:
    heard = Heard()
    general = slack.add_channel("general", mira)
    with mode(slack, heard):
        sent = slack.mention(mira, general, "leave?")
        answer = slack.wait_for(lambda: slack.thread(general, sent.ts)[1:])[0]
        with pytest.raises(ValueError, match="no button"):
            slack.click(mira, answer, "feedback", value="middling")
        assert slack.click(mira, answer, "feedback", value="bad").delivery.acknowledged
        slack.wait_for(lambda: slack.responses)
    [clicked] = heard.bodies
    assert clicked["message"]["ts"] == clicked["container"]["message_ts"] == answer.ts
    assert clicked["actions"][0]["type"] == "feedback_buttons"


def test_a_modal_is_opened_and_submitted(slack: SlackServer, mira: User, mode: Mode) -> None:
    heard = Heard()
    with mode(slack, heard):
        slack.slash_command(mira, "/add")
        [view] = slack.wait_for(lambda: slack.views)
        assert view.user == mira.id
        notes = slack.upload(mira, "notes.md", b"# Notes", "text/markdown")
        with pytest.raises(ValueError, match="required"):
            slack.submit_view(view, {"files": []})
        with pytest.raises(ValueError, match="only"):
            slack.submit_view(view, {"files": [slack.upload(mira, "a.exe", b"MZ")]})
        with pytest.raises(ValueError, match="at most 2"):
            slack.submit_view(view, {"files": [notes] * 3})
        with pytest.raises(ValueError, match="no inputs"):
            slack.submit_view(view, {"file": [notes]})

        slack.submit_view(view, {"title": "bad", "files": [notes]})
        assert view.is_open
        assert view.errors == {"title": "choose another"}
        slack.submit_view(view, {"title": None, "files": [notes]})
        assert slack.views == []
    values = heard.bodies[-1]["view"]["state"]["values"]
    assert values["title"]["text"]["value"] is None
    [file] = values["files"]["files"]["files"]
    assert fetch(file["url_private_download"], slack.bot_token)[2] == b"# Notes"


# -- modals and response_urls at their limits ------------------------------------------------------


def test_triggers_open_one_modal_in_time(slack: SlackServer, mira: User) -> None:
    client = client_of(slack)
    trigger = slack.workspace.new_trigger(mira.id).id

    def open_modal(trigger_id: str, view: Json) -> str:
        return str(error_of(lambda: client.views_open(trigger_id=trigger_id, view=view))["error"])

    assert open_modal(trigger, modal(section(""))) == "invalid_arguments"
    assert open_modal(trigger, modal(private_metadata="x" * 250_000)) == "view_too_large"
    assert open_modal("x", modal()) == "invalid_trigger_id"
    assert open_modal("1.2.3", modal()) == "expired_trigger_id"
    opened = client.views_open(trigger_id=trigger, view=modal(section("one")))["view"]
    assert open_modal(trigger, modal()) == "exchanged_trigger_id"
    late = slack.workspace.new_trigger(mira.id).id
    slack.expire_triggers()
    assert open_modal(late, modal()) == "expired_trigger_id"

    client.views_update(view_id=opened["id"], hash=opened["hash"], view=modal(section("two")))
    assert slack.views[0].plain == "two"
    refused = error_of(
        lambda: client.views_update(view_id=opened["id"], hash=opened["hash"], view=modal())
    )
    assert refused["error"] == "hash_conflict"
    assert (
        error_of(lambda: client.views_update(view_id="V404", view=modal()))["error"] == "not_found"
    )


def test_file_inputs_want_files_read(slack: SlackServer, mira: User) -> None:
    slack.revoke("files:read")
    trigger = slack.workspace.new_trigger(mira.id).id
    refused = error_of(lambda: client_of(slack).views_open(trigger_id=trigger, view=file_modal()))
    assert (refused["error"], refused["needed"]) == ("missing_scope", "files:read")


def test_a_response_url_serves_five_times(slack: SlackServer, mira: User) -> None:
    general = slack.add_channel("general", mira)
    place = slack.slash_command(mira, "/ask", "x", general).response_url
    assert place is not None
    hook = WebhookClient(slack.response_address(place))
    refused = hook.send(text="")
    assert (refused.status_code, json.loads(refused.body)["error"]) == (400, "no_text")
    refused = hook.send(text="x", blocks=[section("x" * 3_001)])
    assert (refused.status_code, json.loads(refused.body)["error"]) == (400, "invalid_blocks")
    # More text than a message may have is fine here.
    assert hook.send(text="x", blocks=[section("x" * 2_900)] * 5).body == "ok"
    assert hook.send(text="all", response_type="in_channel").body == "ok"
    assert [message.text for message in slack.messages(general)] == ["all"]
    for _ in range(3):
        assert hook.send(text="again").status_code == 200
    refused = hook.send(text="once more")
    assert (refused.status_code, json.loads(refused.body)["error"]) == (404, "used_url")
    assert [response.error for response in slack.responses].count(None) == 5

    other = slack.slash_command(mira, "/ask", "x", general).response_url
    assert other is not None
    slack.expire_response_urls()
    refused = WebhookClient(slack.response_address(other)).send(text="late")
    assert json.loads(refused.body)["error"] == "expired_url"
    slack.rate_limit("response_url", retry_after=7)
    limited = WebhookClient(slack.response_address(other)).send(text="late")
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "7")


def test_a_response_url_replaces_and_deletes_the_clicked_message(
    slack: SlackServer, mira: User
) -> None:
    general = slack.add_channel("general", mira)
    blocks = [{"type": "actions", "elements": [button()]}]
    client_of(slack).chat_postMessage(channel=general.id, text="choose", blocks=blocks)
    [message] = slack.messages(general)
    place = slack.click(mira, message, "go").response_url
    assert place is not None
    hook = WebhookClient(slack.response_address(place))
    hook.send(text="chosen", blocks=[section("chosen")], replace_original=True)
    assert slack.messages(general)[0].plain == "chosen"
    hook.send(delete_original=True)
    assert slack.messages(general) == []


def test_commands_want_their_scope(slack: SlackServer, mira: User) -> None:
    slack.revoke("commands")
    with pytest.raises(ValueError, match="scope commands"):
        slack.slash_command(mira, "/ask")


# -- Socket Mode -----------------------------------------------------------------------------------


def open_socket(slack: SlackServer) -> str:
    client = WebClient(base_url=slack.api_url)
    return str(client.apps_connections_open(app_token=slack.app_token)["url"])


def test_an_unacknowledged_event_comes_again() -> None:
    with SlackServer(ack_timeout=0.2, retries=2) as slack:
        mira = slack.add_user("mira")
        with connect(open_socket(slack)) as socket:
            hello = json.loads(socket.recv())
            assert hello["type"] == "hello"
            assert hello["connection_info"] == {"app_id": slack.workspace.app_id}
            slack.wait_connected()
            sent = slack.direct_message(mira, "hello")
            envelopes = [json.loads(socket.recv()) for _ in range(3)]
        [delivery] = sent.deliveries
        assert not delivery.acknowledged
        assert [attempt.failure for attempt in delivery.attempts] == ["timeout"] * 3
        assert [envelope["retry_attempt"] for envelope in envelopes] == [0, 1, 2]
        assert [envelope["retry_reason"] for envelope in envelopes] == ["", "timeout", "timeout"]
        assert len({envelope["envelope_id"] for envelope in envelopes}) == 3
        assert {envelope["payload"]["event_id"] for envelope in envelopes} == {delivery.event_id}


def test_commands_come_once_and_late_acknowledgements_count_for_nothing() -> None:
    with SlackServer(ack_timeout=0.2) as slack:
        mira = slack.add_user("mira")
        with connect(open_socket(slack)) as socket:
            socket.recv()
            slack.wait_connected()
            interaction = slack.slash_command(mira, "/ask", "x")
            envelope = json.loads(socket.recv())
            assert envelope["accepts_response_payload"] is True
            assert envelope["payload"]["command"] == "/ask"
            socket.send(
                json.dumps({"envelope_id": envelope["envelope_id"], "payload": {"text": "late"}})
            )
            slack.wait_for(lambda: slack.socket_mode.late)
        assert len(interaction.delivery.attempts) == 1
        assert not interaction.delivery.acknowledged
        assert slack.responses == []


def test_an_address_serves_once(slack: SlackServer) -> None:
    address = open_socket(slack)
    with connect(address) as socket:
        socket.recv()
        with pytest.raises(InvalidStatus), connect(address):
            pass


def test_nonsense_from_the_app_fails_the_test() -> None:
    slack = SlackServer()
    with connect(open_socket(slack)) as socket:
        socket.recv()
        socket.send("nonsense")
        slack.wait_for(lambda: slack.socket_mode.problems)
    with pytest.raises(AssertionError, match="not an acknowledgement"), slack:
        """Leaving it tells."""


def test_the_app_connects_anew_when_told(slack: SlackServer, mira: User) -> None:
    heard = Heard()
    with over_socket(slack, heard):
        slack.announce_disconnect()
        slack.wait_for(lambda: slack.socket_mode.total >= 2)
        slack.wait_connected()
        [delivery] = slack.direct_message(mira, "still there?").deliveries
        assert delivery.acknowledged
    assert {body["event_id"] for body in heard.events} == {delivery.event_id}


def test_the_app_connects_anew_after_a_broken_connection(slack: SlackServer, mira: User) -> None:
    with over_socket(slack, Heard()):
        slack.drop_connections()
        slack.wait_for(lambda: slack.socket_mode.total >= 2)
        slack.wait_connected()
        assert slack.direct_message(mira, "still there?").deliveries[0].acknowledged


# -- HTTP ------------------------------------------------------------------------------------------


def test_the_request_url_is_verified_and_signed(slack: SlackServer) -> None:
    with over_http(slack, Heard()):
        assert slack.verify_endpoint()
        event = {"type": "url_verification", "challenge": "x"}
        assert slack.post_to_endpoint(event, age=600).status == 401
        url = slack.http_endpoint[0] if slack.http_endpoint else ""
        slack.http_endpoint = (url, "another secret")
        assert slack.post_to_endpoint(event).status == 401


def test_an_http_error_brings_the_event_again(slack: SlackServer, mira: User) -> None:
    class Failing(Heard):
        def __call__(self, app: App) -> None:
            super().__call__(app)

            @app.middleware
            def fail_first(next: Callable[[], object]) -> None:
                if len(self.events) == 1:
                    raise RuntimeError("first delivery fails")
                next()

    heard = Failing()
    with over_http(slack, heard):
        [delivery] = slack.direct_message(mira, "hello").deliveries
    assert [attempt.status for attempt in delivery.attempts] == [500, 200]
    assert heard.retries == [("1", "http_error")]


def test_an_unreachable_request_url(slack: SlackServer, mira: User) -> None:
    slack.http_endpoint = ("http://127.0.0.1:9/slack/events", slack.signing_secret)
    [delivery] = slack.direct_message(mira, "hello").deliveries
    assert [attempt.failure for attempt in delivery.attempts] == ["connection_failed"] * 4
    assert [attempt.reason for attempt in delivery.attempts] == [None, *["connection_failed"] * 3]


# -- waiting ---------------------------------------------------------------------------------------


def test_waiting_in_vain_names_the_calls(slack: SlackServer) -> None:
    client_of(slack).auth_test()
    with pytest.raises(AssertionError, match=r"auth\.test ok"):
        slack.wait_for(lambda: False, timeout=0.05)
