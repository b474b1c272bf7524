"""Which events of the workspace an app is told, and how they are written."""

from collections.abc import Collection, Mapping
from typing import Final

from .blocks import Json
from .delivery import Delivery
from .workspace import Message, Workspace

# The events an app may subscribe to here, with the scope that each needs.
EVENTS: Final[Mapping[str, str | None]] = {
    "app_mention": "app_mentions:read",
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "app_home_opened": None,
}
_MESSAGE_EVENTS: Final = {
    "channel": "message.channels",
    "group": "message.groups",
    "im": "message.im",
}


class Events:
    """Makes the deliveries of events for an app that subscribed to some."""

    def __init__(self, workspace: Workspace, base_url: str, subscribed: Collection[str]) -> None:
        self._space = workspace
        self._base_url = base_url
        self._subscribed = frozenset(subscribed)
        self.by_id: dict[str, Delivery] = {}

    def _may_read(self, event: str) -> bool:
        scope = EVENTS[event]
        scopes = self._space.bot_scopes
        return event in self._subscribed and (scope is None or scope in scopes)

    def make(self, event: Json) -> Delivery:
        """The event in the envelope that the Events API puts around each."""
        space = self._space
        event_id = space.next_id("Ev")
        payload: Json = {
            "token": "verification",
            "team_id": space.team_id,
            "context_team_id": space.team_id,
            "context_enterprise_id": None,
            "api_app_id": space.app_id,
            "event": event,
            "type": "event_callback",
            "event_id": event_id,
            "event_time": int(float(event["event_ts"])),
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": space.team_id,
                    "user_id": space.bot.id,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
            "is_ext_shared_channel": False,
            "event_context": f"4-{event_id}",
        }
        delivery = Delivery("events_api", payload)
        self.by_id[event_id] = delivery
        return delivery

    def of_message(self, message: Message) -> tuple[Delivery, ...]:
        """The events of a new message; none from a channel that the bot is not in."""
        space = self._space
        place = space.channels[message.channel]
        if space.bot.id not in place.members:
            return ()
        found = self._of_mention(message, message.ts)
        if self._may_read(_MESSAGE_EVENTS[place.kind]):
            event = {
                **space.message_json(message, self._base_url),
                "channel": place.id,
                "event_ts": message.ts,
                "channel_type": place.kind,
            }
            if message.files:
                event["subtype"] = "file_share"
            found.append(self.make(event))
        return tuple(found)

    def of_edit(self, message: Message) -> tuple[Delivery, ...]:
        """The events of a message that its author has edited.

        If it mentions the bot now, it comes as an ``app_mention`` again, whether it did before or
        not: with the same ``ts``, and with ``edited``.
        """
        found = self._of_mention(message, message.edited or message.ts)
        change = self.of_change(message, "message_changed")
        if change is not None:
            found.append(change)
        return tuple(found)

    def _of_mention(self, message: Message, event_ts: str) -> list[Delivery]:
        """The ``app_mention``, if the message is one: in direct messages a mention is none."""
        space = self._space
        place = space.channels[message.channel]
        mentioned = space.bot.id in message.pings and message.user != space.bot.id
        if not mentioned or place.kind == "im" or space.bot.id not in place.members:
            return []
        if not self._may_read("app_mention"):
            return []
        event: Json = {
            **space.message_json(message, self._base_url),
            "channel": place.id,
            "event_ts": event_ts,
            "type": "app_mention",
        }
        return [self.make(event)]

    def of_change(self, message: Message, subtype: str) -> Delivery | None:
        """The event ``message_changed`` or ``message_deleted``, if the app may have it."""
        space = self._space
        place = space.channels[message.channel]
        if space.bot.id not in place.members or not self._may_read(_MESSAGE_EVENTS[place.kind]):
            return None
        ts = space.next_ts()
        shown = space.message_json(message, self._base_url)
        event: Json = {
            "type": "message",
            "subtype": subtype,
            "channel": place.id,
            "channel_type": place.kind,
            "hidden": True,
            "ts": ts,
            "event_ts": ts,
            "previous_message": shown,
        }
        if subtype == "message_deleted":
            event["deleted_ts"] = message.ts
        else:
            event["message"] = shown
        return self.make(event)
