"""A team's day with its bot. Everything is real but Slack's servers and the schedule's clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from reportlab.pdfgen.canvas import Canvas

from bot.installation import Installation
from bot.schedule import Scheduler
from bot.slack.app import SlackDependencies
from bot.slack.kb import FILES_BLOCK
from retriever.store import documents
from tests.parsing_files import draw_lines, draw_pdf
from tests.slack_parts import running, settings_for
from tests.slack_server import Channel, Message, Response, Sent, SlackServer, User

BASE_URL = "https://handbook.example.com/"

#: Seconds until a wait is given up: loading the reader may take long on a busy machine.
PATIENCE = 60.0

EXPENSES = """\
# Travel and expenses

Whoever travels for the cooperative gets the costs back. Keep the receipts of everything.

## Tickets

Book trains in second class, at the latest a week before the journey. Flights need the consent of
the treasurer.

## Meals on the road

The daily allowance for meals on a business trip is 38 euros. Breakfast that comes with the hotel is
taken off. Drinks at the bar are your own affair.

## Getting the money back

Send the form with the receipts to the treasurer within six weeks. The money arrives with the next
salary.
"""

ACCOUNTS = """\
# Accounts and passwords

## Choosing a password

A password has at least fourteen characters. Words from a dictionary are refused.

## Locked accounts

After six failed attempts an account is locked for 25 minutes. Whoever cannot wait rings the help
desk.
"""

BICYCLES = """\
# Bicycles

## The bicycle cellar

The door code of the bicycle cellar is 4471. Bicycles without a name tag are given away each spring.

## Repairs

A pump and a box of tools hang beside the stairs.
"""

OFFICE = """\
<!doctype html>
<html>
<head><title>The office</title></head>
<body>
<h1 id="office">The office</h1>
<p>We share the old warehouse with a printer and a school of music.</p>
<h2 id="reception">Reception</h2>
<p>The reception desk opens at 7:45 in the morning. Parcels are handed out until noon.</p>
<h2 id="plants">Plants</h2>
<p>Whoever comes first on Monday waters the ferns.</p>
</body>
</html>
"""

MEETINGS = """\
# Meetings

## Minutes

Minutes are written in turn and sent round on the same day. Decisions stand at the top.

## Rooms

