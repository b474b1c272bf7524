"""The Slack app: its parts put together, its listeners registered."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slack_bolt import App, BoltContext
from slack_bolt.authorization import AuthorizeResult
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.errors import ConfigurationError
from bot.slack import feedback, kb, questions
from bot.slack.admins import Admins
from bot.slack.destination import retry_handlers
from bot.slack.errors import destination_of, report
from bot.slack.files import FileFetcher
from bot.slack.ports import Answerer, KnowledgeBase, SlackSettings
from bot.slack.questions import PATIENCE_S
from bot.slack.records import Records
from bot.slack.work import DaemonExecutor, WorkQueue
from retriever.parsing import SUFFIXES
from retriever.store.database import Database

logger = logging.getLogger(__name__)

# With Bolt's own five threads, seven slow listeners made a command miss Slack's three seconds.
LISTENER_THREADS = 32

_NEEDED_SCOPES = ("app_mentions:read", "chat:write", "commands", "im:history")
_WHERE_TO_GET_IT = (
    "take the Bot User OAuth Token (xoxb-…) from OAuth & Permissions of your app at "
    "https://api.slack.com/apps"
)
NO_BOT_TOKEN = f"SLACK_BOT_TOKEN is not set; {_WHERE_TO_GET_IT}"

# Twice what a GPU reads at once: while it is busy with a batch, the next one gathers.
QUESTION_WORKERS = 32
MAX_WAITING = 64


def _question_queue() -> WorkQueue:
    return WorkQueue("questions", workers=QUESTION_WORKERS, limit=MAX_WAITING)


def _chore_queue() -> WorkQueue:
    # One at a time: uploads and reindexing write the same index.
    return WorkQueue("chores", workers=1, limit=20)


@dataclass(frozen=True, slots=True)
class SlackDependencies:
    """Everything the app is made of.

    Attributes:
        database: remembers which deliveries were taken on, and feedback.
        questions: where questions are answered.
        chores: where uploads and reindexing are done, apart from the questions.
        patience: seconds that a question may take, waiting included.
    """

    settings: SlackSettings
    answerer: Answerer
    knowledge: KnowledgeBase
    database: Database
    questions: WorkQueue = field(default_factory=_question_queue)
    chores: WorkQueue = field(default_factory=_chore_queue)
    patience: float = PATIENCE_S

    def close(self, timeout: float) -> bool:
        """Finish what was begun, for ``timeout`` seconds at most; whether all was finished."""
        deadline = time.monotonic() + timeout
        answered = self.questions.close(timeout)
        return self.chores.close(max(0.0, deadline - time.monotonic())) and answered


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the bot is in its workspace."""

    user_id: str
    bot_id: str | None
    name: str
    team: str
    team_id: str | None
    enterprise_id: str | None


def make_client(settings: SlackSettings) -> WebClient:
    """A Web API client with the bot's token.

    Raises:
        ConfigurationError: there is no token, or it is of the wrong kind.
    """
    token = settings.slack_bot_token
    if not token:
        raise ConfigurationError(NO_BOT_TOKEN)
    if not token.startswith("xoxb-"):
        raise ConfigurationError(f"SLACK_BOT_TOKEN is not a bot token; {_WHERE_TO_GET_IT}")
    return WebClient(token=token, base_url=settings.slack_api_url, retry_handlers=retry_handlers())


def identify(client: WebClient) -> Identity:
    """Ask Slack whose token this is.

    Raises:
        ConfigurationError: Slack refuses the token, the token lacks scopes that the bot cannot do
            without, or Slack cannot be reached.
    """
    try:
        response = client.auth_test()
    except SlackApiError as error:
        code = error.response.get("error") or "unknown_error"
        raise ConfigurationError(
            f"Slack refuses SLACK_BOT_TOKEN ({code}: {_refusal(str(code))}); {_WHERE_TO_GET_IT}"
        ) from error
    except (OSError, SlackClientError) as error:
        raise ConfigurationError(
            f"Slack cannot be reached at {client.base_url} ({error}); check the network"
        ) from error
    _check_scopes(response.headers)
    user_id, bot_id = response.get("user_id"), response.get("bot_id")
    return Identity(
        user_id=str(user_id),
        bot_id=str(bot_id) if bot_id else None,
        name=str(response.get("user") or "spanbot"),
        team=str(response.get("team") or "?"),
        team_id=response.get("team_id"),
        enterprise_id=response.get("enterprise_id"),
    )


