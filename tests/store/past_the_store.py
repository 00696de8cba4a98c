"""Statements that are run past the store, as another program could, or a faulty disk."""

import sqlite3


def raw(folder, *statements):
    """Run statements on the database. Returns the rows of the last."""
    database = sqlite3.connect(folder / "labels.db")
    try:
        with database:
            return [database.execute(statement).fetchall() for statement in statements][-1]
    finally:
        database.close()


def unguarded(folder, *statements):
    """Run them without the triggers that refuse changes."""
    triggers = raw(folder, "SELECT name FROM sqlite_master WHERE type = 'trigger'")
    return raw(folder, *(f"DROP TRIGGER {name}" for (name,) in triggers), *statements)
