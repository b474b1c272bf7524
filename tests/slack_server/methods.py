"""The Web API's methods: each checks token, scope, arguments and membership as Slack does.

Errors and scopes are those of Slack's method reference (docs.slack.dev/reference/methods). A method
of Slack's that is not here answers ``unknown_method``.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from secrets import token_hex
from typing import Final

from . import blocks as block_kit
from .blocks import Json
from .workspace import Call, Channel, Ephemeral, Message, Scopes, View, Workspace

# Longer texts are cut off by chat.postMessage and refused by chat.update.
POST_TEXT: Final = 40_000
UPDATE_TEXT: Final = 4_000
MARKDOWN_TEXT: Final = 12_000

_READ: Final = {"channel": "channels:read", "group": "groups:read", "im": "im:read"}
_HISTORY: Final = {"channel": "channels:history", "group": "groups:history", "im": "im:history"}


class ApiError(Exception):
    """What Slack answers with ``"ok": false``; ``fields`` stand beside the error in the answer."""

    def __init__(self, error: str, messages: Sequence[str] = (), **fields: object) -> None:
        super().__init__(error)
        self.answer: Json = {"ok": False, "error": error, **fields}
        if messages:
            self.answer["response_metadata"] = {
                "messages": [f"[ERROR] {text}" for text in messages]
            }


@dataclass(frozen=True, slots=True)
class Method:
    """``scopes``: one of them is enough. ``json``: takes JSON bodies; all take form-encoded ones.

    ``token`` is the prefix of the kind of token it wants.
    """

    run: "Callable[[WebApi, Json], Json]"
    scopes: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    json: bool = True
    token: str = "xoxb-"


class WebApi:
    """Answers calls against a workspace.

    ``posted`` and ``changed`` are told of the bot's own messages, because Slack sends the app
    events about these too. ``open_socket`` gives the address of a new Socket Mode connection.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        base_url: str,
        open_socket: Callable[[], str],
        posted: Callable[[Message], None],
        altered: Callable[[Message, str], None],
    ) -> None:
        self.workspace = workspace
        self.base_url = base_url
        self._open_socket = open_socket
        self._posted = posted
        self._altered = altered
        self._limits: dict[str, tuple[int, int]] = {}

    def rate_limit(self, method: str, times: int, retry_after: int) -> None:
        with self.workspace.changed:
            self._limits[method] = (times, retry_after)

    def limited(self, method: str) -> int | None:
        """Seconds to wait if this call is one too many; it counts as one of the limited calls."""
        with self.workspace.changed:
            times, retry_after = self._limits.get(method, (0, 0))
            if times <= 0:
                return None
            self._limits[method] = (times - 1, retry_after)
            return retry_after

    def call(self, method: str, arguments: Json, token: str | None, *, is_json: bool) -> Call:
        """Runs the method and records the call."""
        with self.workspace.changed:
            retry_after = self.limited(method)
            if retry_after is not None:
                answer: Json = {"ok": False, "error": "ratelimited"}
            else:
                try:
                    answer = {"ok": True, **self._run(method, arguments, token, is_json)}
                except ApiError as error:
                    answer = error.answer
            call = Call(method, arguments, deepcopy(answer), retry_after)
            self.workspace.calls.append(call)
            self.workspace.changed.notify_all()
            return call

    def _run(self, name: str, arguments: Json, token: str | None, is_json: bool) -> Json:
        method = METHODS.get(name)
        if method is None:
            raise ApiError("unknown_method", req_method=name)
        scopes = self.scopes(token)
        if not (token or "").startswith(method.token):
            raise ApiError("not_allowed_token_type")
        if method.scopes and not scopes.intersection(method.scopes):
            raise _missing_scope(method.scopes, scopes)
        if is_json and not method.json:
            raise ApiError(
                "invalid_arguments", ["this method takes form-encoded arguments, not JSON"]
            )
        missing = [key for key in method.required if arguments.get(key) in (None, "")]
        if missing:
            raise ApiError(
                "invalid_arguments", [f"missing required field: {key}" for key in missing]
            )
        return method.run(self, {**arguments, "token": token})

    def scopes(self, token: str | None) -> Scopes:
        """The token's scopes; raises ApiError if there is none or Slack does not know it."""
        if not token:
            raise ApiError("not_authed")
        if token not in self.workspace.tokens:
            raise ApiError("invalid_auth")
        return self.workspace.tokens[token]

    def _need(self, arguments: Json, scope: str) -> None:
        scopes = self.workspace.tokens[arguments["token"]]
        if scope not in scopes:
            raise _missing_scope((scope,), scopes)

    # -- conversations -----------------------------------------------------------------------

    def _visible(self, name: object) -> Channel:
        """The channel, if the bot may know of it: private ones only from inside."""
        channel = self.workspace.channel_named(str(name))
        if channel is None or (
            channel.kind != "channel" and self.workspace.bot.id not in channel.members
        ):
            raise ApiError("channel_not_found")
        return channel

    def _target(self, arguments: Json) -> Channel:
        """Where a message may go: a channel with the bot in it, or a user's direct messages."""
        name = str(arguments["channel"])
        user = self.workspace.users.get(name)
        if user is not None:
            if user.is_bot or user.deleted:
                raise ApiError("channel_not_found")
            return self.workspace.dm(user.id)
        channel = self._visible(name)
        if channel.is_archived:
            raise ApiError("is_archived")
        public = "chat:write.public" in self.workspace.tokens[arguments["token"]]
        if self.workspace.bot.id not in channel.members and not public:
            raise ApiError("not_in_channel")
        if channel.is_read_only:
            raise ApiError("restricted_action_read_only_channel")
        return channel

    def conversations_info(self, arguments: Json) -> Json:
        channel = self._visible(arguments["channel"])
        self._need(arguments, _READ[channel.kind])
        return {"channel": self.workspace.channel_json(channel)}

    def conversations_open(self, arguments: Json) -> Json:
        name = str(arguments["users"])
        user = self.workspace.users.get(name)
        if user is None:
            raise ApiError("user_not_found")
        if user.is_bot:
            raise ApiError("cannot_dm_bot")
        channel = self.workspace.dm(user.id)
        full = str(arguments.get("return_im", "")).lower() in ("true", "1")
        return {"channel": self.workspace.channel_json(channel) if full else {"id": channel.id}}

    def conversations_replies(self, arguments: Json) -> Json:
        channel = self._visible(arguments["channel"])
        self._need(arguments, _HISTORY[channel.kind])
        if self.workspace.bot.id not in channel.members:
            raise ApiError("not_in_channel")
        found = self.workspace.thread(channel.id, str(arguments["ts"]))
        if not found:
            raise ApiError("thread_not_found")
        messages = [self.workspace.message_json(message, self.base_url) for message in found]
        if len(messages) > 1:
            messages[0] |= {"thread_ts": found[0].ts, "reply_count": len(messages) - 1}
        return {"messages": messages, "has_more": False}

    # -- chat --------------------------------------------------------------------------------

    def chat_post_message(self, arguments: Json) -> Json:
        channel = self._target(arguments)
        text, blocks = self._content(arguments)
        thread_ts = self._thread(channel, arguments)
        message = self._store(channel, text[:POST_TEXT], blocks, thread_ts, arguments)
        return {
            "channel": channel.id,
            "ts": message.ts,
            "message": self.workspace.message_json(message, self.base_url),
        }

    def store(self, channel: Channel, payload: Json, thread_ts: str | None) -> Message:
        """A message of the bot's that came by a response_url, already checked."""
        blocks = list(payload.get("blocks") or ())
        return self._store(channel, str(payload.get("text") or ""), blocks, thread_ts, payload)

    def _store(
        self,
        channel: Channel,
        text: str,
        blocks: list[Json],
        thread_ts: str | None,
        arguments: Json,
    ) -> Message:
        space = self.workspace
        message = Message(
            ts=space.next_ts(),
            channel=channel.id,
            user=space.bot.id,
            text=text,
            blocks=space.with_ids(blocks),
            thread_ts=thread_ts,
            bot_id=space.bot.bot_id,
            arguments={key: value for key, value in arguments.items() if key != "token"},
        )
        space.messages.append(message)
        # A message in the thread ends the bot's status there.
        space.statuses.pop((channel.id, thread_ts or message.ts), None)
        self._posted(message)
        return message

    def _thread(self, channel: Channel, arguments: Json) -> str | None:
        """The thread to post in. A reply's time is refused: Slack takes it, and nobody sees it."""
        ts = arguments.get("thread_ts")
        if ts is None:
            return None
        parent = self.workspace.message(channel.id, str(ts))
        if parent is None or parent.thread_ts not in (None, parent.ts):
            raise ApiError("thread_not_found")
        return parent.ts

    def _content(self, arguments: Json) -> tuple[str, list[Json]]:
        """Text and blocks of a message; raises ApiError for what Slack would not post."""
        text = str(arguments.get("text") or "")
        blocks = parse_blocks(arguments.get("blocks"))
        markdown = arguments.get("markdown_text")
        if markdown:
            if text or blocks:
                raise ApiError("markdown_text_conflict")
            if len(str(markdown)) > MARKDOWN_TEXT:
                raise ApiError("msg_too_long")
            blocks = [{"type": "markdown", "text": str(markdown)}]
        if block_kit.text_length(blocks) > block_kit.MESSAGE_TEXT:
            raise ApiError("msg_blocks_too_long")
        if not text and not blocks and not arguments.get("attachments"):
            raise ApiError("no_text")
        return text, blocks

    def _own_message(self, arguments: Json, error: str) -> Message:
        channel = self.workspace.channels.get(str(arguments["channel"]))
        if channel is None or self.workspace.bot.id not in channel.members:
            raise ApiError("channel_not_found")
        message = self.workspace.message(channel.id, str(arguments["ts"]))
        if message is None:
            raise ApiError("message_not_found")
        if message.user != self.workspace.bot.id:
            raise ApiError(error)
        return message

    def chat_update(self, arguments: Json) -> Json:
        message = self._own_message(arguments, "cant_update_message")
        text, blocks = self._content(arguments)
        if len(text) > UPDATE_TEXT:
            raise ApiError("msg_too_long")
        self.change(message, text, blocks if "blocks" in arguments else None)
        return {
            "channel": message.channel,
            "ts": message.ts,
            "text": message.text,
            "message": self.workspace.message_json(message, self.base_url),
        }

    def change(self, message: Message, text: str, blocks: list[Json] | None) -> None:
        """A new content for a message; without ``blocks`` it keeps those it has."""
        message.text = text
        if blocks is not None:
            message.blocks = self.workspace.with_ids(blocks)
        message.edited = self.workspace.next_ts()
        self._altered(message, "message_changed")

    def chat_delete(self, arguments: Json) -> Json:
        message = self._own_message(arguments, "cant_delete_message")
        self.delete(message)
        return {"channel": message.channel, "ts": message.ts}

    def delete(self, message: Message) -> None:
        self.workspace.messages.remove(message)
        self._altered(message, "message_deleted")

    def chat_post_ephemeral(self, arguments: Json) -> Json:
        channel = self._visible(arguments["channel"])
        if channel.is_archived:
            raise ApiError("is_archived")
        if self.workspace.bot.id not in channel.members:
            raise ApiError("not_in_channel")
        if str(arguments["user"]) not in channel.members:
            raise ApiError("user_not_in_channel")
        text, blocks = self._content(arguments)
        shown = Ephemeral(
            ts=self.workspace.next_ts(),
            channel=channel.id,
            user=str(arguments["user"]),
            text=text[:POST_TEXT],
            blocks=tuple(self.workspace.with_ids(blocks)),
            thread_ts=self._thread(channel, arguments),
        )
        self.workspace.ephemerals.append(shown)
        return {"message_ts": shown.ts}

    def chat_get_permalink(self, arguments: Json) -> Json:
        channel = self._visible(arguments["channel"])
        ts = str(arguments["message_ts"])
        if self.workspace.message(channel.id, ts) is None:
            raise ApiError("message_not_found")
        place = f"https://{self.workspace.domain}.slack.com/archives/{channel.id}"
        return {"channel": channel.id, "permalink": f"{place}/p{ts.replace('.', '')}"}

    def reactions_add(self, arguments: Json) -> Json:
        message, name = self._reaction(arguments)
        users = message.reactions.setdefault(name, set())
        if self.workspace.bot.id in users:
            raise ApiError("already_reacted")
        users.add(self.workspace.bot.id)
        return {}

    def reactions_remove(self, arguments: Json) -> Json:
        message, name = self._reaction(arguments)
        if self.workspace.bot.id not in message.reactions.get(name, ()):
            raise ApiError("no_reaction")
        message.reactions[name].discard(self.workspace.bot.id)
        return {}

    def _reaction(self, arguments: Json) -> tuple[Message, str]:
        if not arguments.get("channel") or not arguments.get("timestamp"):
            raise ApiError("no_item_specified")
        channel = self._visible(arguments["channel"])
        if self.workspace.bot.id not in channel.members:
            raise ApiError("not_in_channel")
        name = str(arguments["name"])
        if not name.replace("_", "").replace("-", "").replace("+", "").isalnum():
            raise ApiError("invalid_name")
        message = self.workspace.message(channel.id, str(arguments["timestamp"]))
        if message is None:
            raise ApiError("message_not_found")
        return message, name

    # -- people, files, views ----------------------------------------------------------------

    def auth_test(self, arguments: Json) -> Json:
        space = self.workspace
        if str(arguments["token"]).startswith("xapp-"):
            return {"app_name": space.bot.name, "app_id": space.app_id}
        return {
            "url": f"https://{space.domain}.slack.com/",
            "team": space.domain.title(),
            "user": space.bot.name,
            "team_id": space.team_id,
            "user_id": space.bot.id,
            "bot_id": space.bot.bot_id,
            "is_enterprise_install": False,
        }

    def users_info(self, arguments: Json) -> Json:
        user = self.workspace.users.get(str(arguments["user"]))
        if user is None:
            raise ApiError("user_not_found")
        return {"user": self.workspace.user_json(user)}

    def files_info(self, arguments: Json) -> Json:
        file = self.workspace.files.get(str(arguments["file"]))
        if file is None or not self.workspace.bot_sees(file):
            raise ApiError("file_not_found")
        if file.deleted:
            raise ApiError("file_deleted")
        return {"file": self.workspace.file_json(file, self.base_url)}

    def views_open(self, arguments: Json) -> Json:
        body = self._view_body(arguments)
        trigger_id = str(arguments.get("trigger_id") or "")
        if trigger_id.count(".") != 2:
            raise ApiError("invalid_trigger_id")
        trigger = self.workspace.triggers.get(trigger_id)
        if trigger is None or trigger.expired:
            raise ApiError("expired_trigger_id")
        if trigger.used:
            raise ApiError("exchanged_trigger_id")
        trigger.used = True
        external = body.get("external_id")
        if external and any(
            v.body["external_id"] == external for v in self.workspace.views.values()
        ):
            raise ApiError("duplicate_external_id")
        view = View(self.workspace.next_id("V"), trigger.user, {})
        self.fill(view, body)
        self.workspace.views[view.id] = view
        return {"view": view.body}

    def views_update(self, arguments: Json) -> Json:
        body = self._view_body(arguments)
        external = arguments.get("external_id")
        found = (
            view
            for view in self.workspace.views.values()
            if view.is_open
            and (
                view.id == arguments.get("view_id")
                or (external and external == view.body["external_id"])
            )
        )
        view = next(found, None)
        if view is None:
            raise ApiError("not_found")
        if arguments.get("hash") not in (None, "", view.hash):
            raise ApiError("hash_conflict")
        self.fill(view, body)
        return {"view": view.body}

    def _view_body(self, arguments: Json) -> Json:
        body = arguments["view"]
        if isinstance(body, str):
            try:
                body = json.loads(body)
            except ValueError:
                raise ApiError(
                    "invalid_arguments", ["must be valid JSON [json-pointer:/view]"]
                ) from None
        if len(json.dumps(body)) > block_kit.VIEW_BYTES:
            raise ApiError("view_too_large")
        errors = block_kit.view_errors(body)
        if errors:
            raise ApiError("invalid_arguments", errors)
        checked: Json = body
        kinds = {item.get("element", {}).get("type") for item in checked["blocks"]}
        if "file_input" in kinds:
            self._need(arguments, "files:read")
        return checked

    def fill(self, view: View, body: Json) -> None:
        """Gives an opened modal a (new) body, with the ids and the hash that Slack adds."""
        space = self.workspace
        view.errors = {}
        view.body = {
            "private_metadata": "",
            "callback_id": "",
            "external_id": "",
            "clear_on_close": False,
            "notify_on_close": False,
            "submit": None,
            "close": None,
            **body,
            "blocks": space.with_ids(body["blocks"]),
            "id": view.id,
            "team_id": space.team_id,
            "app_id": space.app_id,
            "app_installed_team_id": space.team_id,
            "bot_id": space.bot.bot_id,
            "root_view_id": view.id,
            "previous_view_id": None,
            "hash": f"{space.next_ts()}.{token_hex(4)}",
            "state": {"values": {}},
        }

    # -- the assistant's pane and sockets ----------------------------------------------------

    def set_status(self, arguments: Json) -> Json:
        channel = self._visible(arguments["channel_id"])
        if self.workspace.bot.id not in channel.members:
            raise ApiError("channel_not_found")
        ts = str(arguments["thread_ts"])
        if self.workspace.message(channel.id, ts) is None:
            raise ApiError("invalid_thread_ts")
        messages = arguments.get("loading_messages") or []
        if isinstance(messages, str):
            messages = json.loads(messages)
        if len(messages) > 10:
            raise ApiError("invalid_arguments", ["no more than 10 items allowed"])
        if arguments.get("status") is None:
            raise ApiError("invalid_arguments", ["missing required field: status"])
        if arguments["status"]:
            self.workspace.statuses[channel.id, ts] = str(arguments["status"])
        else:
            self.workspace.statuses.pop((channel.id, ts), None)
        return {}

    def set_suggested_prompts(self, arguments: Json) -> Json:
        channel = self._visible(arguments["channel_id"])
        if channel.kind != "im":
            raise ApiError("channel_not_found")
        prompts = arguments["prompts"]
        if isinstance(prompts, str):
            prompts = json.loads(prompts)
        if not 1 <= len(prompts) <= 4:
            raise ApiError("invalid_arguments", ["between 1 and 4 prompts [json-pointer:/prompts]"])
        for number, prompt in enumerate(prompts):
            for key in ("title", "message"):
                if not prompt.get(key):
                    where = f"[json-pointer:/prompts/{number}]"
                    raise ApiError("invalid_arguments", [f"missing required field: {key} {where}"])
        # With agent_view a call that names a thread is answered with ok and has no effect.
        if not arguments.get("thread_ts"):
            self.workspace.prompts[channel.id] = prompts
        return {}

    def connections_open(self, arguments: Json) -> Json:
        return {"url": self._open_socket()}


