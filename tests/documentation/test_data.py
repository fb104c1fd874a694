"""The lines of the page on data, run with a small model and few steps: from files of ids to what an export says."""

import json
import shlex
import sys

import numpy as np
import pytest

from tests.documentation import blocks
from tests.trainer import command_line
from trainer import exits
from trainer.data import corpora, tokenizers
from trainer.data.datasets import load_corpus

PAGE = "docs/data.md"
SMALL = [
    "--config.model.num_layers=1",
    '--config.model.attention_layers=("local",)',
    "--config.model.local_chunk_length=16",
    "--config.model.hidden_dim=16",
    "--config.model.num_heads=2",
    "--config.model.key_dim=8",
    "--config.model.intermediate_dim=32",
    "--config.model.max_sequence_length=512",
    "--config.train.sequence_length=299",
    "--config.train.steps=2",
    "--config.data.validation_fraction=0.05",
    "--config.model.reversible=False",  # Halves the time to trace.
    "--config.export=False",
    "--config.report=False",
]


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Runs blocks of the page in a folder of its own, which takes the part of the working directory and of /tmp."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return Page(tmp_path)


class Page:
    """Blocks of the page, found by what they contain."""

    def __init__(self, folder):
        self.folder = folder

    def find(self, language, text):
        (block,) = (block for block in blocks.find(PAGE, language) if text in block)
        return block.replace("/tmp/", f"{self.folder}/")

    def python(self, text):
        """Runs a block of Python, and returns its variables and what it printed."""
        names, printed = {}, []
        names["print"] = lambda *values: printed.append(values)
        exec(self.find("python", text), names)
        return names, printed

    def shell(self, text):
        """Runs the commands of a block, small; they must all be done."""
        for line in self.find("sh", text).replace("\\\n", " ").splitlines():
            python, flag, module, *arguments = shlex.split(line)
            assert (python, flag, module.split(".")[0]) == ("python", "-m", "trainer")
            arguments = [part.replace("configs/", f"{blocks.ROOT}/configs/") for part in arguments]
            small = SMALL if module == "trainer.task" else []
            assert command_line.run(module.split(".")[1], *arguments, *small) == exits.DONE, line


def test_a_fasta_file_from_training_to_export(page, capfdbinary):
    letters = np.random.default_rng(0).choice(list("ACGTacgtN"), 3000, p=[0.2] * 4 + [0.04] * 4 + [0.04])
    lines = ["".join(letters[start : start + 70]) for start in range(0, 3000, 70)]
    page.folder.joinpath("genome.fa").write_text("\n".join([">one A>G", *lines[:30], ">two", *lines[30:], ">3", "ACN"]))
    _, printed = page.python("genome.fa")
    assert [row[1:] for row in printed] == [("one A>G", "2,100 ids"), ("two", "900 ids"), ("3", "3 ids")]
    assert np.load("genome/00000.npy").tolist() == ["ACGTN".index(letter) for letter in "".join(lines[:30]).upper()]
    assert np.load("genome/00002.npy").tolist() == [0, 1, 4]
    page.shell("--config.data.path=genome ")
    out = capfdbinary.readouterr().out.decode()
    assert "3 document(s) in 3 file(s): '00000.npy', '00001.npy', '00002.npy'." in out
    assert "Scoring all of genome/00000.npy: 2,100 ids in 1 document(s)." in out
    (line,) = (line for line in out.splitlines() if line.startswith("0 1 2 3 "))
    assert len(line.replace("The model", " ").split()[:24]) == 24
    _, printed = page.python("TTAGGG")
    ((bits,),) = printed
    assert bits.keys() == {"ACGTACGTAC", "TTAGGGTTAGGG", "ACGN"}
    assert all(1 < number < 6 for number in bits.values())


@pytest.mark.slow
def test_an_array_from_training_to_export(page):
    page.python("one_long.npy")
    assert {path.name for path in page.folder.iterdir()} == {
        "one_long.npy",
        "rows.npy",
        "one_long.bin",
        "documents.tfrecord",
    }
    page.shell("--config.data.path=one_long.npy")
    _, printed = page.python("/tmp/ids_model/1")
    (log_probabilities,), (bits,) = printed
    assert log_probabilities.shape == (2, 3)
    assert not log_probabilities[1, 1:].any()
    np.testing.assert_allclose(
        bits, [-row.sum() / len(row) / np.log(2) for row in (log_probabilities[0], log_probabilities[1, :1])], rtol=1e-5
    )


def test_a_vocabulary_of_pairs(page, capfdbinary):
    page.python("pairs.tsv")
    page.shell("trainer.vocabulary")
    out = capfdbinary.readouterr().out.decode()
    assert out.startswith(f"{page.folder}/apples.model: 300 ids, from 2,000 line(s) in 1 file(s), 'pairs.tsv'.")
    corpus = load_corpus({"name": "pairs", "path": "pairs.tsv"})
    tokenizer = tokenizers.from_config({"tokens": "sentencepiece", "sentencepiece_model": "apples.model"})
    target = corpus.validation.targets[0]
    assert tokenizer.to_bytes(tokenizer.to_ids(target)) == target
    assert target.endswith("grüne Äpfel".encode())


def test_a_source_of_ones_own(page, monkeypatch):
    """Of ids here; the folder of the run knows the module, so the other commands need no flag."""
    monkeypatch.setitem(corpora.SOURCES, "walks", corpora.SOURCES["text"])  # So that it is removed at the end.
    page.folder.joinpath("walks.py").write_text(page.find("python", "register_corpus"))
    page.shell("--config.data.module=walks")
    config = json.loads(page.folder.joinpath("walks", "config.json").read_text())
    assert (config["data"]["module"], config["data"]["name"]) == ("walks", "walks")
    assert sys.modules.pop("walks").load(None).validation.size == "3,000 ids"
