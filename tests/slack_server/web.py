"""A threaded HTTP server on 127.0.0.1 in front of one function from request to reply."""

from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message as Headers
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """``path`` is unquoted; ``query`` and ``form`` hold the last value of each name."""

    path: str
    query: dict[str, str]
    headers: Headers
    body: bytes

    @property
    def content_type(self) -> str:
        return self.headers.get_content_type() if "content-type" in self.headers else ""

    @property
    def form(self) -> dict[str, str]:
        return last_values(self.body.decode())

    @property
    def bearer(self) -> str | None:
        scheme, _, token = str(self.headers.get("authorization", "")).partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes
    content_type: str
    headers: dict[str, str] = field(default_factory=dict)


def last_values(query: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}


class WebServer:
    """Serves until ``close``, which waits for every request under way.

    An exception of ``answer`` becomes a 500 and is kept in ``problems``.
    """

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.problems: list[str] = []
        self._answer = answer
        web = self

        class Handler(BaseHTTPRequestHandler):
            # A client that connects and says nothing must not keep the server from closing.
            timeout = 10

            def do_POST(self) -> None:
                web._serve(self)

            def do_GET(self) -> None:
                web._serve(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="slack-web"
        )
        self._thread.start()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        place = urlsplit(handler.path)
        length = int(handler.headers.get("content-length") or 0)
        request = Request(
            unquote(place.path),
            last_values(place.query),
            handler.headers,
            handler.rfile.read(length),
        )
        try:
            reply = self._answer(request)
        except Exception as error:  # noqa: BLE001  kept for the test, which fails with it
            self.problems.append(f"{request.path}: {error!r}")
            reply = Reply(500, repr(error).encode(), "text/plain")
        try:
            handler.send_response(reply.status)
            handler.send_header("Content-Type", reply.content_type)
            handler.send_header("Content-Length", str(len(reply.body)))
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(reply.body)
        except ConnectionError:
            # The client has gone; it knows why.
            handler.close_connection = True

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    # Threads that are no daemons are waited for in server_close, so no socket outlives the server.
    daemon_threads = False
