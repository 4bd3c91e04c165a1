"""The clients of BigQuery, and their errors as one sentence that a user can act on, within seconds."""

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ariel_tf.core.errors import ArielError, DataError
from ariel_tf.data.bigquery.address import Address

# Google's libraries retry for ten minutes by default, too long for a mistyped host.
PATIENCE_S = 8.0
CALL_S = 10.0
# A page of a stream, or a query of a whole table, may take longer.
PAGE_S = 120.0


class Connection:
    """Both clients of one address, each created on first use.

    Attributes:
        address: address of the data set.
    """

    def __init__(self, address: Address):
        self.address = address

    @functools.cached_property
    def credentials(self) -> Any:
        """Return Application Default Credentials; none for an emulator."""
        import google.auth
        from google.auth.credentials import AnonymousCredentials

        if self.address.is_emulator:
            return AnonymousCredentials()
        with self.refusals("credentials"):
            return google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])[0]

    @functools.cached_property
    def rest(self) -> Any:
        """`google.cloud.bigquery.Client`."""
        from google.api_core.client_options import ClientOptions
        from google.cloud import bigquery

        options = ClientOptions(api_endpoint=self.address.rest) if self.address.rest else None
        return bigquery.Client(self.address.payer, self.credentials, client_options=options)

    @functools.cached_property
    def storage(self) -> Any:
        """Return a `BigQueryReadClient` of the Storage Read API: its wrapper would retry for a day."""
        from google.cloud.bigquery_storage_v1.services.big_query_read import BigQueryReadClient
        from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

        if self.address.is_emulator:
            import grpc

            # Pages of an emulator can exceed gRPC's default limit of 4 MB.
            channel = grpc.insecure_channel(self.address.grpc, [("grpc.max_receive_message_length", -1)])
            return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
        options = {"api_endpoint": self.address.grpc} if self.address.grpc else None
        return BigQueryReadClient(credentials=self.credentials, client_options=options)

    @property
    def retry(self) -> Any:
        """Return the retry policy of idempotent calls: Google's, but limited to seconds."""
        from google.cloud.bigquery.retry import DEFAULT_RETRY

        return DEFAULT_RETRY.with_timeout(PATIENCE_S)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None, **settings: Any) -> Any:
        """Return a finished query job; values are passed as parameters, whole numbers or lists of them."""
        from google.cloud import bigquery

        given = [
            bigquery.ArrayQueryParameter(name, "INT64", list(value))
            if isinstance(value, Sequence)
            else bigquery.ScalarQueryParameter(name, "INT64", value)
            for name, value in (parameters or {}).items()
        ]
        config = bigquery.QueryJobConfig(query_parameters=given, **settings)
        with self.refusals("the query"):
            job = self.rest.query(sql, job_config=config, retry=self.retry, timeout=CALL_S, job_retry=None)
            if not config.dry_run:
                job.result(retry=self.retry, job_retry=None)
            return job

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return all rows of a query, as tuples."""
        job = self.query(sql, parameters)
        with self.refusals("the query"):
            return [tuple(row) for row in job.result(retry=self.retry)]

    def table(self, name: str) -> Any:
        """Return a table's description, schema and number of rows, or None if it does not exist."""
        from google.api_core.exceptions import NotFound

        with self.refusals(name):
            try:
                return self.rest.get_table(self.address.table(name), retry=self.retry, timeout=CALL_S)
            except NotFound:
                return None

    @contextlib.contextmanager
    def refusals(self, what: str, server: str | None = None) -> Iterator[None]:
        """Convert exceptions of Google's libraries to one sentence.

        Args:
            what: what was requested, such as a table's name.
            server: server of the request; None for the REST endpoint.

        Raises:
            DataError: the table or column does not exist.
            ArielError: no network, no credentials, no permission.
        """
        import requests
        from google.api_core import exceptions
        from google.auth.exceptions import GoogleAuthError, TransportError

        place = self.address.description
        try:
            yield
        except (exceptions.Unauthorized, exceptions.Unauthenticated, exceptions.Forbidden) as error:
            raise ArielError(
                f"{place}: permission to read or write {what} was refused, or there is no such dataset; log in with "
                f"`gcloud auth application-default login` and an account that has access ({_first_line(error)})"
            ) from error
        except exceptions.NotFound as error:
            raise DataError(f"{place}: expected {what} there, found none ({_first_line(error)})") from error
        except (exceptions.BadRequest, exceptions.InvalidArgument) as error:
            raise DataError(f"{place}: {what} was refused ({_first_line(error)})") from error
        except (TransportError, exceptions.RetryError, exceptions.ServerError, requests.RequestException) as error:
            where = (self.address.rest if server is None else server) or "Google's servers"
            raise ArielError(
                f"{place}: no answer from {where} about {what}; check the network, the host and the port "
                f"({type(error).__name__})"
            ) from error
        except GoogleAuthError as error:  # its text may quote a key file
            raise ArielError(
                f"{place}: no credentials that Google accepts; run `gcloud auth application-default login`, or let "
                f"GOOGLE_APPLICATION_CREDENTIALS name a key file ({type(error).__name__})"
            ) from error
        except exceptions.GoogleAPICallError as error:
            raise ArielError(f"{place}: {what}: {_first_line(error)}") from error


def _first_line(error: Any) -> str:
    text = str(getattr(error, "message", "") or error).strip()
    line = text.splitlines()[0] if text else type(error).__name__
    return line if len(line) <= 200 else line[:197] + "..."
