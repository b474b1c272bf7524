"""Running the app: Socket Mode where there is an app-level token, else signed HTTP requests."""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from slack_bolt import App, BoltRequest, BoltResponse
from slack_bolt.adapter.socket_mode.websocket_client import SocketModeHandler
from slack_bolt.adapter.wsgi import SlackRequestHandler
from slack_bolt.adapter.wsgi.http_request import WsgiHttpRequest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from waitress.server import BaseWSGIServer, create_server
from waitress.trigger import trigger
from waitress.wasyncore import dispatcher
from websocket import WebSocket, WebSocketException

from bot.errors import ConfigurationError
from bot.slack.app import (
    NO_BOT_TOKEN,
    Identity,
    SlackDependencies,
    build_app,
    identify,
    make_client,
)
from bot.slack.destination import retry_handlers
from bot.slack.ports import SlackSettings
from bot.slack.work import DaemonExecutor

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

logger = logging.getLogger(__name__)

EVENTS_PATH = "/slack/events"
HEALTH_PATH = "/health"

# A connection whose pong does not come is replaced; also how often a lost one is dialled again.
_PING_INTERVAL_S = 8
_PONG_TIMEOUT_S = 4
_CONNECT_S = 10.0
_GOODBYE_S = 2.0
_LISTENERS_S = 5.0
_MAX_BODY_BYTES = 4 * 1024 * 1024
_HTTP_THREADS = 16

_NO_CONNECTION = (
    "neither SLACK_APP_TOKEN nor SLACK_SIGNING_SECRET is set; set SLACK_APP_TOKEN (xapp-…) for "
    "Socket Mode, or SLACK_SIGNING_SECRET to receive HTTP requests. Both are found under Basic "
    "Information of your app at https://api.slack.com/apps"
)


class Connection(Protocol):
    """A way for Slack's deliveries to reach the app."""

    @property
    def description(self) -> str: ...

    def open(self) -> None:
        """Begin to receive; returns at once."""
        ...

    def close(self) -> None:
        """Receive nothing more."""
        ...


def serve(
    deps: SlackDependencies,
    stop: threading.Event,
    *,
    drain_s: float = 20.0,
    on_ready: Callable[[Connection], None] | None = None,
) -> None:
    """Run the app until ``stop`` is set, then finish what was begun within ``drain_s`` seconds.

    Args:
        on_ready: is called once deliveries can arrive.

    Raises:
        ConfigurationError: a token is missing, wrong or refused, or the port cannot be used.
    """
    check_settings(deps.settings)
    identity = identify(make_client(deps.settings))
    app = build_app(deps, identity=identity)
    connection = connect(app, deps.settings)
    try:
        with _opened(connection):
            _log_start(deps.settings, identity, connection)
            if on_ready is not None:
                on_ready(connection)
            stop.wait()
            logger.info("stopping: no more questions are taken, those begun are finished")
    finally:
        listeners = app.listener_runner.listener_executor
        assert isinstance(listeners, DaemonExecutor)
        deadline = time.monotonic() + drain_s
        # A listener may be waiting for as long as Slack's rate limit wants it to.
        heard = listeners.close(min(_LISTENERS_S, drain_s))
        if not deps.close(max(0.0, deadline - time.monotonic())) or not heard:
            logger.warning("stopped after %.0f s with work unfinished", drain_s)
    logger.info("stopped")


def missing_settings(settings: SlackSettings) -> dict[str, str]:
    """What has to be set for the bot to be connected, by variable: where to get it."""
    missing = {}
    if not settings.slack_bot_token:
        missing["SLACK_BOT_TOKEN"] = NO_BOT_TOKEN
    if not settings.slack_app_token and not settings.slack_signing_secret:
        missing["SLACK_APP_TOKEN"] = _NO_CONNECTION
    return missing


def check_settings(settings: SlackSettings) -> None:
    """Make sure that there is a token to speak by, and a way to be connected.

    Raises:
        ConfigurationError: the bot's token is missing, or there is neither an app-level token nor a
            signing secret, and the message names all that is missing; or the app-level token is of
            the wrong kind.
    """
    if settings.slack_app_token and not settings.slack_app_token.startswith("xapp-"):
        raise ConfigurationError(
            "SLACK_APP_TOKEN is not an app-level token; make one (xapp-…) with the scope "
            "connections:write under Basic Information of your app at "
            "https://api.slack.com/apps"
        )
    missing = missing_settings(settings)
    if missing:
        raise ConfigurationError(". And ".join(missing.values()))