The large room has a projector. Leave the windows shut when the school of music practises.
"""

HANDBOOK = {
    "travel/expenses.md": EXPENSES,
    "it/accounts.md": ACCOUNTS,
    "bicycles.md": BICYCLES,
    "office.html": OFFICE,
    "meetings.md": MEETINGS,
}

FIRE_SAFETY = [
    [
        "Fire extinguishers hang on every floor beside the lift. They are checked once a year by",
        "the company that sold them.",
    ],
    [
        "The assembly point after a fire alarm is the car park of the swimming pool. Nobody goes",
        "back into the building before the fire brigade allows it.",
    ],
]

# Worded like the documents, or like nothing in them: the confidences lie near 1 and near 0, so that
# the threshold may be measured anew without a change here.
MEALS = "How much is the daily allowance for meals on a business trip?"
RECEPTION = "When does the reception desk open in the morning?"
LOCKED = "For how long is an account locked after six failed attempts?"
CELLAR = "What is the door code of the bicycle cellar?"
ASSEMBLY = "Where is the assembly point after a fire alarm?"
UNANSWERED = "Which composer wrote the opera about the barber of Seville?"


def test_the_story_of_a_team_and_its_bot(tmp_path: Path) -> None:
    handbook = write_handbook(tmp_path / "handbook")
    with SlackServer(ack_timeout=PATIENCE) as slack, installed(slack, tmp_path / "home") as team:
        with serving(team):
            report = team.installation.knowledge.add([handbook], base_url=BASE_URL)
            assert (report.added, report.failed) == (5, ())

            ask_in_a_channel(team)
            an_admin_uploads_a_pdf(team)
            change_the_files(handbook)
            others_change_nothing(team)
            the_night_brings_the_changes(team)
            an_event_comes_twice(team)
            nothing_answers(team)
            a_night_without_a_folder(team, handbook, tmp_path / "minutes")
        # The bot has finished what it began: no answer is on its way any more.
        every_question_was_answered_once(team)


def ask_in_a_channel(team: Team) -> None:
    """Questions in a channel are answered in threads, by a quote that links to its section."""
    answer = team.mention(MEALS)
    assert answer.user == team.slack.bot.id
    shown = shown_in(answer)
    assert shown.quote == "The daily allowance for meals on a business trip is 38 euros."
    assert "38" in shown.bold
    assert shown.label == "Travel and expenses › Meals on the road"
    assert shown.url == "https://handbook.example.com/travel/expenses.md#meals-on-the-road"

    shown = shown_in(team.mention(RECEPTION))
    assert shown.quote == "The reception desk opens at 7:45 in the morning."
    assert "7:45" in shown.bold
    assert shown.label == "The office › Reception"
    assert shown.url == "https://handbook.example.com/office.html#reception"


def an_admin_uploads_a_pdf(team: Team) -> None:
    """A file from the window of ``/kb upload`` answers the next question, by its page."""
    assert team.slack.slash_command(team.admin, "/kb", "upload").delivery.acknowledged
    [window] = team.slack.wait_for(lambda: team.slack.views, timeout=PATIENCE)
    file = team.slack.upload(team.admin, "fire-safety.pdf", fire_safety_pdf(), "application/pdf")
    assert team.slack.submit_view(window, {FILES_BLOCK: [file]}).delivery.acknowledged
    [told] = team.slack.wait_for(lambda: team.direct_messages(team.admin), timeout=PATIENCE)
    assert told.plain == "Added: fire-safety.pdf"

    shown = shown_in(team.write(ASSEMBLY))
    assert shown.quote == (
        "The assembly point after a fire alarm is the car park of the swimming pool."
    )
    assert "car park" in shown.bold
    assert shown.label == "Fire safety (page 2)"
    assert shown.url.startswith(f"https://workspace.slack.com/files/{team.admin.id}/{file.id}/")
    assert shown.url.endswith("/fire-safety.pdf#page=2")


def change_the_files(handbook: Path) -> None:
    """One is written anew, one deleted; the bot has not looked yet."""
    changed = ACCOUNTS.replace("25 minutes", "90 minutes")
    (handbook / "it/accounts.md").write_text(changed, encoding="utf-8")
    (handbook / "bicycles.md").unlink()


def others_change_nothing(team: Team) -> None:
    """Who is no admin is told so: no window, no file taken in, no look at the sources."""
    before = team.known(), team.installation.knowledge.status().last_run
    for text in ("upload", "reindex"):
        refusal = team.command(team.colleague, text)
        assert refusal.error is None
        assert refusal.plain == (
            "Only admins can change what I know. Please ask an admin or owner of this Slack "
            "workspace."
        )
        assert not refusal.in_channel
    assert team.slack.views == []
    place = team.slack.dm(team.colleague)
    sent = team.slack.share_file(team.colleague, place, "prank.md", b"# Prank\n\nIt is Sunday.\n")
    assert team.reply_to(sent).plain.startswith("Only admins can change what I know.")
    assert (team.known(), team.installation.knowledge.status().last_run) == before

    assert "25" in shown_in(team.write(LOCKED)).bold
    shown = shown_in(team.write(CELLAR))
    assert "4471" in shown.bold
    assert shown.url == "https://handbook.example.com/bicycles.md#the-bicycle-cellar"


def the_night_brings_the_changes(team: Team) -> None:
    """The scheduled run takes the new text in, and forgets the document that is gone."""
    nightly = team.scheduler("0 3 * * *")
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    assert nightly.run_due(datetime.combine(tomorrow, time(3), UTC))
    assert not nightly.run_due(datetime.combine(tomorrow, time(9), UTC))
    run = team.installation.knowledge.status().last_run
    assert run is not None
    assert (run.trigger, run.state, run.failed) == ("schedule", "done", 0)
    counts = run.counts
    assert (counts.added, counts.changed, counts.unchanged, counts.removed) == (0, 1, 4, 1)
    assert "Bicycles" not in team.known()

    shown = shown_in(team.write(LOCKED))
    assert shown.quote == "After six failed attempts an account is locked for 90 minutes."
    assert "90" in shown.bold
    assert shown.url == "https://handbook.example.com/it/accounts.md#locked-accounts"

    # Another document may come near; the deleted one is neither quoted nor named.
    answer = team.write(CELLAR)
    for trace in ("4471", "Bicycles", "bicycles.md", "bicycle cellar"):
        assert trace not in answer.plain
        assert trace not in answer.text


def an_event_comes_twice(team: Team) -> None:
    """An event that Slack delivers again is acknowledged; see the end for its one answer."""
    sent = team.slack.mention(team.colleague, team.channel, MEALS)
    event = sent.event("app_mention")
    assert "38" in shown_in(team.answer_to(sent)).bold
    assert team.slack.redeliver(event.event_id).acknowledged
    assert len(event.attempts) == 2


def nothing_answers(team: Team) -> None:
    """The bot says that it found nothing, and quotes nothing."""
    answer = team.mention(UNANSWERED)
    assert answer.plain.startswith("I found no answer to that in the documents.")
    assert "> " not in answer.plain


def a_night_without_a_folder(team: Team, handbook: Path, minutes: Path) -> None:
    """A folder disappears and a file cannot be read: the admin is told, and nothing is lost."""
    minutes.mkdir()
    (minutes / "march.md").write_text("# March\n\nThe roof will be mended in May.\n", "utf-8")
    assert team.installation.knowledge.add([minutes]).added == 1
    minutes.rename(minutes.with_name("unmounted"))
    scan = handbook / "travel" / "tickets.pdf"
    scan.write_bytes(fire_safety_pdf()[:600])
    before = team.known()
    nightly = team.scheduler("0 3 * * *")
    day = datetime.now(UTC).date() + timedelta(days=2)
    assert nightly.run_due(datetime.combine(day, time(3), UTC))
    told = team.command(team.admin, "status").plain
    assert ", schedule: done.\n0 added, 0 changed, 5 unchanged, 0 removed, 2 failed.\n" in told
    assert "*Not taken in: 2*" in told
    assert f"• *{minutes}* – {minutes} does not exist; nothing of it was changed" in told
    assert f"• *{scan}* – tickets.pdf is truncated" in told
    assert {title: team.known()[title] for title in before} == before

    minutes.with_name("unmounted").rename(minutes)
    scan.unlink()
    assert nightly.run_due(datetime.combine(day + timedelta(days=1), time(3), UTC))
    told = team.command(team.admin, "status").plain
    assert "0 added, 0 changed, 6 unchanged, 1 removed, 0 failed." in told
    assert "Not taken in" not in told


def every_question_was_answered_once(team: Team) -> None:
    """One answer in each thread, and as many questions in the log as were asked."""
    for sent in team.asked:
        assert [message.user for message in team.slack.thread(sent.channel, sent.ts)] == [
            team.colleague.id,
            team.slack.bot.id,
        ]
    assert team.installation.knowledge.status().questions == len(team.asked) == 9


# -- the team and its bot ------------------------------------------------------------------------


@dataclass(frozen=True)
class Team:
    """People in a workspace, and the installation that they ask."""

    slack: SlackServer
    installation: Installation
    admin: User
    colleague: User
    channel: Channel
    asked: list[Sent] = field(default_factory=list)

    def mention(self, question: str) -> Message:
        """The colleague asks in the channel; the bot's answer."""
        return self.answer_to(self.slack.mention(self.colleague, self.channel, question))

    def write(self, question: str) -> Message:
        """The colleague asks in a direct message; the bot's answer."""
        return self.answer_to(self.slack.direct_message(self.colleague, question))

    def answer_to(self, question: Sent) -> Message:
        self.asked.append(question)
        return self.reply_to(question)

    def reply_to(self, sent: Sent) -> Message:
        """What the bot says in the thread of a message."""
        [reply] = self.slack.wait_for(
            lambda: self.slack.thread(sent.channel, sent.ts)[1:], timeout=PATIENCE
        )
        return reply

    def command(self, user: User, text: str) -> Response:
        """The user types ``/kb`` with ``text``; what only that user gets to see."""
        before = len(self.slack.responses)
        assert self.slack.slash_command(user, "/kb", text).delivery.acknowledged
        [response] = self.slack.wait_for(lambda: self.slack.responses[before:], timeout=PATIENCE)
        assert response.user == user.id
        return response

    def direct_messages(self, user: User) -> list[Message]:
        """What the bot wrote to the user directly."""
        messages = self.slack.messages(self.slack.dm(user))
        return [message for message in messages if message.user == self.slack.bot.id]

    def known(self) -> Mapping[str, int]:
        """The version of each document that is known, by its title."""
        with self.installation.database.read() as session:
            return {found.title: found.version for found in documents.list_documents(session)}

    def scheduler(self, cron: str) -> Scheduler:
        """A schedule that reindexes, as ``spanbot serve`` has it."""
        return Scheduler(
            cron,
            self.installation.database,
            lambda claimed: self.installation.knowledge.reindex(
                trigger="schedule", claimed=claimed
            ),
            owner="the only one",
            timezone=UTC,
        )


