"""The search index on disk: immutable segments, and a manifest that says which of them count.

    files         one file of named arrays, written durably, mapped and checked when it is opened
    terms         a sorted dictionary of terms that needs no reading at opening
    segment       a segment: postings, lengths, ids, vectors; and the marks of what was deleted
    build         from passages to a segment
    bulk          from many passages to one
    statistics    document frequencies, average length and idf of a whole generation
    manifest      one generation: its segments, marks and statistics
    generation    a generation that is open: it ranks passages
    folder        the folder: opening, adding, deleting, merging and tidying up
    merge         which segments to merge, and how
    kernel        the inner loops: compiled by numba where it is installed, else numpy
    compiled      the compiled loops on disk, so that no search waits for a compiler

Nothing that a manifest names is ever changed. Adding passages writes a segment, deleting them
writes the marks of a segment anew, merging writes a segment in the place of several; each ends with
a new manifest in the place of the one before. A process that has a generation open keeps its files
mapped, also when they are gone from the folder.
"""
