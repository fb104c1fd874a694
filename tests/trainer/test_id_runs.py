"""Runs on ids: what is refused, going on after a stop, and what the commands and the report say."""

import json

import numpy as np
import pytest

from tests.trainer import command_line, runs
from trainer import exits
from trainer.config import default_data_config
from trainer.config_checks import check_config
from trainer.results import final_report
from trainer.training import loop
from trainer.training.run import Run

ROWS = np.random.default_rng(0).integers(0, 20, [40, 33])


def _small(config):
    config.data.layout, config.model.vocabulary_size, config.train.sequence_length = "padded", 20, 32
    config.sample.prompt, config.sample.tokens = "3, 1 4", 5
    return config


@pytest.fixture
def config(tmp_path):
    np.save(tmp_path / "rows.npy", ROWS.astype(np.uint16))
    config = _small(runs.make_config(tmp_path / "rows.npy"))
    config.data.name = "tokens"
    return config


@pytest.fixture
def duplication(tmp_path):
    config = _small(runs.make_config(tmp_path))
    config.data.name, config.data.path = "duplication", ""
    config.data.validation_fraction = default_data_config().validation_fraction
    config.data.length, config.data.symbols = 32, 19
    config.data.examples, config.data.validation_examples = 64, 16
    return config


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("data.path", "", "`config.data.path` must name a folder or a file of ids .* Received: ''"),
        ("data.ids_dtype", "float32", "`config.data.ids_dtype` must be one of uint8, .* Received: 'float32'"),
        ("data.ids_feature", "", "`config.data.ids_feature` must not be empty. Received: ''"),
        ("data.tokens", "shifted_bytes", "`config.data.tokens` must be left at its default .* Received: 'shifted_b"),
        ("data.sentencepiece_model", "/a", "`config.data.sentencepiece_model` must be left at its default .* '/a'"),
        ("data.separate_documents", True, "`config.data.separate_documents` must be left .* Received: True"),
        ("sample.prompt", "1 x", "`config.sample.prompt` must be ids from 0 to 19 .* Received: 'x'"),
        ("sample.prompt", "1 20", "`config.sample.prompt` must be ids from 0 to 19 .* Received: '20'"),
        ("train.best_metric", "bits_per_byte", "must be one of loss, bits_per_token, accuracy. Received: 'bits_per_b"),
    ],
)
def test_fields_of_a_run_on_ids_that_are_refused(config, field, value, message):
    check_config(config)
    runs.set_field(config, field, value)
    with pytest.raises(ValueError, match=message):
        check_config(config)


@pytest.mark.parametrize("name", ["config", "duplication"])
def test_a_remote_tpu_does_not_read_the_ids_of_this_machine(request, name):
    config = request.getfixturevalue(name)
    config.strategy, config.tpu_address = "tpu", "grpc://10.0.0.2:8470"
    with pytest.raises(ValueError, match=r"`config.tpu_address` must be 'local' where .* Received: 'grpc://10.0.0.2"):
        check_config(config)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("data.layout", "packed", "`config.data.layout` must be 'padded' where .* Received: 'packed'"),
        ("data.length", 31, "`config.data.length` must be even and at least 4. Received: 31"),
        ("data.symbols", 0, "`config.data.symbols` must be at least 1. Received: 0"),
        ("data.symbols", 20, "`config.model.vocabulary_size` must be at least 21, .* Received: 20"),
        ("data.examples", 0, "`config.data.examples` must be at least 1. Received: 0"),
        ("data.seed", -1, "`config.data.seed` must not be negative. Received: -1"),
        ("train.sequence_length", 30, "`config.train.sequence_length` must be at least 31, .* Received: 30"),
    ],
)
def test_fields_of_duplication_that_are_refused(duplication, field, value, message):
    check_config(duplication)
    runs.set_field(duplication, field, value)
    with pytest.raises(ValueError, match=message):
        check_config(duplication)