def check_app_token(settings: SlackSettings) -> None:
    """Ask Slack for a connection with the app-level token; none is opened.

    Raises:
        ConfigurationError: Slack refuses the token, or cannot be reached.
    """
    client = WebClient(base_url=settings.slack_api_url, retry_handlers=retry_handlers())
    with _explained():
        client.apps_connections_open(app_token=str(settings.slack_app_token))


@contextmanager
def _explained() -> Iterator[None]:
    """Tells what to do where Slack gives no connection."""
    try:
        yield
    except SlackApiError as error:
        raise ConfigurationError(
            f"Slack refuses SLACK_APP_TOKEN ({error.response.get('error')}); make an app-level "
            "token with the scope connections:write under Basic Information of your app at "
            "https://api.slack.com/apps, and turn Socket Mode on"
        ) from error
    except (OSError, SlackClientError) as error:
        raise ConfigurationError(
            f"Slack cannot be reached for Socket Mode ({error}); check the network"
        ) from error


def connect(app: App, settings: SlackSettings) -> Connection:
    """The connection that the settings call for; see :func:`check_settings`."""
    if settings.slack_app_token:
        return SocketConnection(app, settings.slack_app_token)
    return HttpConnection(app, host=settings.http_host, port=settings.http_port)


class SocketConnection:
    """Socket Mode: the app dials out, nothing needs to reach it."""

    def __init__(self, app: App, app_token: str) -> None:
        # This client reconnects within seconds; Bolt's built-in one took a minute.
        self._handler = SocketModeHandler(
            app, app_token, ping_interval=_PING_INTERVAL_S, concurrency=16
        )
        self._handler.client.current_session_runner.target = self._receive
        # The client logs what goes wrong; the library below calls each goodbye an error as well.
        logging.getLogger("websocket").setLevel(logging.CRITICAL)

    @property
    def description(self) -> str:
        return "Socket Mode"

    def open(self) -> None:
        client = self._handler.client
        opened = threading.Event()
        client.on_open_listeners.append(lambda session: opened.set())
        # connect() would start the monitor at once, which would take the connection that is just
        # being made for a lost one and make a second.
        client.current_app_monitor_started = True
        with _explained():
            client.connect()
        if not opened.wait(_CONNECT_S):
            logger.warning("Socket Mode is not connected after %.0f s; still trying", _CONNECT_S)
        client.current_app_monitor.start()

    def _receive(self) -> None:
        """Receive from the present connection until it ends.

        As the client does it, but with a limit for pongs: without one a connection that died
        silently is never noticed, and one that was replaced is left ten seconds late.
        """
        session = self._handler.client.current_session
        if session is None:
            return
        try:
            session.run_forever(ping_interval=_PING_INTERVAL_S, ping_timeout=_PONG_TIMEOUT_S)
        except Exception:
            logger.exception("the Socket Mode connection failed; it is made anew")
            session.close()

    def close(self) -> None:
        client = self._handler.client
        client.auto_reconnect_enabled = False
        # Its thread would otherwise dial the old address again, half a second later.
        client.current_session_runner.event.set()
        session = client.current_session
        web_socket = session.sock if session is not None else None
        if session is not None and web_socket is not None:
            session.on_error = None  # a goodbye is no error, but the client logs it as one
            _say_goodbye(web_socket, client.current_session_runner.thread)
        client.closed = True
        client.message_queue.put(None)  # wakes the thread that waits for messages
        client.close()


def _say_goodbye(web_socket: WebSocket, reader: threading.Thread) -> None:
    """Close a connection and let the other side's goodbye end the thread that reads from it.

    That thread sits in a ``select()`` which closing the socket here would not wake for ten
    seconds, and the library leaves it to the garbage collector to hang up.
    """
    raw = web_socket.sock
    with suppress(OSError, WebSocketException):
        web_socket.send_close()
    reader.join(timeout=_GOODBYE_S)
    if raw is not None:
        with suppress(OSError):
            raw.shutdown(socket.SHUT_RDWR)
        raw.close()