def build_app(deps: SlackDependencies, *, identity: Identity | None = None) -> App:
    """The Bolt app, ready to be handed deliveries by Socket Mode or HTTP.

    Args:
        identity: what :func:`identify` gave, to spare Slack a second question.

    Raises:
        ConfigurationError: the token is missing, refused or lacks scopes.
    """
    client = make_client(deps.settings)
    me = identity or identify(client)
    app = _bolt_app(deps.settings, client, me)
    records = Records(deps.database)

    @app.error
    def on_error(error: Exception, body: dict[str, Any], context: BoltContext) -> None:
        # The context has no client where authorization itself went wrong.
        report(error, destination_of(body, context.client or client))

    admins = Admins(client, deps.settings.admins)
    fetcher = FileFetcher(client.token or "", api_url=deps.settings.slack_api_url)
    uploads = kb.Uploads(client, deps.knowledge, fetcher, frozenset(SUFFIXES))
    desk = kb.KnowledgeDesk(client, deps.knowledge, admins, uploads, deps.chores)
    questions.register(
        app,
        questions.QuestionDesk(
            client,
            deps.answerer,
            records,
            deps.questions,
            bot_user_id=me.user_id,
            bot_name=me.name,
            on_files=desk.receive_files,
            patience=deps.patience,
        ),
    )
    kb.register(app, desk)
    feedback.register(app, records)
    return app


def _bolt_app(settings: SlackSettings, client: WebClient, me: Identity) -> App:
    """An app that takes nothing from the environment.

    Bolt reads ``SLACK_CLIENT_ID`` and its kin by itself and would then look for installations in
    a store of its own; ``authorize`` and a client without a token keep it to this one token.
    """

    def authorize() -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=me.enterprise_id,
            team_id=me.team_id,
            bot_user_id=me.user_id,
            bot_id=me.bot_id,
            bot_token=client.token,
        )

    bolt_logger = logging.getLogger("bot.slack.bolt")
    bolt_logger.addFilter(_is_worth_logging)
    return App(
        name="spanbot",
        logger=bolt_logger,
        client=WebClient(base_url=client.base_url, retry_handlers=retry_handlers()),
        authorize=authorize,
        signing_secret=settings.slack_signing_secret or "",
        listener_executor=DaemonExecutor("listener", workers=LISTENER_THREADS),
    )


def _is_worth_logging(record: logging.LogRecord) -> bool:
    """Drops Bolt's warning that the environment's token goes unused: it is meant to."""
    return "`token` will be unused" not in record.getMessage()


def _check_scopes(headers: Mapping[str, str]) -> None:
    granted_by = {name.lower(): value for name, value in headers.items()}
    granted = granted_by.get("x-oauth-scopes")
    if granted is None:
        return
    scopes = {scope.strip() for scope in granted.split(",")}
    missing = [scope for scope in _NEEDED_SCOPES if scope not in scopes]
    if missing:
        raise ConfigurationError(
            f"the Slack app lacks the scopes {', '.join(missing)}; add them under OAuth & "
            "Permissions at https://api.slack.com/apps and install the app again"
        )
    for scope, use in (
        ("files:read", "files cannot be added through Slack"),
        ("users:read", "the workspace's admins are unknown, set SPANBOT_ADMINS"),
    ):
        if scope not in scopes:
            logger.warning("the Slack app lacks the scope %s: %s", scope, use)


def _refusal(code: str) -> str:
    return {
        "invalid_auth": "it is no token of an installed app",
        "not_authed": "no token arrived",
        "token_revoked": "it was revoked",
        "token_expired": "it has expired",
        "account_inactive": "the app was removed from the workspace",
        "missing_scope": "the app lacks scopes",
    }.get(code, "see Slack's documentation of auth.test")
