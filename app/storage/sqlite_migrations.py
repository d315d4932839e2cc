"""The schema of the sqlite store: the migrations that make it, one after another."""

import sqlite3
from collections.abc import Sequence

from app.errors import StoreFailed
from app.storage.sqlite_file import FILE

MIGRATIONS = (
    """
    CREATE TABLE owners (
        number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, records INTEGER NOT NULL, bytes INTEGER NOT NULL
    );
    CREATE TABLE models (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    -- Numbered in the order of insertion, so that records of all owners are appended: with (owner, id) as the primary
    -- key each owner's records would be inserted in a place of their own, and half-fill its pages.
    CREATE TABLE adaptations (
        number INTEGER PRIMARY KEY, owner INTEGER NOT NULL, id BLOB NOT NULL, revision INTEGER NOT NULL,
        model INTEGER NOT NULL, label TEXT, expires_at REAL NOT NULL, record BLOB NOT NULL
    );
    CREATE UNIQUE INDEX by_id ON adaptations (owner, id);
    CREATE INDEX by_model ON adaptations (owner, model, id);
    CREATE INDEX by_label ON adaptations (owner, label, id) WHERE label IS NOT NULL;
    CREATE INDEX by_model_and_label ON adaptations (owner, model, label, id) WHERE label IS NOT NULL;
    CREATE INDEX by_expiry ON adaptations (expires_at);
    CREATE TABLE names (
        owner INTEGER NOT NULL, name TEXT NOT NULL, adaptation INTEGER NOT NULL, fingerprint BLOB NOT NULL,
        PRIMARY KEY (owner, name)
    ) WITHOUT ROWID;
    """,
    """
    -- The usage of an owner counts adaptations up to this number; later ones are added when it is read.
    ALTER TABLE owners ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;
    UPDATE owners SET counted = (SELECT coalesce(max(number), 0) FROM adaptations);
    """,
)
"""Each migrates the schema from the version that is its index here to the next. Released ones stay as they are."""


def migrate(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Migrate an older schema, each step in a transaction of its own. Raises StoreFailed for a newer schema."""
    version = check_schema(connection, migrations)
    for number, script in enumerate(migrations[version:], version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def check_schema(connection: sqlite3.Connection, migrations: Sequence[str]) -> int:
    """The version of the schema. Raises StoreFailed for a newer one than there are migrations."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise StoreFailed(
            f"{FILE}: expected a schema up to {len(migrations)}, got {version}: start the newer version of Innerloop "
            "that wrote it, or set INNERLOOP_STATE_DIR to another folder"
        )
    return int(version)


def connect_to_nothing(migrations: Sequence[str]) -> sqlite3.Connection:
    """Open an empty database in memory, in place of a file that cannot be made yet."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate(connection, migrations)
    return connection
