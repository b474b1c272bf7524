"""The retriever's errors.

    RetrieverError
    ├── ParseError          a file that cannot be read as a document
    ├── IngestError         a path that cannot be added, a collection that does not exist
    ├── StoreError          the database cannot be opened, read or written
    │   ├── SchemaError     its schema is older or newer than this program
    │   └── StorageFullError  no space is left for it
    ├── SearchIndexError    the search index cannot be written or read
    └── AnalysisError       a language or a synonym that texts cannot be analysed by

Every message names the value that is wrong and what to do next.
"""


class RetrieverError(Exception):
    """Base of everything this package raises on purpose."""


class ParseError(RetrieverError):
    """A file cannot be read as a document."""


class IngestError(RetrieverError):
    """Something cannot be added to or removed from the store."""


class StoreError(RetrieverError):
    """The database cannot be opened, read or written."""


class SchemaError(StoreError):
    """The database's schema is not the one that this program works with."""


class StorageFullError(StoreError):
    """The disk that holds the database is full."""


class SearchIndexError(RetrieverError):
    """The search index cannot be written or read."""


class AnalysisError(RetrieverError):
    """Texts cannot be analysed in that way: no such language, or a wrong line of synonyms."""
