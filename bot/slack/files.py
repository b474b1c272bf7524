"""Fetching files that people gave to the bot on Slack."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from slack_sdk import WebClient

from bot.errors import SlackFileError

MAX_BYTES = 50 * 1024 * 1024

_CHUNK = 64 * 1024
_TIMEOUT_S = 30.0
_MAX_STEM_BYTES = 180
_MAX_SUFFIX = 15
_URL_CHARACTERS = "%/:?#[]@!$&'()*+,;=~"
_HTML_SUFFIXES = (".html", ".htm")


@dataclass(frozen=True, slots=True)
class SlackFile:
    """A file on Slack; ``size`` in bytes where Slack said it, ``link`` to it for people."""

    name: str
    url: str
    size: int | None
    link: str | None

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix.lower()


def describe_file(payload: dict[str, Any], client: WebClient) -> SlackFile:
    """The file that a message or a modal names; Slack is asked where the payload is a stub.

    Raises:
        SlackFileError: it is gone, or is kept by another service.
    """
    if not _address(payload) and payload.get("id"):
        # Files shared from another organisation arrive as "check_file_info".
        found = client.files_info(file=str(payload["id"])).get("file")
        payload = found if isinstance(found, dict) else payload
    name = _file_name(str(payload.get("name") or ""))
    if payload.get("mode") == "tombstone":
        raise SlackFileError(f"{name} was deleted on Slack; share it again.")
    if payload.get("is_external") or payload.get("mode") == "external":
        raise SlackFileError(
            f"{name} is a link to another service, not a file on Slack; upload the file itself."
        )
    address = _address(payload)
    if not address:
        raise SlackFileError(f"Slack gave no address for {name}; share the file again.")
    size, link = payload.get("size"), payload.get("permalink")
    return SlackFile(
        name=name,
        # Names may stand in addresses as they are, with spaces and all.
        url=quote(address, safe=_URL_CHARACTERS),
        size=size if isinstance(size, int) else None,
        link=link if isinstance(link, str) else None,
    )


class FileFetcher:
    """Downloads files with the bot's token, which goes to Slack's hosts and to no other.

    Args:
        api_url: base URL of the Web API; its host counts as Slack's.
        max_bytes: files larger than this are refused.
    """

    def __init__(self, token: str, *, api_url: str, max_bytes: int = MAX_BYTES) -> None:
        self._token = token
        self._api = urlsplit(api_url)
        self._max_bytes = max_bytes
        self._opener = urllib.request.build_opener(_SameHosts(self))

    def fetch(self, file: SlackFile, target: Path) -> None:
        """Write the file's bytes to ``target``.

        Raises:
            SlackFileError: the file is too large, Slack does not hand it out, or the transfer
                broke off.
        """
        if file.size is not None and file.size > self._max_bytes:
            raise self._too_large(file.name)
        if not self.is_slack(file.url):
            raise SlackFileError(
                f"{file.name} is kept at {urlsplit(file.url).hostname}, which is not Slack's; "
                "upload the file itself."
            )
        request = urllib.request.Request(  # noqa: S310 - is_slack() admits http(s) only
            file.url, headers={"Authorization": f"Bearer {self._token}"}
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                self._save(response, file, target)
        except urllib.error.HTTPError as error:
            with error:
                status = error.code
            if status in (401, 403):
                raise _not_allowed(file.name) from None
            raise SlackFileError(
                f"Slack answered HTTP {status} for {file.name}; share the file again."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise SlackFileError(
                f"{file.name} could not be fetched from Slack ({error}); try again."
            ) from error

    def is_slack(self, url: str) -> bool:
        """Whether the token may be sent to ``url``."""
        try:
            parts = urlsplit(url)
            if _origin(parts) == _origin(self._api):
                return True
        except ValueError:  # a port that is no number
            return False
        host = (parts.hostname or "").lower()
        return parts.scheme == "https" and (host == "slack.com" or host.endswith(".slack.com"))

    def _save(self, response: Any, file: SlackFile, target: Path) -> None:
        # Without files:read Slack does not refuse: it answers 200 with its login page.
        html = response.headers.get_content_type() == "text/html"
        if html and (file.suffix not in _HTML_SUFFIXES or response.geturl() != file.url):
            raise _not_allowed(file.name)
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and int(length) > self._max_bytes:
            raise self._too_large(file.name)
        written = 0
        with target.open("wb") as out:
            while chunk := response.read(_CHUNK):
                written += len(chunk)
                if written > self._max_bytes:
                    raise self._too_large(file.name)
                out.write(chunk)
        if file.size is not None and written != file.size:
            if html:
                raise _not_allowed(file.name)
            raise SlackFileError(
                f"{file.name} arrived with {written:,} of {file.size:,} bytes; try again."
            )

    def _too_large(self, name: str) -> SlackFileError:
        limit = self._max_bytes // (1024 * 1024)
        return SlackFileError(
            f"{name} is larger than {limit} MB; add it on the server with: spanbot add FILE"
        )


class _SameHosts(urllib.request.HTTPRedirectHandler):
    """Follows redirects among Slack's hosts; the token must not leave them."""

    def __init__(self, fetcher: FileFetcher) -> None:
        self._fetcher = fetcher

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: Any,
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not self._fetcher.is_slack(newurl):
            raise SlackFileError(
                f"Slack sent the download on to {urlsplit(newurl).hostname}, which is not "
                "Slack's; the file was not fetched."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _file_name(name: str) -> str:
    """``name`` as the name of a file here: no folders, and not too long for a file system."""
    last = PurePosixPath(name.replace("\\", "/").replace("\x00", "")).name
    if last in ("", ".", ".."):
        return "unnamed"
    suffix = PurePosixPath(last).suffix
    stem = last.removesuffix(suffix).encode()[:_MAX_STEM_BYTES].decode(errors="ignore")
    return stem + suffix[:_MAX_SUFFIX]


def _address(payload: dict[str, Any]) -> str:
    return str(payload.get("url_private_download") or payload.get("url_private") or "")


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def _not_allowed(name: str) -> SlackFileError:
    return SlackFileError(
        f"Slack did not hand out {name}: the app lacks the scope files:read. Whoever manages the "
        "app can add it under OAuth & Permissions and install the app again."
    )
