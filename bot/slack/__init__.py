"""The Slack side of the bot: listeners, messages, files and the two ways to be connected.

:mod:`bot.slack.app` builds the app from its parts, :mod:`bot.slack.serve` runs it.
"""