def parse_blocks(value: object) -> list[Json]:
    """A message's ``blocks``, given as a list or as JSON; ApiError if Slack refuses them."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise ApiError("invalid_blocks_format") from None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ApiError("invalid_blocks_format")
    errors = block_kit.message_errors(value)
    if errors:
        raise ApiError("invalid_blocks", errors, errors=errors)
    return value


def _missing_scope(needed: tuple[str, ...], scopes: Scopes) -> ApiError:
    return ApiError("missing_scope", needed=",".join(needed), provided=",".join(sorted(scopes)))


METHODS: Final[Mapping[str, Method]] = {
    "apps.connections.open": Method(
        WebApi.connections_open, ("connections:write",), json=False, token="xapp-"
    ),
    "assistant.threads.setStatus": Method(
        WebApi.set_status, ("chat:write", "assistant:write"), ("channel_id", "thread_ts")
    ),
    "assistant.threads.setSuggestedPrompts": Method(
        WebApi.set_suggested_prompts, ("assistant:write",), ("channel_id", "prompts")
    ),
    "auth.test": Method(WebApi.auth_test, token="x"),
    "chat.delete": Method(WebApi.chat_delete, ("chat:write",), ("channel", "ts")),
    "chat.getPermalink": Method(
        WebApi.chat_get_permalink, (), ("channel", "message_ts"), json=False
    ),
    "chat.postEphemeral": Method(WebApi.chat_post_ephemeral, ("chat:write",), ("channel", "user")),
    "chat.postMessage": Method(WebApi.chat_post_message, ("chat:write",), ("channel",)),
    "chat.update": Method(WebApi.chat_update, ("chat:write",), ("channel", "ts")),
    "conversations.info": Method(
        WebApi.conversations_info, tuple(_READ.values()), ("channel",), json=False
    ),
    "conversations.open": Method(WebApi.conversations_open, ("im:write",), ("users",)),
    "conversations.replies": Method(
        WebApi.conversations_replies, tuple(_HISTORY.values()), ("channel", "ts"), json=False
    ),
    "files.info": Method(WebApi.files_info, ("files:read",), ("file",), json=False),
    "reactions.add": Method(WebApi.reactions_add, ("reactions:write",), ("name",)),
    "reactions.remove": Method(WebApi.reactions_remove, ("reactions:write",), ("name",)),
    "users.info": Method(WebApi.users_info, ("users:read",), ("user",), json=False),
    "views.open": Method(WebApi.views_open, (), ("view",)),
    "views.update": Method(WebApi.views_update, (), ("view",)),
}
