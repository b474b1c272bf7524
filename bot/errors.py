"""The bot's errors.

    SpanbotError
    ├── ConfigurationError   a setting or token that is missing or wrong
    ├── QuestionError        a question that cannot be asked as it stands
    ├── SlackFileError       a file on Slack that cannot be fetched
    ├── WaitedTooLongError   work that could not be begun in time
    ├── RestartError         work that was not done before the program ended
    └── StoppedError         a run over the documents that the program's end has cut short

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


class WaitedTooLongError(SpanbotError):
    """Too many others were waiting."""

    def __init__(self) -> None:
        super().__init__(
            "Too many others are asking me just now, and I did not get to this in time. Please "
            "ask again later."
        )


class RestartError(SpanbotError):
    """The program ends before the work is done."""

    def __init__(self) -> None:
        super().__init__(
            "I am being restarted and could not finish this. Please ask again in a minute."
        )


class StoppedError(SpanbotError):
    """The program ends; what the run has stored stays, the next one does the rest."""

    def __init__(self) -> None:
        super().__init__("it was stopped: the program ended; the next reindexing does the rest")
