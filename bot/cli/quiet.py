"""Keeping a library's log from telling over and over what an error tells once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_slack() -> Iterator[None]:
    """Without Slack's client logging each try that fails, unless ``--verbose`` wants all of it.

    For the checks at the start, whose error says in one line what came of the tries.
    """
    log = logging.getLogger("slack_sdk")
    if log.isEnabledFor(logging.INFO):
        yield
        return
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
