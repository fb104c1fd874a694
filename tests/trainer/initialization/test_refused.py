"""Everything about `config.init_from` that is refused, by name, before any long work."""

import pytest

from tests.trainer import runs
from tests.trainer.initialization import sources
from trainer import config_checks
from trainer.initialization import id_meanings
from trainer.storage.workdir import Workdir
from trainer.training.run import Run


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return runs.write_corpus(tmp_path_factory.mktemp("data") / "corpus")


@pytest.fixture(scope="module")
def source(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("source") / "pretrained"
    sources.write(runs.make_config(corpus), folder)
    return folder


@pytest.fixture
def config(corpus, source):
    config = runs.make_config(corpus)
    config.init_from = str(source)
    return config


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("init_checkpoint", "best", "must be 'newest' unless `config.init_from` names the run"),
        ("init_partial", True, "must be False unless"),
        ("init_positions", "tile", "must be '' unless"),
    ],
)
def test_fields_that_nothing_uses(config, field, value, rule):
    config.init_from = ""
    config_checks.check_config(config)
    config[field] = value
    with pytest.raises(ValueError, match=f"`config.{field}` {rule}"):
        config_checks.check_config(config)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("init_from", "gs://bucket/run", "`config.init_from` must be a path in the file system of this machine"),
        ("init_checkpoint", "last", "`config.init_checkpoint` must be newest, best or the number of a step. .*'last'"),
        ("init_positions", "repeat", "`config.init_positions` must be empty or 'tile'. Received: 'repeat'"),
    ],
)
def test_values(config, field, value, rule):
    config[field] = value
    with pytest.raises(ValueError, match=rule):
        config_checks.check_config(config)


@pytest.mark.parametrize("positions", ["sinusoidal", "none"])
def test_positions_without_weights_are_not_repeated(config, positions):
    config.model.positions, config.init_positions = positions, "tile"
    with pytest.raises(ValueError, match=f"`config.init_positions` must be empty where .* is '{positions}'"):
        config_checks.check_config(config)


def _refused(config, workdir, message):
    with pytest.raises(ValueError, match=message):
        Run(config, workdir)
    assert not workdir.exists()


def test_folders(config, source, tmp_path):
    """None, another run's without a checkpoint, and the run's own."""
    config.init_from = str(tmp_path / "nothing")
    _refused(
        config, tmp_path / "new", "`config.init_from` must be the folder of a run.*nothing, where there is no config"
    )
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_bytes((source / "config.json").read_bytes())
    config.init_from = str(tmp_path / "empty")
    _refused(config, tmp_path / "new", "`config.init_from` must be a run whose .*must hold a checkpoint")
    config.init_from = str(tmp_path / "empty" / "config.json")
    _refused(config, tmp_path / "new", "`config.init_from` must be a folder")
    for folder in ("new", "new/before_1_1"):
        config.init_from = str(tmp_path / folder)
        _refused(config, tmp_path / "new", "`config.init_from` must be the folder of another run than `workdir`")


def test_checkpoints(config, source, corpus, tmp_path):
    config.init_checkpoint = "7"
    _refused(config, tmp_path / "new", r"`config.init_checkpoint` '7'.* a checkpoint of \(1, 2, 3\). Received: 7")
    sources.write(runs.make_config(corpus), tmp_path / "other", [(1, 1.0)])
    (tmp_path / "other" / "metrics.jsonl").unlink()
    config.init_from, config.init_checkpoint = str(tmp_path / "other"), "best"
    _refused(config, tmp_path / "new", "`config.init_checkpoint` 'best'.* no step with a checkpoint was evaluated")
    path = tmp_path / "other" / "checkpoints" / "step-00000001.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    config.init_checkpoint = "newest"
    _refused(config, tmp_path / "new", "`config.init_from` must be a run whose weights can be read.*damaged")


def test_a_run_that_has_begun_otherwise(config, source, tmp_path):
    sources.write(runs.make_config(config.data.path), tmp_path / "begun", [(1, 1.0)])
    with pytest.raises(ValueError, match="config.init_from was '' and is '.*pretrained'"):
        Run(config, tmp_path / "begun")


@pytest.mark.parametrize("positions", ["axial", "learned"])
def test_more_positions_than_there_are(corpus, config, tmp_path, positions):
    other = runs.make_config(corpus)
    other.model.positions = positions
    sources.write(other, tmp_path / "other", [(1, 1.0)])
    config.init_from = str(tmp_path / "other")
    config.model.positions, config.model.max_sequence_length = positions, 65
    _refused(config, tmp_path / "new", "`config.init_positions` must be 'tile'.* above their number, 64.*length of 65")


def test_ids_that_mean_something_else(corpus, config, tmp_path):
    """With `init_partial` the tables by id are left as they are made, and everything else is taken."""
    other = runs.make_config(corpus)
    other.data.tokens, other.model.vocabulary_size = "shifted_bytes", 258
    arrays = sources.write(other, tmp_path / "other", [(1, 1.0)])[1]
    config.init_from = str(tmp_path / "other")
    _refused(config, tmp_path / "new", "`config.data` must give ids that mean the same.*Received: bytes.*shifted_bytes")
    config.init_partial = True
    started = Run(config, tmp_path / "new")
    started.close()
    weights = sources.weights(started.model)
    taken = {
        name for name, value in weights.items() if value.shape == arrays[name].shape and (value == arrays[name]).all()
    }
    left = {name.removeprefix("model/") for name in weights.keys() - taken if "seed_generator" not in name}
    assert left == {"TokenEmbedding/embeddings", "head/bias"}


def test_meanings_of_ids(config, tmp_path):
    assert id_meanings.of_config(config) == "bytes"
    config.data.tokens = "sentencepiece"
    found = []
    for name, content in (("a", b"1"), ("b", b"2"), ("copy", b"1")):
        (tmp_path / name).write_bytes(content)
        config.data.sentencepiece_model = str(tmp_path / name)
        found.append(id_meanings.of_config(config))
    assert found[0] == found[2] != found[1]
    config.data.sentencepiece_model = str(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"`config.data.sentencepiece_model` must be a file that can be read.*gone"):
        id_meanings.of_config(config)
    config.data.name = "unheard_of"
    with pytest.raises(ValueError, match=r"`config.data.name` must be a source that is known here.*'unheard_of'"):
        id_meanings.of_config(config)


def test_adapters(corpus, config, tmp_path):
    folder = tmp_path / "other"
    arrays = sources.write(runs.make_config(corpus), folder, [(1, 1.0)])[1]
    name = "model/stack/local_attention_0_branch/local_attention_0/lora_query_a"
    Workdir(folder).checkpoints().save(2, {**arrays, name: arrays["model/head/bias"]}, {"data": {}})
    config.init_from = str(folder)
    _refused(config, tmp_path / "new", "`config.init_from` must hold weights without low-rank adapters.*lora_query_a")
