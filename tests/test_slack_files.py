"""Fetching files: where the token may go, and what Slack answers instead of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from slack_sdk import WebClient

from bot.errors import SlackFileError
from bot.slack.files import FileFetcher, SlackFile, describe_file
from tests.slack_server import SlackServer
from tests.slack_server.web import Reply, Request, WebServer

HTML = b"<!DOCTYPE html><h1>Leave</h1>"


@pytest.fixture
def web() -> Iterator[Site]:
    site = Site()
    yield site
    site.server.close()


class Site:
    """A web server that answers with ``reply`` and notes the requests."""

    def __init__(self) -> None:
        self.reply = Reply(200, b"hello", "text/plain")
        self.replies: dict[str, Reply] = {}
        self.requests: list[Request] = []
        self.server = WebServer(self._answer)
        self.url = f"{self.server.base_url}/files-pri/T1-F1/download/a.md"

    def _answer(self, request: Request) -> Reply:
        self.requests.append(request)
        return self.replies.get(request.path, self.reply)

    def fetcher(self, max_bytes: int = 1000) -> FileFetcher:
        api_url = f"{self.server.base_url}/api/"
        return FileFetcher("xoxb-secret", api_url=api_url, max_bytes=max_bytes)

    def file(self, name: str = "a.md", *, size: int | None = None) -> SlackFile:
        return SlackFile(name, self.url, size, None)


def test_the_bytes_arrive_and_the_token_is_sent(web: Site, tmp_path: Path) -> None:
    web.fetcher().fetch(web.file(size=5), tmp_path / "a.md")
    assert (tmp_path / "a.md").read_bytes() == b"hello"
    assert [request.bearer for request in web.requests] == ["xoxb-secret"]


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("https://files.slack.com/files-pri/T1-F1/a.md", True),
        ("https://slack.com/x", True),
        ("https://acme.enterprise.slack.com/x", True),
        ("https://FILES.SLACK.COM/x", True),
        ("http://files.slack.com/x", False),
        ("https://slack.com.evil.example/x", False),
        ("https://evilslack.com/x", False),
        ("https://files.slack.com@evil.example/x", False),
        ("https://evil.example/?files.slack.com", False),
        ("https://localhost:8080/x", False),
        ("https://api.example:8443/x", True),
        ("https://api.example/x", False),
        ("https://api.example:port/x", False),
        ("file:///etc/passwd", False),
    ],
)
def test_the_token_goes_to_slack_alone(url: str, trusted: bool, tmp_path: Path) -> None:
    fetcher = FileFetcher("xoxb-secret", api_url="https://api.example:8443/api/")
    assert fetcher.is_slack(url) is trusted
    if not trusted:
        with pytest.raises(SlackFileError, match="not Slack's"):
            fetcher.fetch(SlackFile("a.md", url, None, None), tmp_path / "a.md")


def test_a_redirect_to_another_host_is_not_followed(web: Site, tmp_path: Path) -> None:
    other = Site()
    try:
        web.reply = Reply(302, b"", "text/html", {"Location": other.url})
        with pytest.raises(SlackFileError, match="not Slack's; the file was not fetched"):
            web.fetcher().fetch(web.file(), tmp_path / "a.md")
        assert other.requests == []
    finally:
        other.server.close()


def test_a_redirect_within_slack_is_followed(web: Site, tmp_path: Path) -> None:
    web.replies["/elsewhere"] = Reply(200, b"moved", "text/plain")
    web.reply = Reply(302, b"", "text/html", {"Location": "/elsewhere"})
    web.fetcher().fetch(web.file(), tmp_path / "a.md")
    assert (tmp_path / "a.md").read_bytes() == b"moved"


@pytest.mark.parametrize("name", ["a.md", "a.pdf"])
def test_a_login_page_is_no_file(web: Site, tmp_path: Path, name: str) -> None:
    web.reply = Reply(200, b"<!DOCTYPE html>Sign in", "text/html; charset=utf-8")
    with pytest.raises(SlackFileError, match="files:read"):
        web.fetcher().fetch(web.file(name), tmp_path / name)


def test_a_web_page_is_a_file_if_it_has_the_size_that_was_announced(
    web: Site, tmp_path: Path
) -> None:
    web.reply = Reply(200, HTML, "text/html")
    web.fetcher().fetch(web.file("a.html", size=len(HTML)), tmp_path / "a.html")
    assert (tmp_path / "a.html").read_bytes() == HTML
    with pytest.raises(SlackFileError, match="files:read"):
        web.fetcher().fetch(web.file("a.html", size=9), tmp_path / "a.html")


def test_a_web_page_after_a_redirect_is_the_login_page(web: Site, tmp_path: Path) -> None:
    web.replies["/signin"] = Reply(200, HTML, "text/html")
    web.reply = Reply(302, b"", "text/html", {"Location": "/signin"})
    with pytest.raises(SlackFileError, match="files:read"):
        web.fetcher().fetch(web.file("a.html"), tmp_path / "a.html")


@pytest.mark.parametrize("announced", [None, 2000, 10])
def test_a_large_file_is_refused(web: Site, tmp_path: Path, announced: int | None) -> None:
    web.reply = Reply(200, b"x" * 2000, "text/plain")
    with pytest.raises(SlackFileError, match=r"larger than 0 MB.*spanbot add"):
        web.fetcher(1000).fetch(web.file(size=announced), tmp_path / "a.md")
    # What was announced as too large is not even asked for.
    assert len(web.requests) == (0 if announced == 2000 else 1)


def test_a_torn_transfer_is_noticed(web: Site, tmp_path: Path) -> None:
    with pytest.raises(SlackFileError, match="5 of 6 bytes; try again"):
        web.fetcher().fetch(web.file(size=6), tmp_path / "a.md")


@pytest.mark.parametrize(
    ("status", "message"), [(403, "files:read"), (404, "HTTP 404"), (500, "HTTP 500")]
)
def test_refusals_are_explained(web: Site, tmp_path: Path, status: int, message: str) -> None:
    web.reply = Reply(status, b"no", "text/plain")
    with pytest.raises(SlackFileError, match=message):
        web.fetcher().fetch(web.file(), tmp_path / "a.md")


def test_a_server_that_is_not_there_is_explained(tmp_path: Path) -> None:
    site = Site()
    site.server.close()
    with pytest.raises(SlackFileError, match="could not be fetched"):
        site.fetcher().fetch(site.file(), tmp_path / "a.md")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("leave.md", "leave.md"),
        ("../../etc/passwd", "passwd"),
        ("C:\\docs\\leave.md", "leave.md"),
        ("", "unnamed"),
        ("..", "unnamed"),
        ("ä" * 300 + ".md", "ä" * 90 + ".md"),
        ("nul\x00l.md", "null.md"),
    ],
)
def test_names_become_names_of_files_here(name: str, kept: str) -> None:
    payload = {"name": name, "url_private": "https://files.slack.com/x"}
    assert describe_file(payload, WebClient()).name == kept


def test_a_stub_is_asked_for() -> None:
    with SlackServer() as slack:
        mira = slack.add_user("mira")
        file = slack.upload(mira, "my leave.md", b"x")
        slack.share_file(mira, slack.dm(mira), "other.md", b"y")
        file.channels.add(slack.dm(mira).id)
        client = WebClient(token=slack.bot_token, base_url=slack.api_url)
        found = describe_file({"id": file.id, "file_access": "check_file_info"}, client)
    assert found.name == "my leave.md"
    assert found.size == 1
    assert found.suffix == ".md"
    assert found.url.endswith("/download/my%20leave.md")


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"mode": "tombstone", "url_private": "https://files.slack.com/x"}, "was deleted"),
        ({"is_external": True, "url_private": "https://docs.example/x"}, "another service"),
        ({"name": "x.md"}, "gave no address"),
    ],
)
def test_what_is_no_file_on_slack_is_explained(payload: dict[str, object], message: str) -> None:
    with pytest.raises(SlackFileError, match=message):
        describe_file(payload, WebClient())
