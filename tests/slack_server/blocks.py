"""Block Kit as Slack's servers check it: the limits, the types and where each may stand.

Every checker returns error texts in Slack's form, the pointer naming the wrong value::

    must be less than 3001 characters [json-pointer:/blocks/0/text/text]

Limits are those of Slack's reference (docs.slack.dev/reference/block-kit), the wording of the
errors is what its answers say. Types that Slack knows and this module does not are refused and say
so.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]

MESSAGE_BLOCKS: Final = 50
MODAL_BLOCKS: Final = 100
# Slack documents no sum for a whole message; messages whose texts came to 11,341 characters were
# refused.
MESSAGE_TEXT: Final = 11_000
VIEW_BYTES: Final = 250_000

_ID: Final = 255
_URL: Final = 3_000
_BUTTON_TEXT: Final = 75
_VALUE: Final = 2_000


def message_errors(blocks: Sequence[object]) -> list[str]:
    """What Slack would refuse in the ``blocks`` of a message."""
    check = _Check()
    check.blocks(blocks, "/blocks", most=MESSAGE_BLOCKS, known=_MESSAGE)
    return check.errors


def view_errors(view: object) -> list[str]:
    """What Slack would refuse in a modal; pointers start at ``/view``."""
    check = _Check()
    check.view(view, "/view")
    return check.errors


def text_length(blocks: object) -> int:
    """Characters in all the texts of the blocks: what counts towards ``msg_blocks_too_long``."""
    if isinstance(blocks, dict):
        return sum(
            len(value) if key == "text" and isinstance(value, str) else text_length(value)
            for key, value in blocks.items()
        )
    if isinstance(blocks, list | tuple):
        return sum(text_length(item) for item in blocks)
    return 0


def elements(blocks: Sequence[Json]) -> list[tuple[Json, Json]]:
    """Every interactive element of the blocks with the block that holds it, in order."""
    found: list[tuple[Json, Json]] = []
    for block in blocks:
        inside = [*block.get("elements", ()), block.get("accessory"), block.get("element")]
        found += [
            (block, item) for item in inside if isinstance(item, dict) and "action_id" in item
        ]
    return found


class _Check:
    """One walk over a message or a view; collects the errors."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def fail(self, what: str, pointer: str) -> None:
        self.errors.append(f"{what} [json-pointer:{pointer}]")

    # -- parts -------------------------------------------------------------------------------

    def fields(
        self, value: object, pointer: str, required: Sequence[str], optional: Sequence[str] = ()
    ) -> Json | None:
        """The value, with no field missing and none too many; None if it is no object."""
        if not isinstance(value, dict):
            self.fail("must provide an object", pointer)
            return None
        for name in required:
            if name not in value:
                self.fail(f"missing required field: {name}", pointer)
        for name in value:
            if name not in required and name not in optional:
                self.fail(f"invalid additional property: {name}", pointer)
        return value

    def string(self, owner: Json, key: str, pointer: str, *, most: int, least: int = 0) -> None:
        if key not in owner:
            return
        value, at = owner[key], f"{pointer}/{key}"
        if not isinstance(value, str):
            self.fail("must provide a string", at)
        elif len(value) > most:
            self.fail(f"must be less than {most + 1} characters", at)
        elif len(value) < least:
            self.fail(f"must be more than {least - 1} characters", at)

    def flag(self, owner: Json, key: str, pointer: str) -> None:
        if key in owner and not isinstance(owner[key], bool):
            self.fail("must provide a boolean", f"{pointer}/{key}")

    def choice(self, owner: Json, key: str, pointer: str, allowed: Sequence[object]) -> None:
        if key in owner and owner[key] not in allowed:
            self.fail("must be a valid enum value", f"{pointer}/{key}")

    def number(self, owner: Json, key: str, pointer: str, low: int, high: int) -> None:
        if key not in owner:
            return
        value, at = owner[key], f"{pointer}/{key}"
        if not isinstance(value, int) or isinstance(value, bool):
            self.fail("must provide an integer", at)
        elif not low <= value <= high:
            self.fail(f"must be between {low} and {high}", at)

    def items(
        self, owner: Json, key: str, pointer: str, *, most: int, least: int = 1
    ) -> list[object]:
        """The list under the key, empty if it is missing or no list."""
        if key not in owner:
            return []
        value, at = owner[key], f"{pointer}/{key}"
        if not isinstance(value, list):
            self.fail("must provide an array", at)
            return []
        if len(value) > most:
            self.fail(f"no more than {most} items allowed", at)
        if len(value) < least:
            self.fail(f"no fewer than {least} items allowed", at)
        return value

    def text(
        self, value: object, pointer: str, *, most: int, plain: bool = False, least: int = 1
    ) -> None:
        """A text object: ``plain_text`` (with ``emoji``) or ``mrkdwn`` (with ``verbatim``)."""
        before = len(self.errors)
        kind = value.get("type") if isinstance(value, dict) else None
        if isinstance(value, dict) and kind not in (
            ["plain_text"] if plain else ["plain_text", "mrkdwn"]
        ):
            self.fail("must be a valid enum value", f"{pointer}/type")
        option = "verbatim" if kind == "mrkdwn" else "emoji"
        owner = self.fields(value, pointer, ("type", "text"), (option,))
        if owner is not None:
            self.string(owner, "text", pointer, most=most, least=least)
            self.flag(owner, option, pointer)
        if len(self.errors) > before:
            self.errors.insert(
                before, f"failed to match all allowed schemas [json-pointer:{pointer}]"
            )

    def web_address(self, owner: Json, key: str, pointer: str) -> None:
        self.string(owner, key, pointer, most=_URL, least=1)
        value = owner.get(key)
        if isinstance(value, str) and not value.startswith(("https://", "http://")):
            self.fail("must be a valid URL", f"{pointer}/{key}")

    # -- surfaces ----------------------------------------------------------------------------

    def blocks(
        self, blocks: Sequence[object], pointer: str, *, most: int, known: Mapping[str, "_Checker"]
    ) -> None:
        if len(blocks) > most:
            self.fail(f"no more than {most} items allowed", pointer)
        taken: set[str] = set()
        for number, block in enumerate(blocks):
            at = f"{pointer}/{number}"
            if not isinstance(block, dict):
                self.fail("must provide an object", at)
                continue
            kind = block.get("type")
            if not isinstance(kind, str):
                self.fail("missing required field: type", at)
            elif kind not in known:
                self.fail(f"unsupported type: {kind}{_note(kind)}", f"{at}/type")
            else:
                known[kind](self, block, at)
            self.string(block, "block_id", at, most=_ID)
            name = block.get("block_id")
            if isinstance(name, str) and name:
                if name in taken:
                    self.fail(f"`block_id` already exists: {name}", f"{at}/block_id")
                taken.add(name)
            self._actions_differ(block, at)

    def _actions_differ(self, block: Json, pointer: str) -> None:
        taken: set[str] = set()
        for _, item in elements([block]):
            name = str(item["action_id"])
            if name in taken:
                self.fail(f"`action_id` already exists in this block: {name}", pointer)
            taken.add(name)

    def view(self, value: object, pointer: str) -> None:
        optional = (
            *(
                "close",
                "submit",
                "private_metadata",
                "callback_id",
                "clear_on_close",
                "notify_on_close",
            ),
            *("external_id", "submit_disabled"),
        )
        view = self.fields(value, pointer, ("type", "title", "blocks"), optional)
        if view is None:
            return
        if view.get("type") != "modal":
            self.fail(f"unsupported type: {view.get('type')}", f"{pointer}/type")
        for key in ("title", "submit", "close"):
            if key in view:
                self.text(view[key], f"{pointer}/{key}", most=24, plain=True)
        self.string(view, "private_metadata", pointer, most=3_000)
        self.string(view, "callback_id", pointer, most=_ID)
        self.string(view, "external_id", pointer, most=_ID)
        self.flag(view, "clear_on_close", pointer)
        self.flag(view, "notify_on_close", pointer)
        found = view.get("blocks", [])
        if not isinstance(found, list):
            self.fail("must provide an array", f"{pointer}/blocks")
            return
        self.blocks(found, f"{pointer}/blocks", most=MODAL_BLOCKS, known=_MODAL)
        inputs = [
            block for block in found if isinstance(block, dict) and block.get("type") == "input"
        ]
        if inputs and "submit" not in view:
            self.fail("missing required field: submit", pointer)

    # -- blocks ------------------------------------------------------------------------------

    def section(self, value: Json, pointer: str) -> None:
        self.fields(
            value, pointer, ("type",), ("block_id", "text", "fields", "accessory", "expand")
        )
        if "text" not in value and "fields" not in value:
            self.fail("must define either `text` or `fields`", pointer)
        if "text" in value:
            self.text(value["text"], f"{pointer}/text", most=3_000)
        for number, field in enumerate(self.items(value, "fields", pointer, most=10)):
            self.text(field, f"{pointer}/fields/{number}", most=2_000)
        if "accessory" in value:
            self.one_of(value["accessory"], f"{pointer}/accessory", _ACCESSORIES)
        self.flag(value, "expand", pointer)

    def header(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "text"), ("block_id",))
        if "text" in value:
            self.text(value["text"], f"{pointer}/text", most=150, plain=True)

    def divider(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type",), ("block_id",))

    def context(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "elements"), ("block_id",))
        for number, item in enumerate(self.items(value, "elements", pointer, most=10)):
            at = f"{pointer}/elements/{number}"
            if isinstance(item, dict) and item.get("type") == "image":
                self.image(item, at)
            else:
                self.text(item, at, most=3_000)

    def image(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "image_url", "alt_text"), ("block_id", "title"))
        self.web_address(value, "image_url", pointer)
        self.string(value, "alt_text", pointer, most=2_000, least=1)
        if "title" in value:
            self.text(value["title"], f"{pointer}/title", most=2_000, plain=True)

    def markdown(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "text"), ("block_id",))
        self.string(value, "text", pointer, most=12_000, least=1)

    def actions(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "elements"), ("block_id",))
        for number, item in enumerate(self.items(value, "elements", pointer, most=25)):
            self.one_of(item, f"{pointer}/elements/{number}", _ACTIONS)

    def context_actions(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "elements"), ("block_id",))
        for number, item in enumerate(self.items(value, "elements", pointer, most=5)):
            self.one_of(item, f"{pointer}/elements/{number}", _CONTEXT_ACTIONS)

    def input(self, value: Json, pointer: str) -> None:
        optional = ("block_id", "hint", "optional", "dispatch_action")
        self.fields(value, pointer, ("type", "label", "element"), optional)
        if "label" in value:
            self.text(value["label"], f"{pointer}/label", most=2_000, plain=True)
        if "hint" in value:
            self.text(value["hint"], f"{pointer}/hint", most=2_000, plain=True)
        self.flag(value, "optional", pointer)
        self.flag(value, "dispatch_action", pointer)
        if "element" in value:
            self.one_of(value["element"], f"{pointer}/element", _INPUTS)

    # -- elements ----------------------------------------------------------------------------

    def one_of(self, value: object, pointer: str, known: Mapping[str, "_Checker"]) -> None:
        if not isinstance(value, dict):
            self.fail("must provide an object", pointer)
            return
        kind = value.get("type")
        if not isinstance(kind, str):
            self.fail("missing required field: type", pointer)
        elif kind not in known:
            self.fail(f"unsupported type: {kind}{_note(kind)}", f"{pointer}/type")
        else:
            known[kind](self, value, pointer)

    def button(self, value: Json, pointer: str) -> None:
        optional = ("action_id", "url", "value", "style", "confirm", "accessibility_label")
        self.fields(value, pointer, ("type", "text"), optional)
        self._labelled(value, pointer)
        if "url" in value:
            self.web_address(value, "url", pointer)
        self.choice(value, "style", pointer, ("primary", "danger"))
        if "confirm" in value:
            self.confirm(value["confirm"], f"{pointer}/confirm")

    def _labelled(self, value: Json, pointer: str) -> None:
        if "text" in value:
            self.text(value["text"], f"{pointer}/text", most=_BUTTON_TEXT, plain=True)
        self.string(value, "action_id", pointer, most=_ID, least=1)
        self.string(value, "value", pointer, most=_VALUE, least=1)
        self.string(value, "accessibility_label", pointer, most=_BUTTON_TEXT)

    def confirm(self, value: object, pointer: str) -> None:
        confirm = self.fields(value, pointer, ("title", "text", "confirm", "deny"), ("style",))
        if confirm is None:
            return
        for key, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
            if key in confirm:
                self.text(confirm[key], f"{pointer}/{key}", most=most, plain=key != "text")
        self.choice(confirm, "style", pointer, ("primary", "danger"))

    def feedback_buttons(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "positive_button", "negative_button"), ("action_id",))
        self.string(value, "action_id", pointer, most=_ID, least=1)
        for key in ("positive_button", "negative_button"):
            if key in value:
                at = f"{pointer}/{key}"
                side = self.fields(value[key], at, ("text", "value"), ("accessibility_label",))
                if side is not None:
                    self._labelled(side, at)

    def icon_button(self, value: Json, pointer: str) -> None:
        optional = ("action_id", "value", "confirm", "accessibility_label", "visible_to_user_ids")
        self.fields(value, pointer, ("type", "icon", "text"), optional)
        self.choice(value, "icon", pointer, ("trash",))
        self._labelled(value, pointer)

    def plain_text_input(self, value: Json, pointer: str) -> None:
        optional = (
            *("action_id", "initial_value", "multiline", "min_length", "max_length"),
            *("dispatch_action_config", "focus_on_load", "placeholder"),
        )
        self.fields(value, pointer, ("type",), optional)
        self.string(value, "action_id", pointer, most=_ID, least=1)
        self.string(value, "initial_value", pointer, most=3_000)
        self.flag(value, "multiline", pointer)
        self.number(value, "min_length", pointer, 0, 3_000)
        self.number(value, "max_length", pointer, 1, 3_000)
        self.flag(value, "focus_on_load", pointer)
        if "placeholder" in value:
            self.text(value["placeholder"], f"{pointer}/placeholder", most=150, plain=True)

    def file_input(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type",), ("action_id", "filetypes", "max_files"))
        self.string(value, "action_id", pointer, most=_ID, least=1)
        self.number(value, "max_files", pointer, 1, 10)
        for number, kind in enumerate(self.items(value, "filetypes", pointer, most=1_000)):
            if not isinstance(kind, str):
                self.fail("must provide a string", f"{pointer}/filetypes/{number}")

    # -- rich text ---------------------------------------------------------------------------

    def rich_text(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "elements"), ("block_id",))
        for number, item in enumerate(self.items(value, "elements", pointer, most=10_000)):
            self.one_of(item, f"{pointer}/elements/{number}", _RICH)

    def rich_text_section(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "elements"))
        self._inline(value, pointer, _INLINE)

    def rich_text_quote(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "elements"), ("border",))
        self.number(value, "border", pointer, 0, 1)
        self._inline(value, pointer, _INLINE)

    def rich_text_preformatted(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "elements"), ("border", "language"))
        self.number(value, "border", pointer, 0, 1)
        self._inline(value, pointer, {kind: _INLINE[kind] for kind in ("text", "link")})

    def rich_text_list(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "style", "elements"), ("indent", "offset", "border"))
        self.choice(value, "style", pointer, ("bullet", "ordered"))
        self.number(value, "indent", pointer, 0, 8)
        self.number(value, "offset", pointer, 0, 10_000)
        self.number(value, "border", pointer, 0, 1)
        self._inline(value, pointer, {"rich_text_section": _Check.rich_text_section})

    def _inline(self, value: Json, pointer: str, known: Mapping[str, "_Checker"]) -> None:
        for number, item in enumerate(self.items(value, "elements", pointer, most=10_000, least=0)):
            self.one_of(item, f"{pointer}/elements/{number}", known)

    def _style(self, value: Json, pointer: str, allowed: Sequence[str]) -> None:
        if "style" not in value:
            return
        style = self.fields(value["style"], f"{pointer}/style", (), allowed)
        for name in style or ():
            self.flag(value["style"], name, f"{pointer}/style")

    def inline_text(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "text"), ("style",))
        self.string(value, "text", pointer, most=MESSAGE_TEXT * 4, least=1)
        self._style(value, pointer, ("bold", "italic", "strike", "code", "underline"))

    def inline_link(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "url"), ("text", "unsafe", "style"))
        self.string(value, "url", pointer, most=_URL, least=1)
        self.string(value, "text", pointer, most=MESSAGE_TEXT * 4)
        self.flag(value, "unsafe", pointer)
        self._style(value, pointer, ("bold", "italic", "strike", "code", "underline"))

    def inline_emoji(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "name"), ("unicode", "skin_tone", "style"))
        self.string(value, "name", pointer, most=100, least=1)

    def inline_user(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "user_id"), ("style",))
        self.string(value, "user_id", pointer, most=20, least=1)

    def inline_channel(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "channel_id"), ("style",))
        self.string(value, "channel_id", pointer, most=20, least=1)

    def inline_usergroup(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "usergroup_id"), ("style",))
        self.string(value, "usergroup_id", pointer, most=20, least=1)

    def inline_broadcast(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "range"), ("style",))
        self.choice(value, "range", pointer, ("here", "channel", "everyone"))

    def inline_date(self, value: Json, pointer: str) -> None:
        self.fields(value, pointer, ("type", "timestamp", "format"), ("url", "fallback", "style"))
        self.number(value, "timestamp", pointer, 0, 2**33)
        self.string(value, "format", pointer, most=1_000, least=1)


