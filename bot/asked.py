"""Questions that the documents ask themselves: what answers them comes behind.

A reader that is asked what a document asks too points at the question there, which tells nobody
anything. Its answer is shown instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.wanted import is_brief
from retriever.faq import is_labelled_answer, is_labelled_question, is_question
from retriever.markers import after_marker
from retriever.parsing.tables import begins_as_row, is_row
from retriever.sentences import line_at, sentence_spans

_Spans = Sequence[tuple[int, int]]


def beyond_question(text: str, start: int, end: int, headings: _Spans = ()) -> tuple[int, int]:
    """``text[start:end]`` without the question that it begins in, if the answer follows.

    Of a span that lies in the question, nothing is left: then it is the answer's first sentence,
    with the next ones as long as it is brief.

    Args:
        headings: where headings stand in ``text``: they answer nothing.
    """
    if not any(sign in text for sign in "?？Q"):
        return start, end
    spans = sentence_spans(text)
    for number, (begin, stop) in enumerate(spans):
        if begin < end and start < stop:
            answer = _answer_to(text, spans, number, headings)
            break
    else:
        return start, end
    if answer is None:
        return start, end
    begin, stop = answer
    return (max(start, begin), end) if begin < end else answer


def _answer_to(text: str, spans: _Spans, number: int, headings: _Spans) -> tuple[int, int] | None:
    """The sentence that answers sentence ``number``; None if that asks nothing, or none does."""
    line, line_end = line_at(text, spans[number][0])
    inside = [n for n, (begin, _) in enumerate(spans) if line <= begin < line_end]
    asking = [n for n in inside if is_question(text, *spans[n])]
    labelled = is_labelled_question(text, line, line_end)
    if labelled and not asking:  # "Q: How to get in"
        last = inside[-1]
    elif number in asking or (labelled and number < asking[0]):
        last = next(n for n in asking if n >= number and n + 1 not in asking)
    else:
        return None
    # A question in a row that is too long for one sentence is the header of a cell.
    cells = begins_as_row(text, line, line_end) and "; " in text[line:line_end]
    if last + 1 == len(spans) or cells:
        return None
    begin, end = spans[last + 1]
    below, below_end = line_at(text, begin)
    if not is_labelled_answer(text, begin) and last == inside[-1]:
        # Without labels, a question in a list or behind other text is answered on its own line.
        alone = inside[: len(asking)] == asking and after_marker(text, line, line_end) == line
        if not asking or not (labelled or alone) or is_question(text, begin, end):
            return None
        if after_marker(text, below, below_end) > below or is_row(text, below, below_end):
            return None  # all of the list or table may be the answer
        if is_labelled_question(text, below, below_end):
            return None
        if any(first <= begin < behind for first, behind in headings):
            return None
    # "Generally, no." is shown with the sentence behind it.
    for _, stop in spans[last + 2 :]:
        if stop > below_end or not is_brief(text[begin:end]):
            break
        end = stop
    return begin, end