@contextmanager
def installed(slack: SlackServer, home: Path) -> Iterator[Team]:
    """A team with an installation of its own: the embedded models, on the CPU."""
    variables = {"SPANBOT_HOME": str(home), "SPANBOT_DEVICE": "cpu"}
    admin, colleague = slack.add_user("ada", admin=True), slack.add_user("mira")
    channel = slack.add_channel("general", admin, colleague)
    with Installation(settings_for(slack, variables=variables)) as installation:
        yield Team(slack, installation, admin, colleague, channel)


@contextmanager
def serving(team: Team) -> Iterator[None]:
    """The team's bot, connected in Socket Mode; in the end it finishes what it began."""
    deps = SlackDependencies(
        settings=team.installation.settings,
        answerer=team.installation.answerer,
        knowledge=team.installation.knowledge,
        database=team.installation.database,
    )
    with running(deps):
        team.slack.wait_connected(timeout=PATIENCE)
        yield


def write_handbook(folder: Path) -> Path:
    for name, content in HANDBOOK.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


def fire_safety_pdf() -> bytes:
    def draw(canvas: Canvas) -> None:
        for page in FIRE_SAFETY:
            draw_lines(canvas, page)
            canvas.showPage()

    return draw_pdf(draw, title="Fire safety")


@dataclass(frozen=True)
class Shown:
    """An answer as its reader sees it: the quoted sentence, what is bold in it, and the link."""

    quote: str
    bold: str
    label: str
    url: str


def shown_in(message: Message) -> Shown:
    """The best answer that a message shows; fails where it shows none."""
    assert message.blocks[0]["type"] == "rich_text", message.plain
    quote, source = message.blocks[0]["elements"]
    assert (quote["type"], source["type"]) == ("rich_text_quote", "rich_text_section")
    [bold] = [part["text"] for part in quote["elements"] if part.get("style") == {"bold": True}]
    [link] = source["elements"]
    return Shown(
        "".join(part["text"] for part in quote["elements"]), bold, link["text"], link["url"]
    )
