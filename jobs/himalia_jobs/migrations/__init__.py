"""The database's history, by Alembic: an older database is brought forward once, a copy is kept beside it."""
