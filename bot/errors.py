"""The bot's errors.

    SpanbotError
    ├── ConfigurationError   a setting or token that is missing or wrong
    ├── QuestionError        a question that cannot be asked as it stands
    └── SlackFileError       a file on Slack that cannot be fetched

Their messages are fit to be shown to the person who caused them.
"""


class SpanbotError(Exception):
    """Base of everything this package raises on purpose."""


class ConfigurationError(SpanbotError):
    """A setting is missing or wrong."""


class QuestionError(SpanbotError):
    """The question is empty or too long."""


class SlackFileError(SpanbotError):
    """A file on Slack cannot be fetched."""
