"""How Slack hands events and interactions to an app, and what it does when the app does not answer.

An event that is not acknowledged within three seconds is delivered again, up to three times, with
the number of the retry and its reason. Slack waits up to five minutes between retries; here they
follow at once. Commands, clicks and submissions are delivered once: the person sees an error
instead.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from threading import Condition
from typing import Any, Literal, Protocol, TypeAlias
from urllib.parse import urlencode, urlsplit

from .blocks import Json

DeliveryKind: TypeAlias = Literal["events_api", "slash_commands", "interactive"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One delivery. ``answer`` is the acknowledgement's payload (Socket Mode) or body (HTTP).

    ``reason`` is why this attempt was made again, ``failure`` why it must be.
    """

    retry: int
    reason: str | None
    failure: str | None
    answer: Any = None
    status: int | None = None

    @property
    def acknowledged(self) -> bool:
        return self.failure is None


@dataclass(slots=True)
class Delivery:
    """An event or interaction and every attempt to deliver it."""

    kind: DeliveryKind
    payload: Json
    attempts: list[Attempt] = field(default_factory=list)

    def __post_init__(self) -> None:
        # What was sent stays as it was, whatever becomes of the message or modal in it.
        self.payload = deepcopy(self.payload)

    @property
    def event_id(self) -> str:
        return str(self.payload["event_id"])

    @property
    def event_type(self) -> str:
        """The type of an event (``message``), else of the interaction (``view_submission``)."""
        event = self.payload.get("event", self.payload)
        return str(event.get("type", self.kind))

    @property
    def acknowledged(self) -> bool:
        return bool(self.attempts) and self.attempts[-1].acknowledged

    @property
    def answer(self) -> Any:
        return self.attempts[-1].answer if self.attempts else None


class Endpoint(Protocol):
    """Somewhere to deliver to."""

    def send(
        self, kind: DeliveryKind, payload: Json, retry: int, reason: str | None
    ) -> Attempt: ...


class HttpEndpoint:
    """An app's request URL. Requests are signed as Slack signs them."""

    def __init__(self, url: str, signing_secret: str, *, timeout: float) -> None:
        self.url = url
        self._secret = signing_secret.encode()
        self._timeout = timeout

    def send(self, kind: DeliveryKind, payload: Json, retry: int, reason: str | None) -> Attempt:
        if kind == "events_api":
            body, content_type = json.dumps(payload).encode(), "application/json"
        else:
            form = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
            body, content_type = urlencode(form).encode(), "application/x-www-form-urlencoded"
        headers = {"Content-Type": content_type}
        if reason is not None:
            headers |= {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": reason}
        return self.post(body, headers, retry, reason)

    def post(
        self,
        body: bytes,
        headers: dict[str, str],
        retry: int = 0,
        reason: str | None = None,
        *,
        age: int = 0,
    ) -> Attempt:
        """POSTs a signed body; ``age`` in seconds dates it back, as in a replayed request."""
        timestamp = str(int(time.time()) - age)
        digest = hmac.new(self._secret, f"v0:{timestamp}:".encode() + body, hashlib.sha256)
        signed = {
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": f"v0={digest.hexdigest()}",
        }
        place = urlsplit(self.url)
        connection = HTTPConnection(place.hostname or "", place.port, timeout=self._timeout)
        try:
            connection.request("POST", place.path or "/", body, signed | headers)
            response = connection.getresponse()
            text = response.read().decode()
            kind = response.getheader("content-type", "")
            quiet = response.getheader("x-slack-no-retry") == "1"
        except TimeoutError:
            return Attempt(retry, reason, "http_timeout")
        except (OSError, HTTPException):
            return Attempt(retry, reason, "connection_failed")
        finally:
            connection.close()
        answer = json.loads(text) if text and kind.startswith("application/json") else text
        failure = None if 200 <= response.status < 300 else "no_retry" if quiet else "http_error"
        return Attempt(retry, reason, failure, answer, response.status)


class Dispatcher:
    """Delivers to the endpoint that is attached, if any, and retries events."""

    def __init__(
        self, endpoint: Callable[[], Endpoint | None], changed: Condition, *, retries: int
    ) -> None:
        self._endpoint = endpoint
        self._changed = changed
        self._retries = retries
        self._pool = ThreadPoolExecutor(16, thread_name_prefix="slack-delivery")
        self._closed = False
        self.delivered: list[Delivery] = []

    def deliver(self, *deliveries: Delivery) -> None:
        """Delivers all at the same time, as Slack does, and waits until each is settled."""
        for future in [self.begin(delivery) for delivery in deliveries]:
            future.result()

    def begin(self, delivery: Delivery) -> Future[None]:
        """Starts to deliver in the background."""
        with self._changed:
            if self._closed:
                settled: Future[None] = Future()
                settled.set_result(None)
                return settled
            self.delivered.append(delivery)
            return self._pool.submit(self._run, delivery)

    def again(self, delivery: Delivery) -> Attempt:
        """Delivers an event once more, as Slack does when an acknowledgement was lost."""
        reason = "timeout" if not isinstance(self._endpoint(), HttpEndpoint) else "http_timeout"
        self._pool.submit(self._run, delivery, len(delivery.attempts) or 1, reason).result()
        return delivery.attempts[-1]

    def _run(self, delivery: Delivery, retry: int = 0, reason: str | None = None) -> None:
        endpoint = self._endpoint()
        while endpoint is not None and not self._closed:
            attempt = endpoint.send(delivery.kind, delivery.payload, retry, reason)
            with self._changed:
                delivery.attempts.append(attempt)
                self._changed.notify_all()
            if attempt.acknowledged or attempt.failure == "no_retry":
                return
            if delivery.kind != "events_api" or retry >= self._retries:
                return
            retry, reason = retry + 1, attempt.failure
            endpoint = self._endpoint()

    def stop(self) -> None:
        """Begins no more deliveries or retries."""
        with self._changed:
            self._closed = True

    def close(self) -> None:
        """Gives up what is not delivered and waits for the threads."""
        self.stop()
        self._pool.shutdown(cancel_futures=True)
