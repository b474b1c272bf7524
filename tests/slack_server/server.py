"""A small Slack for tests: real HTTP and WebSockets on 127.0.0.1, and the refusals of the real one.

    with SlackServer() as slack:
        mira = slack.add_user("mira", admin=True)
        general = slack.add_channel("general", mira)
        app = App(client=WebClient(token=slack.bot_token, base_url=slack.api_url))
        ...
        sent = slack.mention(mira, general, "How many days of leave do we get?")
        [answer] = slack.wait_for(lambda: slack.thread(general, sent.ts)[1:])
        assert "*25 days*" in answer.plain

People act through the methods of ``SlackServer``; the app talks to ``api_url`` and is delivered to
over Socket Mode as soon as it connects, or over HTTP if ``http_endpoint`` is set. Close the app
before the server.
"""

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypeVar

from . import blocks as block_kit
from . import render
from .blocks import Json
from .delivery import Attempt, Delivery, Dispatcher, Endpoint, HttpEndpoint
from .events import EVENTS, Events
from .methods import WebApi
from .routes import Routes
from .socket_mode import SocketMode
from .web import WebServer
from .workspace import (
    APP_SCOPES,
    BOT_SCOPES,
    Call,
    Channel,
    Ephemeral,
    Message,
    Response,
    ResponseUrl,
    SlackFile,
    Trigger,
    User,
    View,
    Workspace,
)

T = TypeVar("T")
Place: TypeAlias = Channel | str
Clickable: TypeAlias = Message | Ephemeral | Response | View

_UPLOAD_BYTES: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of a person's and the deliveries of the events it caused."""

    message: Message
    deliveries: tuple[Delivery, ...]

    @property
    def ts(self) -> str:
        return self.message.ts

    @property
    def channel(self) -> str:
        return self.message.channel

    def event(self, kind: str) -> Delivery:
        """The delivery of the event of this type (``app_mention``, ``message``)."""
        return next(d for d in self.deliveries if d.event_type == kind)


@dataclass(frozen=True, slots=True)
class Interaction:
    """A command, click or submission: its delivery and what it lets the app do."""

    delivery: Delivery
    trigger: Trigger
    response_url: ResponseUrl | None = None
    view: View | None = None

    @property
    def answer(self) -> Any:
        """What the app gave back with its acknowledgement."""
        return self.delivery.answer


