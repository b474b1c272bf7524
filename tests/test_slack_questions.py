"""Questions from Slack and their answers, over a real connection."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from slack_sdk import WebClient
from sqlalchemy import select

from bot.errors import QuestionError
from bot.slack.app import SlackDependencies
from bot.slack.destination import Conversation, OnlyYou
from bot.slack.errors import RATE_LIMITED
from bot.slack.message import plain
from bot.slack.questions import BUSY, STATUS, USAGE
from bot.slack.render import FEEDBACK_ACTION, feedback_value
from bot.slack.work import WorkQueue
from retriever.store.models import Feedback, Question
from tests.slack_parts import Asked, Bot, answer_span, hit, reply, running_bot
from tests.slack_server import Channel, SlackServer


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[Bot]:
    with SlackServer() as slack, running_bot(slack, tmp_path) as started:
        yield started


def test_a_mention_is_answered_in_its_thread(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    general = bot.slack.add_channel("general", mira)
    sent = bot.slack.mention(mira, general, "How long is parental leave?")
    [answer] = bot.slack.wait_for(lambda: bot.slack.thread(general, sent.ts)[1:])
    assert answer.plain.split("\n")[:2] == [
        "> Everybody gets *sixteen weeks* of parental leave at full pay.",
        "[Parental leave › How long](https://docs.example.com/parental-leave#how-long)",
    ]
    assert answer.arguments["unfurl_links"] is False
    assert bot.answerer.asked == [
        Asked("How long is parental leave?", "mention", mira.id, general.id, sent.ts)
    ]


def test_a_mention_and_its_twin_are_answered_once(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    general = bot.slack.add_channel("general", mira)
    sent = bot.slack.mention(mira, general, "How long is parental leave?")
    assert {delivery.event_type for delivery in sent.deliveries} == {"app_mention", "message"}
    bot.slack.wait_for(lambda: bot.slack.thread(general, sent.ts)[1:])
    assert bot.slack.redeliver(sent.event("app_mention").event_id).acknowledged
    # A second question goes through the same queue: after its answer nothing is on its way.
    other = bot.slack.mention(mira, general, "And how long is sick leave?")
    bot.slack.wait_for(lambda: bot.slack.thread(general, other.ts)[1:])
    assert len(bot.slack.thread(general, sent.ts)) == 2
    assert len(bot.answerer.asked) == 2


def test_a_restarted_bot_does_not_answer_again(tmp_path: Path) -> None:
    with SlackServer() as slack:
        mira = slack.add_user("mira")
        general = slack.add_channel("general", mira)
        with running_bot(slack, tmp_path, http=False) as bot:
            sent = slack.mention(mira, general, "How long is parental leave?")
            slack.wait_for(lambda: slack.thread(general, sent.ts)[1:])
        with running_bot(slack, tmp_path, http=False) as bot:
            assert slack.redeliver(sent.event("app_mention").event_id).acknowledged
            other = slack.mention(mira, general, "And sick leave?")
            slack.wait_for(lambda: slack.thread(general, other.ts)[1:])
            assert [asked.question for asked in bot.answerer.asked] == ["And sick leave?"]


def test_a_mention_in_a_thread_is_answered_in_that_thread(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    general = bot.slack.add_channel("general", mira)
    start = bot.slack.say(mira, general, "We were talking about leave")
    question = bot.slack.mention(mira, general, "How long is it?", thread_ts=start.ts)
    thread = bot.slack.wait_for(
        lambda: bot.slack.thread(general, start.ts)[2:] and bot.slack.thread(general, start.ts)
    )
    assert [message.ts for message in thread[:2]] == [start.ts, question.ts]
    assert thread[2].user == bot.slack.bot.id


def test_messages_in_channels_are_not_questions(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    general = bot.slack.add_channel("general", mira)
    talk = bot.slack.say(mira, general, "How long is parental leave?")
    asked = bot.slack.mention(mira, general, "How long is sick leave?")
    bot.slack.wait_for(lambda: bot.slack.thread(general, asked.ts)[1:])
    assert len(bot.slack.thread(general, talk.ts)) == 1
    assert [question.question for question in bot.answerer.asked] == ["How long is sick leave?"]


def test_a_direct_message_is_answered(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    sent = bot.slack.direct_message(mira, "Is R&D > sales?")
    place = bot.slack.dm(mira)
    [answer] = bot.slack.wait_for(lambda: bot.slack.thread(place, sent.ts)[1:])
    assert "*sixteen weeks*" in answer.plain
    assert bot.answerer.asked == [Asked("Is R&D > sales?", "dm", mira.id, place.id, sent.ts)]


def test_another_bot_gets_no_answer(bot: Bot) -> None:
    other = bot.slack.add_user("standup", bot=True)
    mira = bot.slack.add_user("mira")
    general = bot.slack.add_channel("general", mira, other)
    talk = bot.slack.mention(other, general, "How long is parental leave?")
    asked = bot.slack.mention(mira, general, "How long is sick leave?")
    bot.slack.wait_for(lambda: bot.slack.thread(general, asked.ts)[1:])
    assert len(bot.slack.thread(general, talk.ts)) == 1
    assert len(bot.answerer.asked) == 1


def take_out(slack: SlackServer, channel: Channel) -> None:
    slack.remove_bot(channel)


def archive(slack: SlackServer, channel: Channel) -> None:
    channel.is_archived = True


def restrict(slack: SlackServer, channel: Channel) -> None:
    channel.is_read_only = True


@pytest.mark.parametrize(
    ("close", "private", "error", "reason"),
    [
        (take_out, False, "not_in_channel", "I am not in that channel any more"),
        (take_out, True, "channel_not_found", "I do not see that channel any more"),
        (archive, False, "is_archived", "the channel is archived"),
        (restrict, False, "restricted_action_read_only_channel", "I may not post there"),
    ],
)
def test_an_answer_that_cannot_be_posted_comes_as_a_direct_message(
    bot: Bot,
    caplog: pytest.LogCaptureFixture,
    close: Callable[[SlackServer, Channel], None],
    private: bool,
    error: str,
    reason: str,
) -> None:
    mira = bot.slack.add_user("mira")
    general = bot.slack.add_channel("general", mira, private=private)
    bot.answerer.gate.clear()
    sent = bot.slack.mention(mira, general, "How long is parental leave?")
    bot.slack.wait_for(lambda: bot.answerer.asked)
    close(bot.slack, general)
    bot.answerer.gate.set()
    [message] = bot.slack.wait_for(lambda: bot.slack.messages(bot.slack.dm(mira)))
    first, quote, *_ = message.plain.split("\n")
    assert first.startswith(f"I could not answer in #{general.id}, because {reason}.")
    assert quote == "> Everybody gets *sixteen weeks* of parental leave at full pay."
    assert "sixteen weeks" in message.text
    assert [call.error for call in bot.slack.calls_of("chat.postMessage")] == [error, None]
    assert len(bot.slack.thread(general, sent.ts)) == 1
    assert error in caplog.text


def test_what_goes_wrong_where_nothing_can_be_posted_is_told_directly(bot: Bot) -> None:
    bot.answerer.says = QuestionError("The question has 1,200 characters; ask shorter.")
    mira = bot.slack.add_user("mira")
    general = bot.slack.add_channel("general", mira)
    general.is_read_only = True
    bot.slack.mention(mira, general, "why " * 300)
    [message] = bot.slack.wait_for(lambda: bot.slack.messages(bot.slack.dm(mira)))
    assert message.plain.endswith("\nThe question has 1,200 characters; ask shorter.")


def test_an_asker_out_of_reach_is_tried_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with SlackServer() as slack:
        mira = slack.add_user("mira")
        general = slack.add_channel("general", mira)
        with running_bot(slack, tmp_path) as bot:
            bot.answerer.gate.clear()
            slack.mention(mira, general, "How long is parental leave?")
            slack.wait_for(lambda: bot.answerer.asked)
            slack.remove_bot(general)
            slack.deactivate(mira)
            bot.answerer.gate.set()
        # The bot has finished what it began.
        errors = [call.error for call in slack.calls_of("chat.postMessage")]
    assert errors == ["not_in_channel", "channel_not_found"]
    assert f"{mira.id} could not be told either" in caplog.text


def test_an_edited_question_is_not_answered_again(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    place = bot.slack.dm(mira)
    sent = bot.slack.direct_message(mira, "How long is parental leeve?")
    bot.slack.wait_for(lambda: bot.slack.thread(place, sent.ts)[1:])
    edit = bot.slack.edit(sent.message, "How long is parental leave?")
    assert edit.event("message").acknowledged
    other = bot.slack.direct_message(mira, "And sick leave?")
    bot.slack.wait_for(lambda: bot.slack.thread(place, other.ts)[1:])
    assert len(bot.answerer.asked) == 2


def test_a_mention_that_an_edit_added_is_answered(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    general = bot.slack.add_channel("general", mira)
    talk = bot.slack.say(mira, general, "How long is parental leave?")
    tag = f"<@{bot.slack.bot.id}>"
    bot.slack.edit(talk.message, f"{tag} How long is parental leave?")
    [answer] = bot.slack.wait_for(lambda: bot.slack.thread(general, talk.ts)[1:])
    assert "*sixteen weeks*" in answer.plain
    # Edited once more, it has its answer already.
    bot.slack.edit(talk.message, f"{tag} How long is paternal leave?")
    other = bot.slack.mention(mira, general, "And sick leave?")
    bot.slack.wait_for(lambda: bot.slack.thread(general, other.ts)[1:])
    assert len(bot.slack.thread(general, talk.ts)) == 2
    assert [asked.question for asked in bot.answerer.asked] == [
        "How long is parental leave?",
        "And sick leave?",
    ]


@pytest.mark.parametrize("days", [0, 5, 400])
def test_an_edited_mention_is_not_answered_again(bot: Bot, days: int) -> None:
    mira = bot.slack.add_user("mira")
    general = bot.slack.add_channel("general", mira)
    sent = bot.slack.mention(mira, general, "How long is parental leeve?")
    bot.slack.wait_for(lambda: bot.slack.thread(general, sent.ts)[1:])
    if days > 7:  # long after, nobody remembers that it was answered
        with bot.database.write() as session:
            session.connection().exec_driver_sql("DELETE FROM slack_events")
    edit = bot.slack.edit(
        sent.message, f"<@{bot.slack.bot.id}> How long is parental leave?", days=days
    )
    assert edit.event("app_mention").acknowledged
    other = bot.slack.mention(mira, general, "And sick leave?")
    bot.slack.wait_for(lambda: bot.slack.thread(general, other.ts)[1:])
    assert len(bot.slack.thread(general, sent.ts)) == 2
    assert len(bot.answerer.asked) == 2


@pytest.mark.parametrize("text", ["", "help", "Help!"])
def test_an_empty_mention_and_help_explain_the_bot(bot: Bot, text: str) -> None:
    mira = bot.slack.add_user("mira")
    general = bot.slack.add_channel("general", mira)
    sent = bot.slack.mention(mira, general, text)
    [answer] = bot.slack.wait_for(lambda: bot.slack.thread(general, sent.ts)[1:])
    assert "word for word" in answer.plain
    assert "/ask" in answer.plain
    assert "/kb upload" in answer.plain
    assert bot.answerer.asked == []


def test_help_is_right_wherever_it_is_read(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    general = bot.slack.add_channel("general", mira)
    in_channel = bot.slack.mention(mira, general, "help")
    directly = bot.slack.direct_message(mira, "help")
    bot.slack.slash_command(mira, "/ask", "help")
    [first] = bot.slack.wait_for(lambda: bot.slack.thread(general, in_channel.ts)[1:])
    [second] = bot.slack.wait_for(lambda: bot.slack.thread(bot.slack.dm(mira), directly.ts)[1:])
    [third] = bot.slack.wait_for(lambda: bot.slack.responses)
    assert first.plain == second.plain == third.plain
    assert not re.search(r"\bhere\b", first.plain, re.IGNORECASE)


def test_ask_answers_only_the_asker(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    general = bot.slack.add_channel("general", mira)
    command = bot.slack.slash_command(mira, "/ask", "How long is parental leave?", general)
    assert command.delivery.acknowledged
    [answer] = bot.slack.wait_for(lambda: bot.slack.responses)
    assert answer.error is None
    assert not answer.in_channel
    assert answer.user == mira.id
    assert "*sixteen weeks*" in answer.plain
    assert bot.slack.messages(general) == []
    assert bot.answerer.asked == [
        Asked("How long is parental leave?", "command", mira.id, general.id, None)
    ]


def test_ask_without_a_question_explains_itself(bot: Bot) -> None:
    bot.slack.slash_command(bot.slack.add_user("mira"), "/ask", "  ")
    [answer] = bot.slack.wait_for(lambda: bot.slack.responses)
    assert answer.plain == USAGE


def test_a_late_answer_to_ask_comes_as_a_direct_message(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    bot.answerer.gate.clear()
    bot.slack.slash_command(mira, "/ask", "How long is parental leave?")
    bot.slack.wait_for(lambda: bot.answerer.asked)
    bot.slack.expire_response_urls()
    bot.answerer.gate.set()
    [message] = bot.slack.wait_for(lambda: bot.slack.messages(bot.slack.dm(mira)))
    assert "*sixteen weeks*" in message.plain


def test_a_response_url_out_of_reach_leaves_the_direct_messages(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    client = WebClient(token=bot.slack.bot_token, base_url=bot.slack.api_url)
    with socket.socket() as unheard:  # bound, but nobody listens
        unheard.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unheard.getsockname()[1]}/commands/1"
        OnlyYou(address, fallback=Conversation(client, mira.id)).send(plain("Sixteen weeks."))
    [message] = bot.slack.messages(bot.slack.dm(mira))
    assert message.plain == "Sixteen weeks."


def test_the_status_shows_while_the_documents_are_searched(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    general = bot.slack.add_channel("general", mira)
    bot.answerer.gate.clear()
    sent = bot.slack.mention(mira, general, "How long is parental leave?")
    bot.slack.wait_for(lambda: bot.answerer.asked)
    assert bot.slack.status(general, sent.ts) == STATUS
    bot.answerer.gate.set()
    bot.slack.wait_for(lambda: bot.slack.thread(general, sent.ts)[1:])
    assert bot.slack.status(general, sent.ts) == ""


def test_an_answer_comes_without_the_status_too(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    general = bot.slack.add_channel("general", mira)
    bot.slack.rate_limit("assistant.threads.setStatus", times=1, retry_after=600)
    sent = bot.slack.mention(mira, general, "How long is parental leave?")
    [answer] = bot.slack.wait_for(lambda: bot.slack.thread(general, sent.ts)[1:])
    assert "*sixteen weeks*" in answer.plain
    assert bot.slack.calls_of("assistant.threads.setStatus")[0].status == 429


def test_a_rate_limited_answer_is_sent_later(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    bot.slack.rate_limit("chat.postMessage", times=1, retry_after=0)
    sent = bot.slack.direct_message(mira, "How long is parental leave?")
    place = bot.slack.dm(mira)
    assert bot.slack.wait_for(lambda: bot.slack.thread(place, sent.ts)[1:])
    assert [call.status for call in bot.slack.calls_of("chat.postMessage")] == [429, 200]


def test_an_answer_that_slack_keeps_refusing_is_asked_for_again(
    bot: Bot, caplog: pytest.LogCaptureFixture
) -> None:
    mira = bot.slack.add_user("mira")
    attempts = 1 + 3  # as retry_handlers() has it
    bot.slack.rate_limit("chat.postMessage", times=attempts, retry_after=0)
    sent = bot.slack.direct_message(mira, "How long is parental leave?")
    place = bot.slack.dm(mira)
    [told] = bot.slack.wait_for(lambda: bot.slack.thread(place, sent.ts)[1:], timeout=60)
    assert told.plain == RATE_LIMITED
    assert "rate limit" in caplog.text
    assert "Unexpected error" not in caplog.text


def test_a_rate_limited_answer_to_ask_is_sent_later(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    bot.slack.rate_limit("response_url", times=2, retry_after=1)
    bot.slack.slash_command(mira, "/ask", "How long is parental leave?")
    [answer] = bot.slack.wait_for(lambda: bot.slack.responses, timeout=60)
    assert answer.user == mira.id
    assert not answer.in_channel
    assert "> Everybody gets *sixteen weeks* of parental leave" in answer.plain
    assert bot.slack.messages(bot.slack.dm(mira)) == []


def test_an_answer_to_ask_that_stays_limited_comes_as_a_direct_message(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    bot.slack.rate_limit("response_url", times=4, retry_after=0)
    bot.slack.slash_command(mira, "/ask", "How long is parental leave?")
    [message] = bot.slack.wait_for(lambda: bot.slack.messages(bot.slack.dm(mira)), timeout=60)
    assert "> Everybody gets *sixteen weeks* of parental leave" in message.plain
    assert bot.slack.responses == []


def test_no_answer_says_so_and_names_documents(bot: Bot) -> None:
    bot.answerer.says = reply(
        closest=(hit("Holidays", url="https://docs.example.com/holidays"), hit("Sick leave"))
    )
    mira = bot.slack.add_user("mira")
    sent = bot.slack.direct_message(mira, "Who is the king of France?")
    [answer] = bot.slack.wait_for(lambda: bot.slack.thread(bot.slack.dm(mira), sent.ts)[1:])
    assert "I found no answer to that in the documents." in answer.plain
    assert "• [Holidays](https://docs.example.com/holidays)" in answer.plain
    assert "• Sick leave" in answer.plain
    assert "Secret" not in answer.plain


def test_a_typed_error_is_told_to_the_asker(bot: Bot) -> None:
    bot.answerer.says = QuestionError("The question has 1,200 characters <!channel>; ask shorter.")
    mira = bot.slack.add_user("mira")
    general = bot.slack.add_channel("general", mira)
    sent = bot.slack.mention(mira, general, "why " * 300)
    [answer] = bot.slack.wait_for(lambda: bot.slack.thread(general, sent.ts)[1:])
    assert answer.plain == "The question has 1,200 characters <!channel>; ask shorter."
    assert answer.pings == frozenset()


def test_an_unexpected_error_gets_a_reference(bot: Bot, caplog: pytest.LogCaptureFixture) -> None:
    bot.answerer.says = ZeroDivisionError("boom")
    mira = bot.slack.add_user("mira")
    bot.slack.slash_command(mira, "/ask", "How long is parental leave?")
    [answer] = bot.slack.wait_for(lambda: bot.slack.responses)
    assert "boom" not in answer.plain
    reference = answer.plain.partition("reference ")[2].partition(")")[0]
    assert len(reference) == 8
    [record] = [record for record in caplog.records if reference in record.getMessage()]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def test_an_error_in_a_listener_reaches_the_asker(bot: Bot) -> None:
    with bot.database.write() as session:
        session.connection().exec_driver_sql("DROP TABLE slack_events")
    mira = bot.slack.add_user("mira")
    sent = bot.slack.direct_message(mira, "How long is parental leave?")
    [answer] = bot.slack.wait_for(lambda: bot.slack.thread(bot.slack.dm(mira), sent.ts)[1:])
    assert "run: spanbot db upgrade" in answer.plain


def test_a_busy_bot_says_so(tmp_path: Path) -> None:
    def one_at_a_time(deps: SlackDependencies) -> SlackDependencies:
        return replace(deps, questions=WorkQueue("questions", workers=1, limit=1))

    with SlackServer() as slack, running_bot(slack, tmp_path, change=one_at_a_time) as bot:
        mira = slack.add_user("mira")
        general = slack.add_channel("general", mira)
        bot.answerer.gate.clear()
        first = slack.mention(mira, general, "One?")
        slack.wait_for(lambda: bot.answerer.asked)
        second = slack.mention(mira, general, "Two?")
        # The status is set before the question is queued, so the second one is on its way in.
        slack.wait_for(lambda: slack.status(general, second.ts))
        others = [slack.mention(mira, general, "Three?"), slack.mention(mira, general, "Four?")]

        def replies() -> list[str]:
            threads = [slack.thread(general, sent.ts)[1:] for sent in (first, second, *others)]
            return [message.plain for thread in threads for message in thread]

        slack.wait_for(lambda: len(replies()) == 2)
        assert replies() == [BUSY, BUSY]
        bot.answerer.gate.set()
        slack.wait_for(lambda: len(replies()) == 4)
        assert replies().count(BUSY) == 2
        assert len(bot.answerer.asked) == 2


def test_feedback_is_kept_and_the_last_word_counts(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    sent = bot.slack.direct_message(mira, "How long is parental leave?")
    place = bot.slack.dm(mira)
    [answer] = bot.slack.wait_for(lambda: bot.slack.thread(place, sent.ts)[1:])
    with bot.database.read() as session:
        question_id = session.scalars(select(Question.id)).one()
    for count, value in ((1, 1), (2, -1)):
        bot.slack.click(mira, answer, FEEDBACK_ACTION, value=feedback_value(question_id, value))
        bot.slack.wait_for(lambda least=count: len(bot.slack.responses) >= least)  # type: ignore[misc]
        response = bot.slack.responses[-1]
        assert response.error is None
        assert "Thank you" in response.plain
    with bot.database.read() as session:
        rows = session.execute(select(Feedback.question_id, Feedback.user, Feedback.value)).all()
    assert [tuple(row) for row in rows] == [(question_id, mira.id, -1)]
    assert len(bot.slack.thread(place, sent.ts)) == 2


def test_feedback_for_a_question_that_is_gone_is_explained(bot: Bot) -> None:
    mira = bot.slack.add_user("mira")
    sent = bot.slack.direct_message(mira, "How long is parental leave?")
    [answer] = bot.slack.wait_for(lambda: bot.slack.thread(bot.slack.dm(mira), sent.ts)[1:])
    with bot.database.write() as session:
        question = session.scalars(select(Question)).one()
        value = feedback_value(question.id, 1)
        session.delete(question)
    click = bot.slack.click(mira, answer, FEEDBACK_ACTION, value=value)
    assert click.delivery.acknowledged
    [response] = bot.slack.wait_for(lambda: bot.slack.responses)
    assert "there is no question" in response.plain


def test_further_answers_are_shown_below(bot: Bot) -> None:
    bot.answerer.says = reply(
        answer_span(),
        answer_span("Two parents may share 20 weeks.", "20 weeks", title="Benefits", section=None),
    )
    mira = bot.slack.add_user("mira")
    sent = bot.slack.direct_message(mira, "How long is parental leave?")
    [answer] = bot.slack.wait_for(lambda: bot.slack.thread(bot.slack.dm(mira), sent.ts)[1:])
    assert "• Two parents may share *20 weeks*. — [Benefits](" in answer.plain
