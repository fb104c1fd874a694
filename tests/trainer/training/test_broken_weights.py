"""An update that breaks weights though loss and gradient are finite: no checkpoint of it is written."""

import re

import numpy as np
import pytest

from tests.trainer import runs, toy
from trainer import exits
from trainer.storage import checkpoint_file
from trainer.training.run import Run


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return runs.make_config(runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus"))


def _break_after(monkeypatch, step, value):
    """Replaces the steps by toys, one of which breaks a weight that the loss does not depend on."""
    toy.make_steps_free(monkeypatch)

    def breaking(model, optimizer, *_, **__):
        toy_step, weight = toy.ToyStep(model, optimizer), model.trainable_variables[-1]

        def take(batch, seed, loss_scale=None):
            result = toy_step(batch, seed, loss_scale)
            if int(seed[1]) + 1 == step:
                broken = np.array(weight.numpy())
                broken.flat[-1] = value
                weight.assign(broken)
            return result

        return take

    monkeypatch.setattr("trainer.training.run.TrainStep", breaking)


@pytest.mark.parametrize(
    ("step", "value", "checked", "stands"),
    [
        pytest.param(7, np.nan, 8, 6, id="found by the checkpoint of the best, due at 8"),
        pytest.param(5, np.inf, 6, 4, id="found by the regular one, due at 6", marks=pytest.mark.slow),
        pytest.param(12, np.inf, 12, 9, id="in the last step", marks=pytest.mark.slow),
        pytest.param(1, np.nan, 2, 0, id="in the first step", marks=pytest.mark.slow),
    ],
)
def test_the_last_good_state_stands(config, tmp_path, monkeypatch, capsys, step, value, checked, stands):
    _break_after(monkeypatch, step, value)
    for _ in range(2):
        assert runs.run(toy.make_toy_config(config.copy_and_resolve_references()), tmp_path) == exits.NOT_FINITE
        said = capsys.readouterr()
        assert "is saved" not in said.out + said.err
        assert "Done after" not in said.out
        assert re.search(
            rf"^Stopped: 1 of \d+ arrays are not finite \(model/.*\) in the state after step {checked}, so no "
            rf"checkpoint of it is written\. The checkpoint of step {stands} stands\. .*The same command goes on from "
            r"that checkpoint and stops there again; `--checkpoint=best` or `--checkpoint=STEP` "
            rf"\((\d+, )*{stands}\) goes back",
            said.err,
            re.MULTILINE,
        )
        names = list(runs.checkpoint_files(tmp_path))
        assert names[-1] == f"step-{stands:08d}.safetensors"
        for name in names:
            arrays, _ = checkpoint_file.read(tmp_path / "checkpoints" / name)
            assert all(np.isfinite(array).all() for array in arrays.values())


@pytest.mark.slow
def test_an_update_that_overflows(config, tmp_path, capsys):
    """Learning rate, loss and gradient are finite, but the weights after the update are not."""
    config = config.copy_and_resolve_references()
    config.optimizer.learning_rate, config.optimizer.warmup_steps = 3e38, 0
    assert runs.run(config, tmp_path) == exits.NOT_FINITE
    said = capsys.readouterr().err
    assert re.search(r"Stopped: \d+ of \d+ arrays are not finite \(.*\) in the state after step 1, ", said)
    assert "The checkpoint of step 0 stands." in said
    assert list(runs.checkpoint_files(tmp_path)) == ["step-00000000.safetensors"]


def test_a_checkpoint_that_is_older_than_the_check_is_refused_and_there_is_a_way_back(config, tmp_path, monkeypatch):
    toy.make_steps_free(monkeypatch)
    config = toy.make_toy_config(config.copy_and_resolve_references())
    assert runs.run(config, tmp_path) == exits.DONE
    newest = tmp_path / "checkpoints" / "step-00000012.safetensors"
    arrays, description = checkpoint_file.read(newest)
    arrays["optimizer/2"] = np.full_like(arrays["optimizer/2"], np.nan)
    checkpoint_file.write(newest, arrays, description)
    before = runs.checkpoint_files(tmp_path)
    with pytest.raises(
        ValueError,
        match=r"`workdir` must hold a checkpoint that is finite; .*`--checkpoint=STEP` goes back to another one "
        r"\(8, 9, 12\)\. Received: .*, where at step 12 1 of \d+ arrays are not finite \(optimizer/2\)",
    ):
        Run(config, tmp_path)
    assert runs.checkpoint_files(tmp_path) == before
    assert runs.run(config, tmp_path, checkpoint="9") == exits.DONE
    assert [line["step"] for line in runs.lines(tmp_path) if line["split"] == "train"] == list(range(1, 13))
