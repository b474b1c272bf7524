"""The addresses that an app calls: Web API methods, response_urls and files."""

import json
from collections.abc import Mapping
from html import escape
from typing import Final

from .blocks import Json
from .methods import ApiError, WebApi, parse_blocks
from .web import Reply, Request
from .workspace import Response, ResponseUrl, Via, Workspace

_RESPONSE_USES: Final = 5
_LOGIN_PAGE: Final = (
    "<!DOCTYPE html><html><head><title>Sign in | Slack</title></head>"
    "<body><form action='/signin'>Sign in to your workspace</form></body></html>"
)


class Routes:
    """Answers HTTP requests and takes what comes by response_urls."""

    def __init__(self, workspace: Workspace, api: WebApi) -> None:
        self._space = workspace
        self._api = api

    def accept(self, url: ResponseUrl, payload: Json, via: Via) -> str | None:
        """Takes what came by a response_url; returns the error it is refused with."""
        with self._space.changed:
            error = _refusal(url, payload, via)
            given = payload
            if error is None and payload.get("blocks"):
                given = {
                    **payload,
                    "blocks": self._space.with_ids(parse_blocks(payload["blocks"])),
                }
            ts = self._space.next_ts()
            response = Response(via, ts, url.user, url.channel, given, error)
            self._space.responses.append(response)
            if error is None:
                url.uses += via == "response_url"
                self._show(url, response)
            self._space.changed.notify_all()
            return error

    def _show(self, url: ResponseUrl, response: Response) -> None:
        original = self._space.message(url.channel, url.message_ts) if url.message_ts else None
        payload = response.payload
        if payload.get("delete_original") and original is not None:
            self._api.delete(original)
        elif payload.get("replace_original") and original is not None:
            self._api.change(original, response.text, response.blocks)
        elif response.in_channel:
            self._api.store(self._space.channels[url.channel], payload, payload.get("thread_ts"))

    # -- HTTP --------------------------------------------------------------------------------

    def answer(self, request: Request) -> Reply:
        if request.path.startswith("/api/"):
            return self._answer_api(request, request.path.removeprefix("/api/"))
        if request.path.startswith("/actions/"):
            return self._answer_response(request, request.path.removeprefix("/actions/"))
        if request.path.startswith("/files-pri/"):
            return self._answer_file(request)
        return Reply(404, b"not found", "text/plain")

    def _answer_api(self, request: Request, method: str) -> Reply:
        arguments: Json = dict(request.query)
        # slack_sdk calls it JSON when there is nothing at all in the body.
        is_json = bool(request.body) and request.content_type == "application/json"
        token = request.bearer
        if is_json:
            try:
                arguments |= json.loads(request.body)
            except (ValueError, TypeError):
                return _json(200, {"ok": False, "error": "invalid_json"})
        elif request.body and request.content_type == "application/x-www-form-urlencoded":
            arguments |= request.form
        elif request.body:
            return _json(200, {"ok": False, "error": "invalid_post_type"})
        # A token among JSON arguments is not looked at.
        given = arguments.pop("token", None)
        if token is None and not is_json:
            token = given
        call = self._api.call(method, arguments, token, is_json=is_json)
        headers = {"x-oauth-scopes": ",".join(sorted(self._space.tokens.get(token or "", ())))}
        if call.status == 429:
            headers["Retry-After"] = str(call.retry_after)
        return _json(call.status, call.answer, headers)

    def _answer_response(self, request: Request, key: str) -> Reply:
        limited = self._api.limited("response_url")
        if limited is not None:
            answer = {"ok": False, "error": "ratelimited"}
            return _json(429, answer, {"Retry-After": str(limited)})
        url = self._space.response_urls.get(key)
        if url is None:
            return _json(404, {"ok": False, "error": "invalid_url"})
        try:
            payload = json.loads(request.body)
        except ValueError:
            payload = None
        if not isinstance(payload, dict):
            return _json(400, {"ok": False, "error": "invalid_payload"})
        error = self.accept(url, payload, "response_url")
        if error is None:
            return Reply(200, b"ok", "text/html")
        return _json(404 if error.endswith("_url") else 400, {"ok": False, "error": error})

    def _answer_file(self, request: Request) -> Reply:
        """The file for a token with files:read; for others the page to sign in, status 200."""
        space = self._space
        name = request.path.removeprefix("/files-pri/").partition("/")[0]
        file = space.files.get(name.removeprefix(f"{space.team_id}-"))
        with space.changed:
            allowed = "files:read" in space.tokens.get(request.bearer or "", ())
        if not allowed:
            return Reply(200, _LOGIN_PAGE.encode(), "text/html; charset=utf-8")
        if file is None or file.deleted or not space.bot_sees(file):
            page = f"<!DOCTYPE html><html><body>{escape(request.path)} not found</body></html>"
            return Reply(404, page.encode(), "text/html; charset=utf-8")
        return Reply(200, file.content, file.mimetype)


def _json(status: int, answer: Json, headers: Mapping[str, str] | None = None) -> Reply:
    body = json.dumps(answer).encode()
    return Reply(status, body, "application/json; charset=utf-8", dict(headers or {}))


def _refusal(url: ResponseUrl, payload: Json, via: Via) -> str | None:
    """Why Slack would not take this payload. There is no limit on the sum of its texts."""
    if via == "response_url" and url.expired:
        return "expired_url"
    if via == "response_url" and url.uses >= _RESPONSE_USES:
        return "used_url"
    if payload.get("response_type") not in (None, "ephemeral", "in_channel"):
        return "invalid_response_type"
    try:
        blocks = parse_blocks(payload.get("blocks"))
    except ApiError as error:
        return str(error)
    shown = payload.get("text") or blocks or payload.get("attachments")
    return None if shown or payload.get("delete_original") else "no_text"
