"""The rule for the validation documents of a run, and the messages about them."""

import json

import pytest

from tests.trainer import runs, toy
from tests.trainer.data.corpora.writing import write_files
from trainer import exits
from trainer.config import read_config
from trainer.data.corpora import validation
from trainer.data.corpora.corpus import choose_validation
from trainer.training.run import Run

FILES = {
    "archive.bin": b"PK\x03\x04\0\0" * 40,
    "large.txt": b"a large document\n" * 700,
    **{f"small{i}.txt": b"small %d\n" % i * 12 for i in range(20)},
}


@pytest.fixture
def corpus(tmp_path):
    """A few documents among which the rules choose differently, with a binary file."""
    return write_files(tmp_path / "corpus", FILES)


@pytest.fixture
def config(corpus, monkeypatch):
    toy.make_steps_free(monkeypatch)
    return toy.make_toy_config(runs.make_config(corpus))


def _documents(config, workdir):
    run = Run(config, workdir)
    run.close()
    return run.corpus


def _begin_as_before(config, workdir):
    """Makes the folder of half a run by code that is older than the rule."""
    config.data.validation_rule = validation.WHOLE_DOCUMENTS
    assert runs.run(config, workdir, runs.StopAfter(9)) == exits.STOPPED
    config.data.validation_rule = ""
    saved = json.loads((workdir / "config.json").read_text())
    assert saved["data"].pop("validation_rule") == validation.WHOLE_DOCUMENTS
    del saved["data"]["any_bytes"]
    (workdir / "config.json").write_text(json.dumps(saved))


def test_a_new_run_has_the_new_rule_and_keeps_it(config, tmp_path):
    found = _documents(config, tmp_path / "run")
    assert len(found.train) + len(found.validation) == 22  # The large one is on both sides.
    assert read_config(tmp_path / "run" / "config.json").data.validation_rule == validation.DOCUMENTS_AND_ENDS
    assert config.data.validation_rule == ""  # The caller's config is unchanged.


def test_a_run_of_before_goes_on_bit_for_bit(config, tmp_path, caplog):
    config.data.validation_rule = validation.WHOLE_DOCUMENTS
    assert runs.run(config, tmp_path / "undisturbed") == exits.DONE
    _begin_as_before(config, tmp_path / "run")
    assert read_config(tmp_path / "run" / "config.json").data.validation_rule == validation.WHOLE_DOCUMENTS
    found = _documents(config, tmp_path / "run")
    names, documents = sorted(FILES), [FILES[name] for name in sorted(FILES)]
    chosen = choose_validation(names, [len(document) for document in documents], 0.2)
    assert list(found.validation) == [documents[i] for i in sorted(chosen)]
    assert list(found.train) == [document for i, document in enumerate(documents) if i not in chosen]
    assert "validation_rule" not in caplog.text  # The rule stays the same when the run goes on.
    assert runs.run(config, tmp_path / "run") == exits.DONE
    runs.assert_same(tmp_path / "run", tmp_path / "undisturbed")


def test_another_rule_gives_other_documents(config, tmp_path):
    _begin_as_before(config, tmp_path / "run")
    config.data.validation_rule = validation.DOCUMENTS_AND_ENDS
    with pytest.raises(ValueError, match="`config.data` must give the same train documents that the run in `workdir`"):
        Run(config, tmp_path / "run")


def test_what_was_taken_is_said_at_the_start(config, tmp_path, capsys):
    runs.run(config, tmp_path / "run")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(
        "21 document(s): 'large.txt', 'small0.txt', 'small1.txt', .... Left out: with NUL bytes: 1 ('archive.bin')."
    )
    assert lines[1].startswith("To validate on: ")
    assert lines[1].endswith("; the ends of 1: 'large.txt'.")


@pytest.mark.parametrize(
    ("layout", "eval_every", "length", "warns"),
    [
        ("packed", 2, 64, False),
        ("packed", 2, 1024, True),
        ("packed", -1, 1024, False),
        ("padded", 2, 1024, False),  # Each document is an example.
    ],
)
def test_a_validation_shorter_than_a_few_examples(config, tmp_path, caplog, layout, eval_every, length, warns):
    config.model.max_sequence_length = config.train.sequence_length = length
    config.data.layout, config.train.eval_every = layout, eval_every
    found = _documents(config, tmp_path / "run")
    size = f"{found.validation.num_bytes:,} byte"
    message = (
        f"validation documents have {size}(s), less than 4 examples of `config.train.sequence_length`, 1,024 tokens"
    )
    assert (message in caplog.text) == warns
    assert ("A larger `config.data.validation_fraction` (0.2 now)" in caplog.text) == warns
