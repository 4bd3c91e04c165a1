"""A dataset of BigQuery that is being filled: its tables, their rows, its views, and the manifest that commits it."""

import hashlib
import io
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ariel_tf.challenge import N_WAVELENGTHS
from ariel_tf.core.errors import DataError, UsageError
from ariel_tf.data.bigquery.connection import CALL_S, Connection
from ariel_tf.data.bigquery.tables import MANIFEST, TABLES, Table, views

# Label of the tables, so that an unfinished upload of another data set is never continued.
LABEL = "ariel_fingerprint"
LABEL_LENGTH = 63


class Destination:
    """The destination of a data set.

    Args:
        connection: connection to the dataset.
        identity: a hexadecimal digest that changes with the data to store.
    """

    def __init__(self, connection: Connection, identity: str):
        self.connection = connection
        self._label = identity[:LABEL_LENGTH]

    def prepare(self, location: str, overwrite: bool) -> None:
        """Create the dataset and its tables, or check that existing ones belong to this data set.

        Args:
            location: location of a dataset that has to be created, such as EU.
            overwrite: whether tables of another data set may be removed.

        Raises:
            UsageError: the dataset contains another data set.
            DataError: a table has other columns.
        """
        from google.cloud import bigquery

        client, address = self.connection.rest, self.connection.address
        dataset = bigquery.Dataset(f"{address.project}.{address.dataset}")
        dataset.location = location
        with self.connection.refusals("the dataset"):
            client.create_dataset(dataset, exists_ok=True, retry=self.connection.retry, timeout=CALL_S)
        present = {name: self.connection.table(name) for name in TABLES}
        others = [
            name for name, table in present.items() if table is not None and table.labels.get(LABEL) != self._label
        ]
        if others and not overwrite:
            raise UsageError(
                f"{address.description} holds another data set, or other tables of its names ({', '.join(others)}): "
                "use another dataset, or --overwrite"
            )
        for name in others:
            with self.connection.refusals(name):
                client.delete_table(address.table(name), retry=self.connection.retry, timeout=CALL_S)
            present[name] = None
        faults = [
            fault for name, table in present.items() if table is not None for fault in TABLES[name].faults(table.schema)
        ]
        if faults:
            raise DataError(f"{address.description}: its tables have other columns; use --overwrite", faults)
        for name, table in present.items():
            if table is None:
                self._create(TABLES[name])

    def _create(self, table: Table) -> None:
        from google.cloud import bigquery

        made = bigquery.Table(self.connection.address.table(table.name), _schema(table))
        made.labels = {LABEL: self._label}
        if table.by_wavelength:
            span = bigquery.PartitionRange(start=0, end=N_WAVELENGTHS, interval=1)
            made.range_partitioning = bigquery.RangePartitioning(field="wavelength", range_=span)
        if table.clustered:
            made.clustering_fields = ["planet"]
        with self.connection.refusals(table.name):
            self.connection.rest.create_table(made, retry=self.connection.retry, timeout=CALL_S)

    def load(self, name: str, rows: Any) -> None:
        """Append rows to a table by one load job: all of them, or none."""
        import pyarrow.parquet as pq
        from google.cloud import bigquery

        options = bigquery.ParquetOptions()
        options.enable_list_inference = True
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            schema=_schema(TABLES[name]),
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
            parquet_options=options,
        )
        file = io.BytesIO()
        pq.write_table(rows, file, compression="zstd", use_dictionary=False)
        with self.connection.refusals(name):
            job = self.connection.rest.load_table_from_file(
                file, self.connection.address.table(name), rewind=True, job_config=config, num_retries=3
            )
            job.result(retry=self.connection.retry)

    def make_views(self) -> None:
        """Add the classic layout as views, unless they exist."""
        from google.cloud import bigquery

        address, client = self.connection.address, self.connection.rest
        place = f"{address.project}.{address.dataset}"
        with self.connection.refusals("the dataset"):
            present = {table.table_id for table in client.list_tables(place, retry=self.connection.retry)}
        for name, sql in views(place):
            if name not in present:
                view = bigquery.Table(address.table(name))
                view.view_query = sql
                with self.connection.refusals(name):
                    client.create_table(view, exists_ok=True, retry=self.connection.retry, timeout=CALL_S)

    def commit(self, files: Mapping[str, bytes]) -> bool:
        """Fill `manifest` with manifest.json and statistics.npz, unless it is filled; return whether it was not."""
        import pyarrow as pa

        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        place = self.connection.address.table(MANIFEST)
        stored = self.connection.rows(f"SELECT name, sha256 FROM `{place}`")
        if Counter(stored) == Counter(digests.items()):
            return False
        if stored:
            self.connection.query(f"DELETE FROM `{place}` WHERE TRUE")
        columns = {"name": list(files), "sha256": list(digests.values()), "content": list(files.values())}
        self.load(MANIFEST, pa.table(columns))
        return True


def _schema(table: Table) -> list[Any]:
    from google.cloud import bigquery

    return [bigquery.SchemaField(column.name, column.kind, column.mode) for column in table.columns]
