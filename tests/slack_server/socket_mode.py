"""Slack's side of Socket Mode: envelopes go out on WebSockets, acknowledgements come in.

As Slack documents it: each address from ``apps.connections.open`` serves for one connection,
``hello`` comes first, an envelope goes to one of the app's connections, and its ``envelope_id``
comes back within three seconds with an optional payload. ``disconnect`` announces that a connection
is about to be closed.
"""

import json
import socket
from contextlib import suppress
from http import HTTPStatus
from threading import Condition, Thread
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from .blocks import Json
from .delivery import Attempt, DeliveryKind

_MAXIMUM_CONNECTIONS: Final = 10


class SocketMode:
    """A WebSocket server on 127.0.0.1. ``changed`` guards its state and hears of every change."""

    def __init__(self, changed: Condition, app_id: str, *, ack_timeout: float) -> None:
        self._changed = changed
        self._app_id = app_id
        self._ack_timeout = ack_timeout
        self._tickets: set[str] = set()
        self._connections: list[ServerConnection] = []
        self._waiting: dict[str, ServerConnection] = {}
        self._acknowledged: dict[str, Any] = {}
        self._next = 0
        self._closed = False
        self.attached = False
        self.total = 0
        self.late: list[Json] = []
        self.problems: list[str] = []
        self._server: Server = serve(
            self._serve,
            sock=_listening(),
            process_request=self._admit,
            ping_interval=None,
            compression=None,
            close_timeout=1,
        )
        self._port = int(self._server.socket.getsockname()[1])
        self._thread = Thread(target=self._server.serve_forever, name="slack-socket-mode")
        self._thread.start()

    def open_url(self) -> str:
        """The address of one new connection."""
        with self._changed:
            ticket = uuid4().hex
            self._tickets.add(ticket)
            return f"ws://127.0.0.1:{self._port}/link/?ticket={ticket}&app_id={self._app_id}"

    @property
    def connected(self) -> int:
        with self._changed:
            return len(self._connections)

    def send(self, kind: DeliveryKind, payload: Json, retry: int, reason: str | None) -> Attempt:
        """Sends one envelope on a connection and waits for its acknowledgement.

        While the app is reconnecting it waits for a connection just as long.
        """
        envelope_id = str(uuid4())
        envelope: Json = {
            "envelope_id": envelope_id,
            "type": kind,
            "payload": payload,
            "accepts_response_payload": kind != "events_api",
        }
        if kind == "events_api":
            envelope |= {"retry_attempt": retry, "retry_reason": reason or ""}
        with self._changed:
            self._changed.wait_for(lambda: self._connections or self._closed, self._ack_timeout)
            if not self._connections or self._closed:
                return Attempt(retry, reason, "timeout")
            # Each of the app's connections gets its share, whatever the app expects.
            self._next += 1
            connection = self._connections[self._next % len(self._connections)]
            self._waiting[envelope_id] = connection
        try:
            connection.send(json.dumps(envelope))
        except ConnectionClosed:
            with self._changed:
                self._waiting.pop(envelope_id, None)
            return Attempt(retry, reason, "timeout")
        with self._changed:
            self._changed.wait_for(
                lambda: envelope_id not in self._waiting or self._closed, self._ack_timeout
            )
            self._waiting.pop(envelope_id, None)
            if envelope_id not in self._acknowledged:
                return Attempt(retry, reason, "timeout")
            return Attempt(retry, reason, None, self._acknowledged.pop(envelope_id))

    def announce_disconnect(self, reason: str = "refresh_requested") -> None:
        """Tells the app to connect anew and hangs up, but after ``warning`` leaves that to the app.

        The announced connections get no more envelopes.
        """
        message = {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-test"}}
        for connection in self._withdrawn():
            connection.send(json.dumps(message))
            if reason != "warning":
                _hang_up(connection)

    def hang_up(self) -> None:
        """Breaks every connection without a word."""
        for connection in self._withdrawn():
            _hang_up(connection)

    def _withdrawn(self) -> list[ServerConnection]:
        with self._changed:
            old, self._connections = self._connections, []
            self._changed.notify_all()
            return old

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._thread.join()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        query = parse_qs(urlsplit(request.path).query)
        ticket = query.get("ticket", [""])[0]
        with self._changed:
            if ticket not in self._tickets:
                return connection.respond(HTTPStatus.FORBIDDEN, "invalid ticket\n")
            self._tickets.remove(ticket)
            if len(self._connections) >= _MAXIMUM_CONNECTIONS:
                return connection.respond(HTTPStatus.FORBIDDEN, "too_many_websockets\n")
        return None

    def _serve(self, connection: ServerConnection) -> None:
        with self._changed:
            hello = {
                "type": "hello",
                "num_connections": len(self._connections) + 1,
                "connection_info": {"app_id": self._app_id},
                "debug_info": {"host": "applink-test", "approximate_connection_time": 3600},
            }
        try:
            connection.send(json.dumps(hello))
            with self._changed:
                self._connections.append(connection)
                self.attached = True
                self.total += 1
                self._changed.notify_all()
            for text in connection:
                self._receive(connection, text)
        except ConnectionClosed:
            pass
        finally:
            with self._changed:
                if connection in self._connections:
                    self._connections.remove(connection)
                # What was sent here and not acknowledged will never be.
                gone = [key for key, held in self._waiting.items() if held is connection]
                for key in gone:
                    del self._waiting[key]
                self._changed.notify_all()

    def _receive(self, connection: ServerConnection, text: str | bytes) -> None:
        try:
            message = json.loads(text)
            envelope_id = message["envelope_id"]
        except (ValueError, TypeError, KeyError):
            with self._changed:
                self.problems.append(f"not an acknowledgement: {text!r}")
            return
        with self._changed:
            if self._waiting.get(envelope_id) is not None:
                del self._waiting[envelope_id]
                self._acknowledged[envelope_id] = message.get("payload")
            else:
                self.late.append(message)
            self._changed.notify_all()


def _hang_up(connection: ServerConnection) -> None:
    """Ends the TCP connection without a closing handshake.

    After one, websocket-client leaves its socket open until it is collected as garbage.
    """
    with suppress(OSError):
        connection.socket.shutdown(socket.SHUT_RDWR)


def _listening() -> socket.socket:
    """A listening socket; the server closes it."""
    return socket.create_server(("127.0.0.1", 0))