@pytest.mark.parametrize("field", ["path", "validation_path"])
def test_an_id_outside_the_vocabulary_is_found_before_the_first_step(config, tmp_path, field):
    rows = ROWS.copy()
    rows[7, 5] = 20
    np.save(tmp_path / "wrong.npy", rows)
    config.data.validation_path = str(tmp_path / "rows.npy")
    config.data[field] = str(tmp_path / "wrong.npy")
    message = (
        r"`config.data` must have ids from 0 to 19, .* Received: id 20 in wrong.npy at offset 236, which is id 5 of"
    )
    with pytest.raises(ValueError, match=message):
        Run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_stopped_run_goes_on_bit_for_bit(config, tmp_path):
    config.train.steps, config.train.eval_every = 6, 3
    programs = runs.Programs()
    assert programs.run(config, tmp_path / "whole") == exits.DONE
    assert programs.run(config, tmp_path / "stopped", runs.StopAfter(4)) == exits.STOPPED
    assert programs.run(config, tmp_path / "stopped") == exits.DONE
    runs.assert_same(tmp_path / "stopped", tmp_path / "whole")
    whole = runs.lines(tmp_path / "whole")
    for line in whole:
        assert line["bits_per_token"] == pytest.approx(line["loss"] / np.log(2))
        assert ("accuracy" in line) == (line["split"] == "validation")
        assert "bits_per_byte" not in line
    assert whole[0]["tokens_seen"] == 4 * 32


@pytest.mark.slow
def test_duplication_is_learnt_on_two_replicas_and_on_one_device(duplication, tmp_path):
    """Copying half a sequence takes attention; loss and accuracy are of the second word alone."""
    config, data, model, train = duplication, duplication.data, duplication.model, duplication.train
    data.length, data.symbols, data.examples = 16, 7, 4096
    model.vocabulary_size, model.max_sequence_length, train.sequence_length = 8, 16, 15
    model.attention_layers, model.num_layers = ("full",), 2
    model.hidden_dim, model.key_dim, model.intermediate_dim = 32, 16, 64
    model.dropout = model.attention_dropout = 0.0
    config.optimizer.schedule = "cosine"
    train.steps, train.batch_size, train.eval_every, train.checkpoint_every = 600, 64, 0, 300
    assert runs.run(config, tmp_path / "one") == exits.DONE
    one = runs.lines(tmp_path / "one")
    assert one[-1]["accuracy"] > 0.99
    assert one[-1]["tokens"] == 16 * 7
    config.strategy, config.logical_devices = "mirrored", 2
    assert runs.run(config, tmp_path / "two", runs.StopAfter(5)) == exits.STOPPED
    two = runs.lines(tmp_path / "two")
    assert two[0]["tokens_seen"] == 64 * 7
    np.testing.assert_allclose([line["loss"] for line in two], [line["loss"] for line in one[: len(two)]], rtol=1e-5)


@pytest.mark.slow
def test_report_and_commands(config, tmp_path, capsysbinary):
    config.export = config.report = True
    config.train.steps = 3
    run, stop = Run(config, tmp_path / "run"), exits.StopRequest()
    try:
        assert (loop.train(run, stop) or final_report.close(run, stop)) == exits.DONE
    finally:
        run.close()
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["entropy_order_0"] > report["entropy_order_1"] > 0
    assert report["bits_per_token"] == runs.lines(tmp_path / "run")[-2]["bits_per_token"]
    assert report["bits_per_token_no_attention"] > 0
    assert report["export_difference"] <= 1e-5
    sample = (tmp_path / "run" / "sample.txt").read_text()
    assert sample.startswith("3, 1 4 ")
    assert len(sample.split()) == 8
    capsysbinary.readouterr()
    workdir = f"--workdir={tmp_path / 'run'}"
    assert command_line.run("generate", workdir, "--prompt=3, 1 4", "--tokens=5", "--temperature=0.8") == exits.DONE
    assert capsysbinary.readouterr().out.decode() == sample
    for arguments, message in [
        (["generate", workdir], "`prompt` must have at least one id"),
        (["generate", workdir, "--prompt=abc"], "`prompt` must be ids from 0 to 19"),
        (["generate", workdir, "--prompt=1", "--stop_at_boundary"], "`stop_at_boundary` must be False"),
        (["export", workdir, f"--output={tmp_path / 'out'}", "--sentencepiece"], "`sentencepiece` must not be asked"),
        (["evaluate", workdir, f"--config.data.path={tmp_path / 'none.npy'}"], "must be readable. Received: "),
    ]:
        assert command_line.run(*arguments) == exits.REFUSED
        assert message in capsysbinary.readouterr().err.decode()
