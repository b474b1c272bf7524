"""Who may change the knowledge base."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.errors import ConfigurationError


class Admins:
    """The users of ``SPANBOT_ADMINS``, or else the workspace's own admins and owners.

    What Slack says of a user is kept for ``ttl`` seconds, so that somebody who stops being an
    admin soon stops being one here.
    """

    def __init__(
        self,
        client: WebClient,
        configured: frozenset[str],
        *,
        ttl: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._configured = configured
        self._ttl = ttl
        self._clock = clock
        self._known: dict[str, tuple[bool, float]] = {}
        self._lock = threading.Lock()

    def is_admin(self, user: str) -> bool:
        """Whether ``user`` may change the knowledge base.

        Raises:
            ConfigurationError: Slack does not let the bot ask, and ``SPANBOT_ADMINS`` is empty.
        """
        if self._configured:
            return user in self._configured
        now = self._clock()
        with self._lock:
            known = self._known.get(user)
        if known is not None and now < known[1]:
            return known[0]
        admin = self._ask(user)
        with self._lock:
            self._known[user] = (admin, now + self._ttl)
        return admin

    def describe(self) -> str:
        """Who the admins are, for a refusal: ``mrkdwn``, in which ids become names."""
        if self._configured:
            return ", ".join(f"<@{user}>" for user in sorted(self._configured))
        return "an admin or owner of this Slack workspace"

    def _ask(self, user: str) -> bool:
        try:
            response = self._client.users_info(user=user)
        except SlackApiError as error:
            if error.response.get("error") != "missing_scope":
                raise
            raise ConfigurationError(
                "I cannot see who the admins of this workspace are: the Slack app lacks the scope "
                "users:read. Whoever manages it can add that scope and install the app again, or "
                "name the admins in SPANBOT_ADMINS."
            ) from error
        found = response.get("user")
        profile = found if isinstance(found, dict) else {}
        if profile.get("deleted"):
            return False
        return any(bool(profile.get(role)) for role in ("is_admin", "is_owner", "is_primary_owner"))
