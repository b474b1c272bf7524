"""The boxes of task lists, as signs: ☑ and ☐."""

from __future__ import annotations

import re
from collections.abc import Callable

from selectolax.lexbor import LexborNode

_WRITTEN = re.compile(r"(- |\d+\. )\[([ xX])\] +")


def boxed(item: str) -> str:
    """A list item, marker included, with the box that Markdown writes as "[x]" as a sign."""
    task = _WRITTEN.match(item)
    return f"{task[1]}{_sign(task[2] != ' ')}{item[task.end() :]}" if task else item


def task_box(item: LexborNode, is_hidden: Callable[[dict[str, str | None]], bool]) -> str:
    """The sign for the box in front of an HTML list item, and a space; "" if it has none.

    Args:
        is_hidden: whether an element with these attributes is not shown.
    """
    attributes = item.attributes
    if "data-inline-task-id" in attributes:  # Confluence draws the box by its style sheet
        return _sign("checked" in (attributes.get("class") or "").split())
    box = _first_box(item)
    if box is None or is_hidden(box.attributes):
        return ""
    return _sign("checked" in box.attributes)


def _first_box(item: LexborNode) -> LexborNode | None:
    """The checkbox that stands before all text of the item."""
    stack = [item]
    while stack:
        node = stack.pop()
        if node.is_text_node and (node.text_content or "").strip():
            return None
        if node.tag == "input" and (node.attributes.get("type") or "").lower() == "checkbox":
            return node
        if node.tag == "li" and node.mem_id != item.mem_id:
            return None  # what comes is an item's of a list in this one
        child = node.last_child
        while child is not None:
            stack.append(child)
            child = child.prev
    return None


def _sign(checked: bool) -> str:
    return "☑ " if checked else "☐ "
