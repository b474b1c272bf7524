"""Documents in, ranked passages out.

``retriever.parsing`` turns files into text with anchors, ``retriever.store`` keeps them,
``retriever.ingest`` adds and refreshes them, ``retriever.index`` is the BM25 index on disk and
``retriever.search`` asks it. The package knows neither torch nor Slack, and importing it does
nothing.
"""
