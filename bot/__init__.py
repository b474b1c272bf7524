"""The bot: answering, the command line and Slack, built on ``retriever`` and ``reader``.

Importing the package loads nothing; the network is loaded when the first answer needs it.
"""
