"""What a command left in a dataset of the BigQuery emulator."""

import hashlib

from ariel_tf.data.bigquery.address import Address
from ariel_tf.data.bigquery.connection import Connection
from ariel_tf.data.bigquery.tables import TABLES

PROJECT = "proj"


def remove(dataset: str) -> None:
    """Remove a dataset with its tables, if it is there."""
    connection = Connection(Address.parse(f"bigquery://{PROJECT}/{dataset}"))
    connection.rest.delete_dataset(f"{PROJECT}.{dataset}", delete_contents=True, not_found_ok=True)


def outcome(dataset: str) -> dict[str, str]:
    """Digest of the rows of each table, whatever their order, by its name; a view, which has none of its own, is ""."""
    connection = Connection(Address.parse(f"bigquery://{PROJECT}/{dataset}"))
    names = [table.table_id for table in connection.rest.list_tables(f"{PROJECT}.{dataset}")]
    found = {f"bigquery {name}": "" for name in names}
    for name in TABLES.keys() & {*names}:
        rows = sorted(repr(row) for row in connection.rows(f"SELECT * FROM `{PROJECT}.{dataset}.{name}`"))
        found[f"bigquery {name}"] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return found