_Checker: TypeAlias = Callable[[_Check, Json, str], None]

_INLINE: Final[Mapping[str, _Checker]] = {
    "text": _Check.inline_text,
    "link": _Check.inline_link,
    "emoji": _Check.inline_emoji,
    "user": _Check.inline_user,
    "channel": _Check.inline_channel,
    "usergroup": _Check.inline_usergroup,
    "broadcast": _Check.inline_broadcast,
    "date": _Check.inline_date,
}
_RICH: Final[Mapping[str, _Checker]] = {
    "rich_text_section": _Check.rich_text_section,
    "rich_text_quote": _Check.rich_text_quote,
    "rich_text_preformatted": _Check.rich_text_preformatted,
    "rich_text_list": _Check.rich_text_list,
}
_ACTIONS: Final[Mapping[str, _Checker]] = {"button": _Check.button}
_ACCESSORIES: Final[Mapping[str, _Checker]] = {"button": _Check.button, "image": _Check.image}
_CONTEXT_ACTIONS: Final[Mapping[str, _Checker]] = {
    "feedback_buttons": _Check.feedback_buttons,
    "icon_button": _Check.icon_button,
}
_INPUTS: Final[Mapping[str, _Checker]] = {
    "plain_text_input": _Check.plain_text_input,
    "file_input": _Check.file_input,
}
_EVERYWHERE: Final[Mapping[str, _Checker]] = {
    "section": _Check.section,
    "header": _Check.header,
    "divider": _Check.divider,
    "context": _Check.context,
    "image": _Check.image,
    "actions": _Check.actions,
    "rich_text": _Check.rich_text,
}
_MESSAGE: Final[Mapping[str, _Checker]] = {
    **_EVERYWHERE,
    "context_actions": _Check.context_actions,
    "markdown": _Check.markdown,
}
_MODAL: Final[Mapping[str, _Checker]] = {**_EVERYWHERE, "input": _Check.input}

_NOT_MODELLED: Final = frozenset(
    "alert card carousel container data_table file table video plan task_card "
    "checkboxes datepicker datetimepicker email_text_input number_input overflow radio_buttons "
    "static_select external_select users_select conversations_select channels_select timepicker "
    "multi_static_select rich_text_input url_text_input workflow_button".split()
)


def _note(kind: str) -> str:
    return " (Slack knows it, this test server does not)" if kind in _NOT_MODELLED else ""
