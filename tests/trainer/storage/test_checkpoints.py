"""The folder of checkpoints: the newest few, and how damaged ones are passed over."""

import json
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from trainer.storage.checkpoints import Checkpoints


def _save(checkpoints, *steps):
    for step in steps:
        checkpoints.save(step, {"weight": np.full([100], step, np.float32)}, {"seed": 1})


def _path(checkpoints, step):
    return checkpoints.folder / f"step-{step:08d}.safetensors"


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints", keep=2)


def test_none_at_first(checkpoints):
    assert checkpoints.steps() == []
    assert checkpoints.newest() is None


def test_the_newest_few_are_retained(checkpoints):
    _save(checkpoints, 5, 10, 100)
    assert checkpoints.steps() == [10, 100]
    arrays, description = checkpoints.newest()
    assert description == {"step": 100, "seed": 1}
    np.testing.assert_array_equal(arrays["weight"], np.full([100], 100))


@pytest.mark.parametrize(
    "damage", [lambda retained: retained[:-50], lambda retained: retained[:-1] + b"\x01", lambda _: b""]
)
def test_a_damaged_one_is_reported_and_passed_over(checkpoints, damage, caplog):
    _save(checkpoints, 1, 2)
    path = _path(checkpoints, 2)
    path.write_bytes(damage(path.read_bytes()))
    _, description = checkpoints.newest()
    assert description["step"] == 1
    assert checkpoints.steps() == [1, 2]
    assert f"Damaged checkpoint, the one before it is used: {path}" in caplog.text


def test_a_damaged_one_that_is_set_aside_does_not_push_out_good_ones(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.keep = 2
    _save(checkpoints, 1, 20)
    checkpoints.keep = 1
    _path(checkpoints, 20).write_bytes(b"")
    assert checkpoints.newest(set_aside=True)[1]["step"] == 1
    _save(checkpoints, 2)
    assert checkpoints.steps() == [2]
    assert checkpoints.newest()[1]["step"] == 2


def test_only_damaged_ones(checkpoints):
    _save(checkpoints, 1, 2)
    for step in (1, 2):
        _path(checkpoints, step).write_bytes(b"x")
    with pytest.raises(ValueError, match=r"`workdir` must hold a checkpoint that can be read.*Received: 2 damaged"):
        checkpoints.newest(set_aside=True)
    assert checkpoints.steps() == [1, 2]


def test_a_half_written_file_is_no_checkpoint_and_goes_with_the_next_save(checkpoints):
    _save(checkpoints, 1)
    folder = checkpoints.folder / "step-00000002.safetensors.4711.partial"
    folder.mkdir()
    (folder / "content").write_bytes(b"half")
    file = checkpoints.folder / "step-00000003.safetensors.4711.partial"  # As earlier versions left it.
    file.write_bytes(b"half")
    assert checkpoints.newest()[1]["step"] == 1
    _save(checkpoints, 2)
    assert not folder.exists() and not file.exists()


def test_the_best_is_retained_besides_the_newest(checkpoints):
    losses = {}
    retained = []
    for step, loss in ((1, 3.0), (2, 1.0), (3, 2.0), (4, 1.0), (5, None), (6, 0.5), (7, 0.7), (8, 0.6)):
        losses.update({step: loss} if loss else {})
        checkpoints.save(step, {"weight": np.zeros(1)}, {}, losses)
        retained.append(checkpoints.steps())
    assert retained == [[1], [1, 2], [2, 3], [2, 3, 4], [2, 4, 5], [5, 6], [6, 7], [6, 7, 8]]
    assert checkpoints.best(losses) == 6


def test_the_best_is_one_that_is_there(checkpoints):
    _save(checkpoints, 4, 8)
    assert checkpoints.best({2: 0.1, 4: 0.3, 8: 0.2}) == 8
    assert checkpoints.best({2: 0.1}) is None
    checkpoints.prune({2: 0.1})
    assert checkpoints.steps() == [4, 8]


def test_the_one_of_a_step(checkpoints):
    _save(checkpoints, 4, 8)
    assert checkpoints.read(4)[1]["step"] == 4
    with pytest.raises(ValueError, match=r"`checkpoint` must be a step that there is .* of \(4, 8\)\. Received: 5"):
        checkpoints.read(5)
    _path(checkpoints, 4).write_bytes(b"x")
    with pytest.raises(ValueError, match=r"`checkpoint` must not be a damaged one\. Received: .*step-00000004"):
        checkpoints.read(4)


def test_a_damaged_one_that_cannot_be_renamed_hides_no_other(checkpoints, monkeypatch, caplog):
    _save(checkpoints, 1, 2)
    _path(checkpoints, 2).write_bytes(b"x")
    replace = os.replace

    def no_renaming(source, target):
        if str(target).endswith(".damaged"):
            raise PermissionError(1, "Operation not permitted", str(source))
        replace(source, target)

    monkeypatch.setattr(os, "replace", no_renaming)
    assert checkpoints.newest(set_aside=True)[1]["step"] == 1
    assert "A damaged checkpoint could not be renamed and is passed over where it is: " in caplog.text
    _save(checkpoints, 0)  # If the damaged one counted, 0 would be the third newest and be removed.
    assert checkpoints.steps() == [0, 1, 2]
    assert checkpoints.usable_steps() == [0, 1]
    assert checkpoints.best({2: 0.1, 1: 0.2}) == 1
    _save(checkpoints, 2)  # A good one replaces it.
    assert checkpoints.usable_steps() == [1, 2]
    assert checkpoints.newest()[1]["step"] == 2


def test_one_that_cannot_be_removed_is_said(checkpoints, monkeypatch, caplog):
    def no_removing(path, missing_ok=False):
        raise PermissionError(1, "Operation not permitted", str(path))

    _save(checkpoints, 1, 2)
    monkeypatch.setattr("pathlib.Path.unlink", no_removing)
    _save(checkpoints, 3)
    assert checkpoints.steps() == [1, 2, 3]
    assert "A checkpoint that is not kept any more could not be removed: " in caplog.text


_SAVES_UNDER_A_LIMIT = """
import json, sys
import numpy as np
from trainer.storage.checkpoints import Checkpoints

checkpoints = Checkpoints(sys.argv[1], keep=1)
said = []
for step, size in ((1, 10), (2, 100_000), (3, 10)):
    try:
        checkpoints.save(step, {"weight": np.full([size], step, np.float32)}, {})
        said.append("")
    except OSError as error:
        said.append(str(error))
    said.append([path.name for path in sorted(checkpoints.folder.iterdir())])
print(json.dumps(said))
"""


def test_a_file_that_may_not_grow_leaves_the_earlier_one_and_nothing_half_written(tmp_path):
    limit = 50_000
    done = subprocess.run(
        [sys.executable, "-c", _SAVES_UNDER_A_LIMIT, str(tmp_path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    first, retained, second, retained_after, third, retained_at_last = json.loads(done.stdout)
    assert (first, third) == ("", "")
    assert "File too large" in second
    assert retained == retained_after == ["step-00000001.safetensors"]
    assert retained_at_last == ["step-00000003.safetensors"]
