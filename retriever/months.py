"""The names of months: a number before one is a date's, and no list's."""

from __future__ import annotations

MONTHS = frozenset(
    "january february march april may june july august september october november december "
    "januar februar märz mai juni juli oktober dezember".split()
)
#: Without their full stops.
SHORT_MONTHS = frozenset("jan feb mar mär mrz apr jun jul aug sep sept oct okt nov dec dez".split())
#: A pattern of one with its full stop, small letters or capital ones.
SHORT_MONTH = rf"(?i:{'|'.join(sorted(SHORT_MONTHS))})\."
