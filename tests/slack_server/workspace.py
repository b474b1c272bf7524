"""What the workspace holds: people, conversations, messages, files, modals and the bot's tokens.

No rules here beyond identity and membership: what Slack refuses is in ``methods`` and ``blocks``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import Condition, RLock
from typing import Any, Final, Literal, TypeAlias

from . import render
from .blocks import Json

Kind: TypeAlias = Literal["channel", "group", "im"]
Via: TypeAlias = Literal["response_url", "ack"]
Scopes: TypeAlias = frozenset[str]

BOT_SCOPES: Final[Scopes] = frozenset(
    "app_mentions:read assistant:write channels:history channels:read chat:write commands "
    "files:read groups:history groups:read im:history im:read im:write reactions:write "
    "users:read".split()
)
APP_SCOPES: Final[Scopes] = frozenset({"connections:write"})

# The time of the workspace's first message, in Slack's seconds; every id and time is counted up
# from here, so that a failing test shows the same ones each time.
_EPOCH: Final = 1_760_000_000


@dataclass(frozen=True, slots=True)
class User:
    """A member of the workspace; ``bot_id`` is set for bots alone."""

    id: str
    name: str
    is_admin: bool = False
    is_owner: bool = False
    bot_id: str | None = None
    deleted: bool = False

    @property
    def is_bot(self) -> bool:
        return self.bot_id is not None


@dataclass(slots=True)
class Channel:
    """A public channel, a private one (``group``) or a direct message (``im``).

    Where ``is_read_only`` is set, some people may post, and apps may not.
    """

    id: str
    name: str
    kind: Kind
    members: set[str] = field(default_factory=set)
    is_archived: bool = False
    is_read_only: bool = False


@dataclass(slots=True)
class SlackFile:
    """A file kept by Slack; ``channels`` are those it was shared in."""

    id: str
    name: str
    mimetype: str
    content: bytes
    user: str
    created: int
    channels: set[str] = field(default_factory=set)
    deleted: bool = False

    @property
    def filetype(self) -> str:
        return self.name.rpartition(".")[2].lower() if "." in self.name else "binary"


@dataclass(slots=True)
class Message:
    """A message in a channel; ``text`` escaped and ``blocks`` with ids, as Slack keeps them.

    ``edited`` is when it was edited last.
    """

    ts: str
    channel: str
    user: str
    text: str
    blocks: list[Json]
    thread_ts: str | None = None
    bot_id: str | None = None
    files: list[SlackFile] = field(default_factory=list)
    edited: str | None = None
    arguments: Json = field(default_factory=dict)
    reactions: dict[str, set[str]] = field(default_factory=dict)

    @property
    def plain(self) -> str:
        """What a person reads: the blocks if there are any, else the text."""
        return render.plain_text(self.blocks) if self.blocks else render.mrkdwn_text(self.text)

    @property
    def pings(self) -> frozenset[str]:
        return render.pings(self.text, self.blocks)


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """A message that one person saw, from ``chat.postEphemeral``."""

    ts: str
    channel: str
    user: str
    text: str
    blocks: tuple[Json, ...]
    thread_ts: str | None = None

    @property
    def plain(self) -> str:
        return render.plain_text(self.blocks) if self.blocks else render.mrkdwn_text(self.text)


@dataclass(frozen=True, slots=True)
class Response:
    """What the app sent to a response_url, or gave back with its acknowledgement (``via``).

    ``error`` is what Slack refused it with; nobody saw a refused one.
    """

    via: Via
    ts: str
    user: str
    channel: str
    payload: Json
    error: str | None = None

    @property
    def in_channel(self) -> bool:
        return self.payload.get("response_type") == "in_channel"

    @property
    def text(self) -> str:
        return str(self.payload.get("text", ""))

    @property
    def blocks(self) -> list[Json]:
        return list(self.payload.get("blocks", ()))

    @property
    def plain(self) -> str:
        return render.plain_text(self.blocks) if self.blocks else render.mrkdwn_text(self.text)


@dataclass(slots=True)
class View:
    """A modal; ``body`` is the view object as Slack gives it back, all ids filled in."""

    id: str
    user: str
    body: Json
    is_open: bool = True
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        return str(self.body["hash"])

    @property
    def plain(self) -> str:
        return render.plain_text(self.body["blocks"])


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a Web API method and its answer.

    ``retry_after`` is set, in seconds, for one that was answered with status 429.
    """

    method: str
    arguments: Json
    answer: Json
    retry_after: int | None = None

    @property
    def status(self) -> int:
        return 200 if self.retry_after is None else 429

    @property
    def error(self) -> str | None:
        return self.answer.get("error")


