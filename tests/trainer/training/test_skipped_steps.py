"""Steps that are not finite: skipped up to a limit, counted over the whole run, and the same after a restart."""

import math

import numpy as np
import pytest

from tests.trainer import runs
from trainer import exits
from trainer.config import default_config
from trainer.storage import checkpoint_file
from trainer.training.skipped_steps import SkippedSteps


def _settings(**fields):
    settings = default_config().train
    settings.update(fields)
    return settings


def test_up_to_the_limit(capsys):
    skipped = SkippedSteps(_settings(max_skipped_steps=2))
    went_on = [
        skipped.may_go_on(step, math.nan if bad else 1.0, 1.0, not bad) for step, bad in enumerate([1, 0, 1, 1], 1)
    ]
    assert went_on == [True, True, True, False]
    assert skipped.numbers() == {"skipped_steps": 2}
    assert skipped.state() == {"skipped_steps": 2}
    assert capsys.readouterr().err == "".join(
        f"Step {step} is skipped: its loss or gradient is not finite (loss nan, gradient norm 1.0). {count} of at "
        "most 2 of the whole run (`config.train.max_skipped_steps`).\n"
        for count, step in ((1, 1), (2, 3))
    )


def test_none_by_default():
    skipped = SkippedSteps(_settings())
    assert not skipped.may_go_on(1, 1.0, math.inf, False)
    assert skipped.numbers() == {}
    assert skipped.state() == {"skipped_steps": 0}


def test_an_overflow_of_float16_counts_only_at_the_least_scale(capsys):
    skipped = SkippedSteps(_settings(precision="mixed_float16", loss_scale=2.0, max_skipped_steps=1))
    assert skipped.may_go_on(1, 1.0, math.inf, False)
    assert "Step 1 is skipped: its gradient overflowed float16. The loss scale is 1 now." in capsys.readouterr().err
    assert skipped.numbers() == {"skipped_steps": 0, "loss_scale": 1.0}
    assert skipped.may_go_on(2, 1.0, math.inf, False)
    assert skipped.numbers() == {"skipped_steps": 1, "loss_scale": 1.0}
    assert not skipped.may_go_on(3, 1.0, math.inf, False)


def test_a_loss_that_is_not_finite_is_no_matter_of_the_scale():
    skipped = SkippedSteps(_settings(precision="mixed_float16", loss_scale=8.0, max_skipped_steps=1))
    assert skipped.may_go_on(1, math.nan, math.nan, False)
    assert skipped.numbers() == {"skipped_steps": 1, "loss_scale": 8.0}


def test_the_state_of_an_older_run_or_of_another_precision():
    skipped = SkippedSteps(_settings(precision="mixed_float16", loss_scale=8.0, max_skipped_steps=5))
    skipped.restore({"step": 3})
    assert skipped.numbers() == {"skipped_steps": 0, "loss_scale": 8.0}
    skipped.restore({"step": 3, "skipped_steps": 2, "loss_scale": {"value": 4.0, "good_steps": 1}})
    assert skipped.numbers() == {"skipped_steps": 2, "loss_scale": 4.0}
    plain = SkippedSteps(_settings(max_skipped_steps=5))
    plain.restore({"step": 3, "skipped_steps": 2, "loss_scale": {"value": 4.0, "good_steps": 1}})
    assert plain.state() == {"skipped_steps": 2}


BAD_BYTE = ord("Z")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    corpus = runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus")
    for number in (0, 3, 5):
        document = corpus / f"{number}.txt"
        document.write_text(document.read_text()[:300] + chr(BAD_BYTE) + document.read_text()[301:])
    config = runs.make_config(corpus)
    config.model.tie_embeddings = False
    config.train.eval_every = -1
    config.train.max_skipped_steps = 12
    return config


@pytest.fixture(scope="module")
def programs():
    return runs.Programs()


def _run(programs, config, workdir, stop=None):
    """Runs a model in which the embedding of one byte overflows: batches with that byte are not finite."""
    run = programs.start(config, workdir)
    if not run.step:
        table = next(variable for variable in run.model.variables if variable.path.endswith("embeddings"))
        value = table.numpy()
        value[BAD_BYTE] = np.finfo(np.float32).max  # Finite, because a saved state must be.
        table.assign(value)
    return runs.train(run, stop)


@pytest.fixture(scope="module")
def undisturbed(config, programs, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("undisturbed")
    assert _run(programs, config, workdir) == exits.DONE
    return workdir


def test_they_are_steps_without_an_update(undisturbed):
    lines = runs.lines(undisturbed)
    bad = [line["step"] for line in lines if line["loss"] is None]
    assert 2 <= len(bad) <= 8, "the corpus must give some such batches"
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert [line["skipped_steps"] for line in lines] == [sum(step <= now for step in bad) for now in range(1, 13)]
    trained = np.diff([0, *(line["tokens_seen"] for line in lines)])
    assert [line["step"] for line, count in zip(lines, trained, strict=True) if not count] == bad
    arrays, description = checkpoint_file.read(undisturbed / "checkpoints" / "step-00000012.safetensors")
    assert description["skipped_steps"] == len(bad)
    assert description["examples_seen"] == 12 * 4
    assert arrays["optimizer/0"] == 12 - len(bad)


def test_restarted_after_the_first_of_them(config, programs, undisturbed, tmp_path):
    first = next(line["step"] for line in runs.lines(undisturbed) if line["loss"] is None)
    assert _run(programs, config, tmp_path, runs.StopAfter(first)) == exits.STOPPED
    assert _run(programs, config, tmp_path) == exits.DONE
    runs.assert_same(tmp_path, undisturbed)


def test_beyond_the_limit(config, programs, undisturbed, tmp_path, capsys):
    config = config.copy_and_resolve_references()
    config.train.max_skipped_steps = 1
    second = [line["step"] for line in runs.lines(undisturbed) if line["loss"] is None][1]
    assert _run(programs, config, tmp_path) == exits.NOT_FINITE
    said = capsys.readouterr().err
    assert f"Stopped: loss or gradient of step {second} is not finite" in said
    assert f"The state after step {second - 1} is saved in {tmp_path}." in said
    _, description = checkpoint_file.read(tmp_path / "checkpoints" / f"step-{second - 1:08d}.safetensors")
    assert description["skipped_steps"] == 1
    config.train.max_skipped_steps = 12
    assert _run(programs, config, tmp_path) == exits.DONE
    arrays, expected = (
        checkpoint_file.read(folder / "checkpoints" / "step-00000012.safetensors")[0]
        for folder in (tmp_path, undisturbed)
    )
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
