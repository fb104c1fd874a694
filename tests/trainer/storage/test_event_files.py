"""A run in TensorBoard: metrics at the times of their lines, the config, a sample, and the comparison of runs."""

import json
import os

import numpy as np
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

from tests.trainer import events
from trainer.storage.event_files import EventFiles

CONFIG = {"optimizer": {"learning_rate": 0.5, "name": "muon"}, "model": {"layers": ["a", "b"], "none": None}}
RECORDS = [
    {"split": "train", "step": 1, "loss": 3.0, "tokens_seen": 10, "wall_time": 1.7e9},
    {"split": "train", "step": 2, "loss": None, "tokens_seen": 20, "wall_time": 1.7e9 + 4.5},
    {"split": "validation", "step": 2, "loss": 2.5, "tokens_seen": 20, "wall_time": 1.7e9 + 5.0},
]


def _write(folder, records, config=CONFIG):
    files = EventFiles(folder, records, config)
    files.close()
    return folder


def test_the_times_are_those_of_the_lines_also_when_written_anew(tmp_path):
    for _ in range(2):
        _write(tmp_path, RECORDS)
        assert events.points(tmp_path / "train", "loss") == [(1.7e9, 1, 3.0)]
        assert events.points(tmp_path / "train", "tokens_seen") == [(1.7e9, 1, 10.0), (1.7e9 + 4.5, 2, 20.0)]
        assert events.points(tmp_path / "validation", "loss") == [(1.7e9 + 5.0, 2, 2.5)]
        assert events.read(tmp_path / "validation").FirstEventTimestamp() == 1.7e9 + 5.0
        assert sorted(events.read(tmp_path / "train").Tags()["tensors"]) == ["loss", "tokens_seen"]


def test_lines_without_a_time_get_none(tmp_path):
    old = [{name: value for name, value in record.items() if name != "wall_time"} for record in RECORDS]
    new = {"split": "train", "step": 3, "loss": 1.0, "wall_time": 1.7e9 + 9}
    _write(tmp_path, [*old, new])
    assert events.points(tmp_path / "train", "loss") == [(0.0, 1, 3.0), (1.7e9 + 9, 3, 1.0)]


def test_the_config_and_a_sample_as_text(tmp_path):
    files = EventFiles(tmp_path, RECORDS, CONFIG)
    files.write_text("sample", "def f():\n\treturn *x*", RECORDS[-1])
    files.close()
    found = events.read(tmp_path)
    (config,), (sample,) = found.Tensors("config"), found.Tensors("sample")
    assert json.loads(events.text(config)) == CONFIG
    assert all(line.startswith("    ") for line in events.text(config).splitlines()), "Markdown's block of code"
    assert events.text(sample) == "    def f():\n    \treturn *x*"
    assert (config.step, config.wall_time) == (0, 1.7e9)
    assert (sample.step, sample.wall_time) == (2, 1.7e9 + 5.0)
    assert found.SummaryMetadata("sample").plugin_data.plugin_name == "text"


def test_names_that_are_not_utf_8(tmp_path):
    _write(tmp_path, RECORDS, {"data": {"path": os.fsdecode(b"/data/\xff")}})
    (config,) = events.read(tmp_path).Tensors("config")
    assert json.loads(events.text(config)) == {"data": {"path": "/data/\udcff"}}


def test_what_a_profile_left_stays(tmp_path):
    profile = tmp_path / "events.out.tfevents.1.host.profile-empty"
    profile.touch()
    _write(tmp_path, RECORDS)
    assert profile.exists()


def test_runs_are_compared_by_their_hyperparameters(tmp_path):
    """Through TensorBoard's own backend for hyperparameters."""
    for name, rate in (("one", 0.5), ("two", 0.25)):
        config = {**CONFIG, "optimizer": {**CONFIG["optimizer"], "learning_rate": rate}}
        records = [{**record, "loss": record["loss"] and record["loss"] + rate} for record in RECORDS]
        _write(tmp_path / name / "tensorboard", records, config)
    multiplexer = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(tmp_path))
    context = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    ctx = RequestContext()
    experiment = context.experiment_from_metadata(
        ctx, "", True, context.hparams_metadata(ctx, ""), context.hparams_from_data_provider(ctx, "", 100), 100
    )
    assert {info.name for info in experiment.hparam_infos} == {
        "optimizer.learning_rate",
        "optimizer.name",
        "model.layers",
    }
    assert ("validation", "loss") in {(info.name.group, info.name.tag) for info in experiment.metric_infos}
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0, slice_size=10, allowed_statuses=[api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_RUNNING]
    )
    request.col_params.add(metric=api_pb2.MetricName(group="validation", tag="loss"))
    groups = list_session_groups.Handler(ctx, context, "", request).run().session_groups
    rows = {}
    for group in groups:
        losses = [value.value for value in group.metric_values if value.name.group == "validation"]
        rows[group.hparams["optimizer.learning_rate"].number_value] = (
            group.hparams["model.layers"].string_value,
            losses,
        )
    assert {rate: layers for rate, (layers, _) in rows.items()} == {0.5: '["a", "b"]', 0.25: '["a", "b"]'}
    for rate, (_, losses) in rows.items():
        assert len(losses) >= 1
        np.testing.assert_allclose(losses[0], 2.5 + rate)
