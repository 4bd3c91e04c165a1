"""What TensorBoard's HParams tab shows of a folder of logs."""

from tensorboard.backend.event_processing import data_provider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups


def session_groups(logdir):
    """The rows of the tab: hyperparameters and metrics by name."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logdir))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(logdir))
    backend = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    context = RequestContext()
    experiment = backend.experiment_from_metadata(
        context, "", True, backend.hparams_metadata(context, ""), backend.hparams_from_data_provider(context, "", None)
    )
    wanted = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=10)
    for info in experiment.metric_infos:
        wanted.col_params.add().metric.CopyFrom(info.name)
    wanted.allowed_statuses.extend([api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_RUNNING])
    return list_session_groups.Handler(context, backend, "", wanted).run().session_groups
