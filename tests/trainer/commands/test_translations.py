"""Translations by the commands `trainer.generate` and `trainer.evaluate`."""

import json

import pytest

from tests.trainer import command_line
from tests.trainer.tasks import cases
from tests.trainer.tasks.copies import Copies
from trainer import exits
from trainer.config import write_config
from trainer.training.evaluation import Evaluation


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """The folder of a run whose model is a fake."""
    write_config(cases.make_config("sequence_to_sequence", tmp_path), tmp_path / "config.json")
    copies = Copies()
    monkeypatch.setattr("trainer.model.load_model", lambda *_: (copies, 2))
    monkeypatch.setattr("trainer.model.load_described", lambda *_: (copies, {"step": 2, "data": {}}))
    monkeypatch.setattr(Evaluation, "score", lambda evaluation, stop_requested: {"loss": 1.0, "target_tokens": 9})
    return tmp_path


def test_evaluate_translates_all_examples(workdir, capsys):
    pytest.importorskip("sacrebleu")
    flags = ("--config.translation.examples=-1", "--config.translation.sampler=greedy")
    assert command_line.run("evaluate", f"--workdir={workdir}", *flags) == exits.DONE
    out = capsys.readouterr().out.splitlines()
    assert out[-3].startswith("  BLEU of 12 translations: ")
    assert "nrefs:1|" in out[-3]
    numbers = json.loads(out[-1])
    assert out[-2] == "validation loss 1.0000, bleu 0.0000, exact match 0.0000 at step 2"
    assert numbers["bleu"] == numbers["exact_match"] == 0.0  # No German word is written in digits.
    assert (numbers["step"], numbers["documents"]) == (2, 12)


@pytest.mark.parametrize(
    ("flags", "sampler", "tokens"),
    [
        ([], {"num_beams": 2, "length_penalty": 0.6}, 6),
        (["--num_beams=3", "--tokens=9"], {"num_beams": 3, "length_penalty": 0.6}, 9),
        (["--sampler=greedy"], {"repetition_penalty": 1.0}, 6),
    ],
)
def test_generate_writes_the_translation_alone(workdir, capsysbinary, monkeypatch, flags, sampler, tokens):
    copies = Copies()
    monkeypatch.setattr("trainer.model.load_model", lambda *_: (copies, 2))
    assert command_line.run("generate", f"--workdir={workdir}", "--prompt=345", *flags) == exits.DONE
    assert capsysbinary.readouterr().out == b"345"
    ((sources, options),) = copies.asked
    assert sources == [[*b"345"]]
    assert options.pop("sampler").get_config() == sampler
    assert options == {"max_new_tokens": tokens, "seed": 0, "stop_tokens": [256]}


def test_generate_writes_several_samples_up_to_a_stop_string(workdir, capsysbinary):
    flags = ("--prompt=345", "--sampler=random", "--samples=2", "--seed=7", "--stop=5")
    assert command_line.run("generate", f"--workdir={workdir}", *flags) == exits.DONE
    expected = b"==> sample 1 of 2, seed 7 <==\n34\n==> sample 2 of 2, seed 8 <==\n34\n"
    assert capsysbinary.readouterr().out == expected


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "`prompt`, the text to translate, must have from 1 to 16 tokens, `config.model.max_source_length`. Rec"),
        (
            ["--prompt=12345678901234567"],
            "must have from 1 to 16 tokens, `config.model.max_source_length`. Received: 17",
        ),
        (
            ["--prompt=1", "--tokens=73"],
            "`tokens` must be from 1 to 72, `config.model.max_target_length`. Received: 73",
        ),
        (["--prompt=1", "--echo"], "`echo` must not be True for a translation, of which only the translation is"),
        (["--prompt=1", "--stop_at_boundary"], "`stop_at_boundary` must not be True for a translation, which ends by"),
        (
            ["--prompt=1", "--samples=2"],
            "`samples` must be 1 with the sampler 'beam', which always gives the same text",
        ),
        (
            ["--prompt=1", "--k=2"],
            "`k` must not be given with the sampler 'beam', whose settings are num_beams, length_",
        ),
    ],
)
def test_what_generate_refuses(workdir, capsys, flags, message):
    assert command_line.run("generate", f"--workdir={workdir}", *flags) == exits.REFUSED
    assert message in capsys.readouterr().err
