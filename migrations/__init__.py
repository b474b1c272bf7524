"""Migrations of the database's schema.

They go one way. The way back is the copy that ``spanbot db upgrade`` saved before the upgrade.

To change the schema:

1. Change ``retriever/store/models.py``.
2. ``python -m migrations "what changes"`` writes ``versions/<next number>_what_changes.py`` from
   the difference between the models and the migrations so far.
3. Read it line by line. The comparison sees tables, columns, indexes, unique constraints and
   foreign keys; it does not see check constraints, ``sqlite_autoincrement`` or rows to fill in.
   Name every constraint as the models' naming convention does. Alter tables inside
   ``with op.batch_alter_table(...)``, because SQLite rebuilds a table to change it;
   those of ``documents`` and ``passages`` need ``table_kwargs={"sqlite_autoincrement": True}``,
   which the rebuilding forgets otherwise.
4. Set ``HEAD`` below to the new number.
5. Run ``pytest tests/test_store_migrations.py``: it compares the models with a migrated database,
   check constraints included, and upgrades a database that has rows in every table.

A migration runs in one transaction with foreign keys off. With them on, rebuilding a table on
SQLite deletes its old form, and every row that refers to it goes too. ``env.py`` refuses such a
connection, looks for rows that refer to nothing and for ids that could be used twice, and lets
nothing be committed where it finds any.
"""

#: The newest revision: what a database must be at to be worked with.
HEAD = "0002"
