"""The document store: SQLAlchemy models, the database they live in, and what is asked of it."""