@dataclass(slots=True)
class Trigger:
    """A trigger_id: opens one modal."""

    id: str
    user: str
    used: bool = False
    expired: bool = False


@dataclass(slots=True)
class ResponseUrl:
    """Where the app may answer five times; ``message_ts`` is that of a clicked message."""

    key: str
    user: str
    channel: str
    thread_ts: str | None = None
    message_ts: str | None = None
    uses: int = 0
    expired: bool = False


class Workspace:
    """All state of the server. ``changed`` guards it and wakes whoever waits for a change."""

    team_id: Final = "T0TEAM001"
    domain: Final = "workspace"
    app_id: Final = "A0APP0001"
    bot_token: Final = "xoxb-1-2-bot"
    app_token: Final = "xapp-1-A0APP0001-2-app"

    def __init__(self) -> None:
        self.changed = Condition(RLock())
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.files: dict[str, SlackFile] = {}
        self.messages: list[Message] = []
        self.ephemerals: list[Ephemeral] = []
        self.responses: list[Response] = []
        self.views: dict[str, View] = {}
        self.statuses: dict[tuple[str, str], str] = {}
        self.prompts: dict[str, list[Json]] = {}
        self.calls: list[Call] = []
        self.tokens: dict[str, Scopes] = {}
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self._count = 0
        self.bot = self.add_user("spanbot", bot=True)

    def next_number(self) -> int:
        with self.changed:
            self._count += 1
            return self._count

    def next_id(self, prefix: str) -> str:
        return f"{prefix}0{self.next_number():07d}"

    def next_ts(self) -> str:
        number = self.next_number()
        return f"{_EPOCH + number}.{number:06d}"

    @property
    def bot_scopes(self) -> Scopes:
        """What the bot's token allows; nothing once it is revoked."""
        return self.tokens.get(self.bot_token, frozenset())

    # -- people and places -------------------------------------------------------------------

    def add_user(
        self, name: str, *, admin: bool = False, owner: bool = False, bot: bool = False
    ) -> User:
        with self.changed:
            user = User(
                self.next_id("U"), name, admin or owner, owner, self.next_id("B") if bot else None
            )
            self.users[user.id] = user
            return user

    def add_channel(self, name: str, members: Iterable[str], *, private: bool = False) -> Channel:
        with self.changed:
            kind: Kind = "group" if private else "channel"
            channel = Channel(self.next_id("C"), name, kind, set(members))
            self.channels[channel.id] = channel
            return channel

    def dm(self, user: str) -> Channel:
        """The bot's direct message with the user, opened if it is new."""
        with self.changed:
            members = {user, self.bot.id}
            for channel in self.channels.values():
                if channel.kind == "im" and channel.members == members:
                    return channel
            channel = Channel(self.next_id("D"), "directmessage", "im", members)
            self.channels[channel.id] = channel
            return channel

    def channel_named(self, name: str) -> Channel | None:
        """The channel with this id or ``#name``; names lead to channels, not to direct messages."""
        if name in self.channels:
            return self.channels[name]
        bare = name.removeprefix("#")
        return next((c for c in self.channels.values() if c.kind != "im" and c.name == bare), None)

    def bot_sees(self, file: SlackFile) -> bool:
        """Whether the bot shares a conversation with the file; one given to a modal is in none."""
        shared = [self.channels[name] for name in file.channels]
        return not shared or any(self.bot.id in channel.members for channel in shared)

    # -- messages ----------------------------------------------------------------------------

    def message(self, channel: str, ts: str) -> Message | None:
        with self.changed:
            found = (m for m in self.messages if m.channel == channel and m.ts == ts)
            return next(found, None)

    def thread(self, channel: str, ts: str) -> list[Message]:
        """The parent and its replies, oldest first."""
        with self.changed:
            return [m for m in self.messages if m.channel == channel and ts in (m.ts, m.thread_ts)]

    def with_ids(self, blocks: Iterable[Mapping[str, Any]]) -> list[Json]:
        """The blocks as Slack keeps them: every block and every interactive element has an id."""
        return [self._with_ids(dict(block)) for block in blocks]

    def _with_ids(self, block: Json) -> Json:
        block["block_id"] = block.get("block_id") or self.next_id("b")
        if block.get("type") in ("actions", "context_actions"):
            block["elements"] = [self._with_action(item) for item in block["elements"]]
        for key in ("accessory", "element"):
            if key in block and block[key].get("type") != "image":
                block[key] = self._with_action(block[key])
        return block

    def _with_action(self, element: Json) -> Json:
        return {**element, "action_id": element.get("action_id") or self.next_id("a")}

    # -- interactions ------------------------------------------------------------------------

    def new_trigger(self, user: str) -> Trigger:
        with self.changed:
            number = self.next_number()
            trigger = Trigger(f"{number}.{_EPOCH}.{number:032x}", user)
            self.triggers[trigger.id] = trigger
            return trigger

    def new_response_url(
        self,
        user: str,
        channel: str,
        *,
        thread_ts: str | None = None,
        message_ts: str | None = None,
    ) -> ResponseUrl:
        with self.changed:
            key = f"{self.team_id}/{self.next_number()}/{self.next_number():024x}"
            place = ResponseUrl(key, user, channel, thread_ts, message_ts)
            self.response_urls[key] = place
            return place

    # -- as JSON -----------------------------------------------------------------------------

    def user_json(self, user: User) -> Json:
        return {
            "id": user.id,
            "team_id": self.team_id,
            "name": user.name,
            "real_name": user.name.title(),
            "deleted": user.deleted,
            "tz": "Europe/Amsterdam",
            "profile": {"real_name": user.name.title(), "display_name": user.name},
            "is_admin": user.is_admin,
            "is_owner": user.is_owner,
            "is_primary_owner": False,
            "is_restricted": False,
            "is_ultra_restricted": False,
            "is_bot": user.is_bot,
            "is_app_user": False,
        }

    def channel_json(self, channel: Channel) -> Json:
        common = {
            "id": channel.id,
            "is_channel": channel.kind == "channel",
            "is_group": channel.kind == "group",
            "is_im": channel.kind == "im",
            "is_private": channel.kind != "channel",
            "is_archived": channel.is_archived,
            "context_team_id": self.team_id,
        }
        if channel.kind == "im":
            other = next(iter(channel.members - {self.bot.id}), self.bot.id)
            return {**common, "user": other}
        member = self.bot.id in channel.members
        return {**common, "name": channel.name, "is_member": member}

    def file_json(self, file: SlackFile, base_url: str) -> Json:
        """The file object; its ``url_private*`` want the bot's token."""
        place = f"{base_url}/files-pri/{self.team_id}-{file.id}"
        return {
            "id": file.id,
            "created": file.created,
            "timestamp": file.created,
            "name": file.name,
            "title": file.name,
            "mimetype": file.mimetype,
            "filetype": file.filetype,
            "pretty_type": file.filetype.upper(),
            "user": file.user,
            "user_team": self.team_id,
            "editable": False,
            "size": len(file.content),
            "mode": "hosted",
            "is_external": False,
            "external_type": "",
            "is_public": any(self.channels[name].kind == "channel" for name in file.channels),
            "public_url_shared": False,
            "url_private": f"{place}/{file.name}",
            "url_private_download": f"{place}/download/{file.name}",
            "permalink": f"https://{self.domain}.slack.com/files/{file.user}/{file.id}/{file.name}",
            "file_access": "visible",
        }

    def message_json(self, message: Message, base_url: str) -> Json:
        """The message as the Web API and events give it, without its channel."""
        answer: Json = {
            "type": "message",
            "user": message.user,
            "ts": message.ts,
            "text": message.text,
            "team": self.team_id,
        }
        if message.blocks:
            answer["blocks"] = message.blocks
        if message.bot_id is not None:
            name = self.users[message.user].name
            answer |= {
                "bot_id": message.bot_id,
                "bot_profile": {"id": message.bot_id, "name": name},
            }
            if message.user == self.bot.id:
                answer["app_id"] = self.app_id
        else:
            answer["client_msg_id"] = f"client-{message.ts}"
        if message.thread_ts is not None:
            answer["thread_ts"] = message.thread_ts
            parent = self.message(message.channel, message.thread_ts)
            if parent is not None and parent is not message:
                answer["parent_user_id"] = parent.user
        if message.files:
            answer["files"] = [self.file_json(file, base_url) for file in message.files]
        if message.edited:
            answer["edited"] = {"user": message.user, "ts": message.edited}
        return answer