class SlackServer:
    """The server, its people's actions and its records. Use it in a ``with`` statement.

    ``ack_timeout`` (seconds) and ``retries`` are Slack's own. Leaving the ``with`` statement raises
    AssertionError if the server itself failed or the app sent what no Slack client sends.
    """

    bot_token: Final = Workspace.bot_token
    app_token: Final = Workspace.app_token
    signing_secret: Final = "8f742231b10e8888abcd99yyyzzz85a5"

    def __init__(
        self,
        *,
        scopes: Collection[str] = BOT_SCOPES,
        events: Collection[str] = tuple(EVENTS),
        ack_timeout: float = 3.0,
        retries: int = 3,
    ) -> None:
        self.workspace = space = Workspace()
        space.tokens[self.bot_token] = frozenset(scopes)
        space.tokens[self.app_token] = APP_SCOPES
        self._ack_timeout = ack_timeout
        self._http: tuple[tuple[str, str], HttpEndpoint] | None = None
        self._dispatcher = Dispatcher(self._endpoint, space.changed, retries=retries)
        self.socket_mode = SocketMode(space.changed, space.app_id, ack_timeout=ack_timeout)
        self._web = WebServer(lambda request: self._routes.answer(request))
        self.base_url = self._web.base_url
        self.api_url = f"{self.base_url}/api/"
        self._api = WebApi(
            space,
            base_url=self.base_url,
            open_socket=self.socket_mode.open_url,
            posted=self._begin_message_events,
            altered=self._begin_altered_event,
        )
        self._events = Events(space, self.base_url, events)
        self._routes = Routes(space, self._api)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        problems = self._web.problems + self.socket_mode.problems
        if kind is None and problems:
            raise AssertionError(f"the test's Slack server met: {problems}")

    def close(self) -> None:
        """Ends all connections and threads."""
        self._dispatcher.stop()
        self.socket_mode.close()
        self._dispatcher.close()
        self._web.close()

    # -- who and where -----------------------------------------------------------------------

    @property
    def bot(self) -> User:
        return self.workspace.bot

    def add_user(
        self, name: str, *, admin: bool = False, owner: bool = False, bot: bool = False
    ) -> User:
        """A person, or with ``bot`` some other app's bot."""
        return self.workspace.add_user(name, admin=admin, owner=owner, bot=bot)

    def add_channel(
        self, name: str, *members: User | str, private: bool = False, with_bot: bool = True
    ) -> Channel:
        """A channel with these members, and the app's bot unless told otherwise."""
        ids = {_id(member) for member in members} | ({self.bot.id} if with_bot else set())
        return self.workspace.add_channel(name, ids, private=private)

    def remove_bot(self, channel: Channel) -> None:
        """Somebody takes the bot out of the channel."""
        with self.workspace.changed:
            channel.members.discard(self.bot.id)

    def deactivate(self, user: User) -> None:
        """The person leaves the workspace; nobody can write to them any more."""
        with self.workspace.changed:
            self.workspace.users[user.id] = replace(user, deleted=True)

    def dm(self, user: User | str) -> Channel:
        """The bot's direct messages with the user."""
        return self.workspace.dm(_id(user))

    def grant(self, *scopes: str) -> None:
        """Adds scopes to the bot's token."""
        self._set_scopes(self.workspace.tokens[self.bot_token] | set(scopes))

    def revoke(self, *scopes: str) -> None:
        """Takes scopes from the bot's token."""
        self._set_scopes(self.workspace.tokens[self.bot_token] - set(scopes))

    def _set_scopes(self, scopes: frozenset[str]) -> None:
        with self.workspace.changed:
            self.workspace.tokens[self.bot_token] = scopes

    def revoke_token(self) -> None:
        """Uninstalls the app: its bot token is unknown from now on."""
        with self.workspace.changed:
            del self.workspace.tokens[self.bot_token]

    # -- the app's end -----------------------------------------------------------------------

    @property
    def http_endpoint(self) -> tuple[str, str] | None:
        """The request URL and signing secret of an app that takes its events over HTTP."""
        return self._http[0] if self._http else None

    @http_endpoint.setter
    def http_endpoint(self, value: tuple[str, str] | None) -> None:
        made = value and (value, HttpEndpoint(*value, timeout=self._ack_timeout))
        self._http = made or None

    def verify_endpoint(self) -> bool:
        """Slack's check of a new request URL: the app must give the challenge back."""
        attempt = self.post_to_endpoint(
            {"type": "url_verification", "challenge": "3eZbrw1aB10cF", "token": "t"}
        )
        answer = attempt.answer
        given = answer.get("challenge") if isinstance(answer, dict) else answer
        return attempt.acknowledged and given == "3eZbrw1aB10cF"

    def post_to_endpoint(self, payload: Json, *, age: int = 0) -> Attempt:
        """POSTs any payload, signed; ``age`` dates the signature back by so many seconds."""
        if self._http is None:
            raise ValueError("set http_endpoint first")
        body = json.dumps(payload).encode()
        return self._http[1].post(body, {"Content-Type": "application/json"}, age=age)

    def wait_connected(self, connections: int = 1, *, timeout: float = 10) -> None:
        """Waits until so many Socket Mode connections are open."""
        self.wait_for(lambda: self.socket_mode.connected >= connections, timeout=timeout)

    def announce_disconnect(self, reason: str = "refresh_requested") -> None:
        """Tells the connected app to connect anew, as Slack does every hour or so, and hangs up.

        After the reason ``warning`` Slack leaves hanging up to the app.
        """
        self.socket_mode.announce_disconnect(reason)

    def drop_connections(self) -> None:
        """Breaks the Socket Mode connections without a word."""
        self.socket_mode.hang_up()

    def _endpoint(self) -> Endpoint | None:
        if self._http is not None:
            return self._http[1]
        return self.socket_mode if self.socket_mode.attached else None

    # -- what people do ----------------------------------------------------------------------

    def mention(
        self, user: User | str, channel: Place, text: str, *, thread_ts: str | None = None
    ) -> Sent:
        """The person mentions the bot in a channel: the events ``app_mention`` and ``message``.

        ``text`` is as typed, without the mention (put before it) or with ``<@id>`` anywhere in it.
        Returns when the app has acknowledged both or Slack has given up.
        """
        tag = f"<@{self.bot.id}>"
        return self.say(
            user, channel, text if tag in text else f"{tag} {text}", thread_ts=thread_ts
        )

    def direct_message(self, user: User | str, text: str, *, thread_ts: str | None = None) -> Sent:
        """The person writes to the bot in their direct messages."""
        return self.say(user, self.dm(user), text, thread_ts=thread_ts)

    def say(
        self,
        user: User | str,
        channel: Place,
        text: str,
        *,
        thread_ts: str | None = None,
        files: Sequence[SlackFile] = (),
    ) -> Sent:
        """The person writes in a channel; the app gets the events it subscribed to and may read.

        Raises ValueError if the person is not in the channel or the thread does not exist.
        """
        with self.workspace.changed:
            place = self._place(channel)
            author = self.workspace.users[_id(user)]
            if author.id not in place.members:
                raise ValueError(f"{author.name} is not in #{place.name}")
            if thread_ts is not None and self.workspace.message(place.id, thread_ts) is None:
                raise ValueError(f"no message {thread_ts} in #{place.name}")
            typed = render.escape_typed(text)
            for file in files:
                file.channels.add(place.id)
            message = Message(
                ts=self.workspace.next_ts(),
                channel=place.id,
                user=author.id,
                text=typed,
                blocks=render.typed_blocks(typed, self.workspace.next_id("b")) if typed else [],
                thread_ts=thread_ts,
                bot_id=author.bot_id,
                files=list(files),
            )
            self.workspace.messages.append(message)
            self.workspace.changed.notify_all()
            deliveries = self._events.of_message(message)
        self._dispatcher.deliver(*deliveries)
        return Sent(message, deliveries)

    def upload(
        self, user: User | str, name: str, content: bytes, mimetype: str = "text/plain"
    ) -> SlackFile:
        """A file uploaded and shared with nobody yet: what a ``file_input`` takes."""
        if len(content) > _UPLOAD_BYTES:
            raise ValueError(f"{name}: a file input takes at most {_UPLOAD_BYTES} bytes")
        with self.workspace.changed:
            number = self.workspace.next_number()
            file = SlackFile(f"F0{number:07d}", name, mimetype, content, _id(user), number)
            self.workspace.files[file.id] = file
            return file

    def share_file(
        self,
        user: User | str,
        channel: Place,
        name: str,
        content: bytes,
        mimetype: str = "text/plain",
        *,
        text: str = "",
        thread_ts: str | None = None,
    ) -> Sent:
        """The person uploads a file into a channel: a ``message`` event, ``file_share``."""
        file = self.upload(user, name, content, mimetype)
        return self.say(user, channel, text, thread_ts=thread_ts, files=[file])

    def edit(self, message: Message, text: str, *, days: int = 0) -> Sent:
        """The author edits a message, so many days after it was written.

        The events ``message_changed``, and ``app_mention`` if the bot is mentioned now.
        """
        with self.workspace.changed:
            message.text = render.escape_typed(text)
            message.blocks = render.typed_blocks(message.text, self.workspace.next_id("b"))
            seconds = int(float(self.workspace.next_ts())) + days * 86_400
            message.edited = f"{seconds}.000000"
            deliveries = self._events.of_edit(message)
        self._dispatcher.deliver(*deliveries)
        return Sent(message, deliveries)

    def open_app_home(self, user: User | str, tab: str = "messages") -> Delivery:
        """The person opens the app's pane: an ``app_home_opened`` event."""
        event: Json = {
            "type": "app_home_opened",
            "user": _id(user),
            "channel": self.dm(user).id,
            "tab": tab,
            "event_ts": self.workspace.next_ts(),
        }
        delivery = self._events.make(event)
        self._dispatcher.deliver(delivery)
        return delivery

    def slash_command(
        self, user: User | str, command: str, text: str = "", channel: Place | None = None
    ) -> Interaction:
        """The person sends a slash command; without a channel, from their messages with the bot.

        What the app gives back with its acknowledgement becomes one of ``responses``.
        """
        author = self.workspace.users[_id(user)]
        place = self.dm(author) if channel is None else self._place(channel)
        if "commands" not in self.workspace.bot_scopes:
            raise ValueError(f"{command} is not a valid command: the app lacks the scope commands")
        trigger = self.workspace.new_trigger(author.id)
        url = self.workspace.new_response_url(author.id, place.id)
        payload: Json = {
            "token": "verification",
            "team_id": self.workspace.team_id,
            "team_domain": self.workspace.domain,
            "channel_id": place.id,
            "channel_name": place.name,
            "user_id": author.id,
            "user_name": author.name,
            "command": command,
            "text": text,
            "api_app_id": self.workspace.app_id,
            "is_enterprise_install": "false",
            "response_url": self.response_address(url),
            "trigger_id": trigger.id,
        }
        delivery = Delivery("slash_commands", payload)
        self._dispatcher.deliver(delivery)
        if delivery.acknowledged and delivery.answer:
            given = delivery.answer
            self._routes.accept(
                url, given if isinstance(given, dict) else {"text": str(given)}, "ack"
            )
        return Interaction(delivery, trigger, url)

    def click(
        self, user: User | str, where: Clickable, action_id: str, *, value: str | None = None
    ) -> Interaction:
        """The person clicks a button of a message or modal: a ``block_actions`` payload.

        ``value`` chooses among elements with one action id and between the two feedback buttons.
        Raises ValueError if no such button is there.
        """
        author = self.workspace.users[_id(user)]
        shown = where.body["blocks"] if isinstance(where, View) else where.blocks
        action = _action(list(shown), action_id, value)
        trigger = self.workspace.new_trigger(author.id)
        payload: Json = {
            **self._interactive("block_actions", author, trigger),
            "actions": [{**action, "action_ts": self.workspace.next_ts()}],
        }
        if isinstance(where, View):
            payload["view"] = where.body
            payload["container"] = {"type": "view", "view_id": where.id}
            return self._interact(Delivery("interactive", payload), trigger, None, where)
        place = self.workspace.channels[where.channel]
        seen_by_all = isinstance(where, Message)
        url = self.workspace.new_response_url(author.id, place.id, message_ts=where.ts)
        payload |= {
            "channel": {"id": place.id, "name": place.name},
            "response_url": self.response_address(url),
            "state": {"values": {}},
            "container": {
                "type": "message",
                "message_ts": where.ts,
                "channel_id": place.id,
                "is_ephemeral": not seen_by_all,
            },
        }
        if isinstance(where, Message):
            payload["message"] = self.workspace.message_json(where, self.base_url)
            if where.thread_ts is not None:
                payload["container"]["thread_ts"] = where.thread_ts
        return self._interact(Delivery("interactive", payload), trigger, url, None)

    def submit_view(
        self, view: View | str, values: Mapping[str, object], user: User | str | None = None
    ) -> Interaction:
        """The person submits a modal.

        ``values``: for each input's block id a text, a sequence of files (``file_input``), or None
        for an input left empty. Raises ValueError for what Slack's own form does not let through:
        an unknown or required empty input, a file of the wrong type, too many files.
        """
        shown = self.workspace.views[view] if isinstance(view, str) else view
        author = self.workspace.users[shown.user if user is None else _id(user)]
        if not shown.is_open:
            raise ValueError(f"modal {shown.id} is closed")
        state = self._state(shown.body["blocks"], values)
        shown.body["state"] = {"values": state}
        trigger = self.workspace.new_trigger(author.id)
        payload: Json = {
            **self._interactive("view_submission", author, trigger),
            "view": shown.body,
            "response_urls": [],
        }
        interaction = self._interact(Delivery("interactive", payload), trigger, None, shown)
        if interaction.delivery.acknowledged:
            self._after_submission(shown, interaction.answer)
        return interaction

    def redeliver(self, event_id: str) -> Attempt:
        """Delivers an event again under the same id, as Slack does after a lost answer."""
        return self._dispatcher.again(self._events.by_id[event_id])

    def expire_triggers(self) -> None:
        """Three seconds pass: no trigger_id opens a modal any more."""
        with self.workspace.changed:
            for trigger in self.workspace.triggers.values():
                trigger.expired = True

    def expire_response_urls(self) -> None:
        """Thirty minutes pass: no response_url takes a message any more."""
        with self.workspace.changed:
            for url in self.workspace.response_urls.values():
                url.expired = True

    def rate_limit(self, method: str, times: int = 1, retry_after: int = 0) -> None:
        """Answers the next calls of a method (or of ``response_url``) with 429."""
        self._api.rate_limit(method, times, retry_after)

    # -- what was seen -----------------------------------------------------------------------

    def messages(self, channel: Place) -> list[Message]:
        """All messages in the channel, replies in threads included, oldest first."""
        with self.workspace.changed:
            place = self._place(channel).id
            return [message for message in self.workspace.messages if message.channel == place]

    def thread(self, channel: Place, ts: str) -> list[Message]:
        """A message and the replies in its thread, oldest first."""
        return self.workspace.thread(self._place(channel).id, ts)

    @property
    def ephemerals(self) -> list[Ephemeral]:
        with self.workspace.changed:
            return list(self.workspace.ephemerals)

    @property
    def responses(self) -> list[Response]:
        """What came by response_urls and with acknowledgements, refused ones too."""
        with self.workspace.changed:
            return list(self.workspace.responses)

    @property
    def views(self) -> list[View]:
        """The modals that are open, in the order of opening."""
        with self.workspace.changed:
            return [view for view in self.workspace.views.values() if view.is_open]

    @property
    def calls(self) -> list[Call]:
        """Every call of a Web API method."""
        with self.workspace.changed:
            return list(self.workspace.calls)

    def calls_of(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    @property
    def deliveries(self) -> list[Delivery]:
        """Everything that was delivered to the app, or should have been."""
        with self.workspace.changed:
            return list(self._dispatcher.delivered)

    def status(self, channel: Place, thread_ts: str) -> str:
        """The status ("is thinking...") shown in the thread, empty if there is none."""
        with self.workspace.changed:
            return self.workspace.statuses.get((self._place(channel).id, thread_ts), "")

    def prompts(self, user: User | str) -> list[Json]:
        """The prompts suggested in the person's direct messages."""
        with self.workspace.changed:
            return self.workspace.prompts.get(self.dm(user).id, [])

    def wait_for(self, predicate: Callable[[], T], *, timeout: float = 10) -> T:
        """The predicate's first true value; asks again whenever something changes.

        Raises AssertionError after ``timeout`` seconds, with the calls the app made.
        """
        deadline = time.monotonic() + timeout
        # The predicate is asked without the lock: it may wait for a thread that calls the server.
        while not (value := predicate()):
            if time.monotonic() > deadline:
                made = [f"{call.method} {call.error or 'ok'}" for call in self.calls]
                raise AssertionError(f"did not happen in {timeout} s; the app called {made}")
            with self.workspace.changed:
                self.workspace.changed.wait(0.02)
        return value

    # -- events ------------------------------------------------------------------------------

    def _place(self, channel: Place) -> Channel:
        return channel if isinstance(channel, Channel) else self.workspace.channels[channel]

    def _begin_message_events(self, message: Message) -> None:
        for delivery in self._events.of_message(message):
            self._dispatcher.begin(delivery)

    def _begin_altered_event(self, message: Message, subtype: str) -> None:
        delivery = self._events.of_change(message, subtype)
        if delivery is not None:
            self._dispatcher.begin(delivery)

    # -- interactions ------------------------------------------------------------------------

    def response_address(self, url: ResponseUrl) -> str:
        return f"{self.base_url}/actions/{url.key}"

    def _interactive(self, kind: str, author: User, trigger: Trigger) -> Json:
        team = self.workspace.team_id
        return {
            "type": kind,
            "team": {"id": team, "domain": self.workspace.domain},
            "user": {
                "id": author.id,
                "username": author.name,
                "name": author.name,
                "team_id": team,
            },
            "api_app_id": self.workspace.app_id,
            "token": "verification",
            "trigger_id": trigger.id,
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def _interact(
        self, delivery: Delivery, trigger: Trigger, url: ResponseUrl | None, view: View | None
    ) -> Interaction:
        self._dispatcher.deliver(delivery)
        return Interaction(delivery, trigger, url, view)

    def _state(self, blocks: Sequence[Json], values: Mapping[str, object]) -> Json:
        inputs = {block["block_id"]: block for block in blocks if block["type"] == "input"}
        unknown = set(values) - set(inputs)
        if unknown:
            raise ValueError(f"no inputs {sorted(unknown)} in the modal, only {sorted(inputs)}")
        state: Json = {}
        for name, block in inputs.items():
            value = values.get(name)
            element = block["element"]
            if not value and not block.get("optional"):
                raise ValueError(f"input {name} is required")
            kind = element["type"]
            given: Json = {"type": kind}
            if kind == "file_input":
                given["files"] = self._chosen_files(element, value)
            else:
                given["value"] = value or None
            state[name] = {element["action_id"]: given}
        return state

    def _chosen_files(self, element: Json, value: object) -> list[Json]:
        if not value:
            return []
        if not isinstance(value, Sequence) or not all(isinstance(f, SlackFile) for f in value):
            raise ValueError("a file input takes a sequence of files")
        files: list[SlackFile] = list(value)
        if len(files) > element.get("max_files", 10):
            raise ValueError(f"the input takes at most {element['max_files']} files")
        wanted = element.get("filetypes")
        for file in files:
            if wanted and file.filetype not in wanted:
                raise ValueError(f"{file.name}: the input takes only {wanted}")
        return [self.workspace.file_json(file, self.base_url) for file in files]

    def _after_submission(self, view: View, answer: object) -> None:
        """What Slack does with the modal after the acknowledgement of its submission."""
        given = answer if isinstance(answer, dict) else {}
        action = given.get("response_action")
        with self.workspace.changed:
            if action is None or action == "clear":
                view.is_open = False
            elif action == "errors":
                names = {
                    block["block_id"] for block in view.body["blocks"] if block["type"] == "input"
                }
                unknown = set(given["errors"]) - names
                if unknown or not given["errors"]:
                    raise AssertionError(
                        f"Slack shows no errors for {sorted(unknown)}: no such inputs"
                    )
                view.errors = dict(given["errors"])
            elif action in ("update", "push"):
                errors = block_kit.view_errors(given["view"])
                if errors:
                    raise AssertionError(f"Slack refuses the view in the acknowledgement: {errors}")
                self._api.fill(view, given["view"])
            else:
                raise AssertionError(f"Slack knows no response_action {action!r}")
            self.workspace.changed.notify_all()


def _id(user: User | str) -> str:
    return user if isinstance(user, str) else user.id


def _action(blocks: Sequence[Json], action_id: str, value: str | None) -> Json:
    """The ``actions`` entry of a click on the element with this action id."""
    seen: list[str] = []
    for block, element in block_kit.elements(blocks):
        seen.append(element["action_id"])
        if element["action_id"] != action_id:
            continue
        common = {"action_id": action_id, "block_id": block["block_id"], "type": element["type"]}
        if element["type"] == "feedback_buttons":
            for side in (element["positive_button"], element["negative_button"]):
                if side["value"] == value:
                    return {**common, "text": side["text"], "value": value}
        elif element["type"] in ("button", "icon_button") and value in (None, element.get("value")):
            kept: Json = {
                key: element[key] for key in ("text", "value", "style", "url") if key in element
            }
            return {**common, **kept}
    raise ValueError(f"no button {action_id!r} with value {value!r}; there are {seen}")