class HttpConnection:
    """HTTP: Slack sends signed requests to ``/slack/events``; ``/health`` says that we live."""

    def __init__(self, app: App, *, host: str, port: int) -> None:
        self._app = WebApp(app)
        self._host = host
        self._port = port
        self._sockets: dict[int, dispatcher] = {}
        self._server: Any = None
        self._thread: threading.Thread | None = None

    @property
    def description(self) -> str:
        return f"HTTP on http://{self._host}:{self.port}{EVENTS_PATH}"

    @property
    def port(self) -> int:
        """The port that is listened on: once open, the real one where 0 was asked for."""
        listening = (s for s in self._sockets.values() if isinstance(s, BaseWSGIServer))
        return next((int(server.effective_port) for server in listening), self._port)

    def open(self) -> None:
        try:
            self._server = create_server(
                self._app,
                host=self._host,
                port=self._port,
                threads=_HTTP_THREADS,
                max_request_body_size=_MAX_BODY_BYTES,
                ident=None,
                map=self._sockets,
            )
        except (OSError, ValueError) as error:
            self._close_sockets()  # those that were made before it failed
            raise ConfigurationError(
                f"cannot listen on {self._host}:{self._port} ({error}); set SPANBOT_HTTP_HOST and "
                "SPANBOT_HTTP_PORT to an address and port that are free"
            ) from error
        self._thread = threading.Thread(target=self._server.run, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        if self._thread is None:
            return
        # The sockets belong to the server's thread: it closes them when it is told to.
        self._in_server_thread(self._stop_listening)
        self._server.task_dispatcher.shutdown(cancel_pending=False)
        self._in_server_thread(self._close_sockets)
        self._thread.join(timeout=10)
        self._thread = None

    def _in_server_thread(self, action: Callable[[], None]) -> None:
        # list(): the other thread opens and closes sockets meanwhile.
        triggers = [s for s in list(self._sockets.values()) if isinstance(s, trigger)]
        if triggers:
            try:
                triggers[0].pull_trigger(action)
            except OSError as error:
                # A request that just ended had woken the thread too: it has done the action, the
                # closing of this very trigger, before the wake-up call for it could be written.
                if error.errno != errno.EBADF:
                    raise

    def _stop_listening(self) -> None:
        for server in list(self._sockets.values()):
            if isinstance(server, BaseWSGIServer):
                dispatcher.close(server)

    def _close_sockets(self) -> None:
        for opened in list(self._sockets.values()):
            opened.close()


class _Handler(SlackRequestHandler):
    """Bolt's adapter, which lets a body that cannot be parsed end in a traceback."""

    def dispatch(self, request: WsgiHttpRequest) -> BoltResponse:
        try:
            parsed = BoltRequest(
                body=request.get_body(), query=request.query_string, headers=request.get_headers()
            )
        except Exception as error:  # noqa: BLE001 - whatever strangers send; the signature comes after
            logger.debug("a request that cannot be parsed: %s", error)
            return BoltResponse(status=400, body="bad request")
        return self.app.dispatch(parsed)


class WebApp:
    """The WSGI application: Bolt's adapter and a health check."""

    def __init__(self, app: App) -> None:
        self._slack = _Handler(app, path=EVENTS_PATH)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method, path = environ.get("REQUEST_METHOD"), environ.get("PATH_INFO")
        if method == "POST" and path == EVENTS_PATH:
            return self._slack(environ, start_response)
        found = method in ("GET", "HEAD") and path == HEALTH_PATH
        body = b'{"status": "ok"}' if found else b'{"error": "not found"}'
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("200 OK" if found else "404 Not Found", headers)
        return [b"" if method == "HEAD" else body]


@contextmanager
def _opened(connection: Connection) -> Iterator[None]:
    try:
        connection.open()
        yield
    finally:
        connection.close()


def _log_start(settings: SlackSettings, identity: Identity, connection: Connection) -> None:
    logger.info(
        "connected by %s to the workspace %s as @%s",
        connection.description,
        identity.team,
        identity.name,
    )
    admins = ", ".join(sorted(settings.admins)) or "the workspace's admins and owners"
    logger.info("admins: %s", admins)
    logger.info("reindexing: %s", settings.reindex_cron or "only when asked to")
