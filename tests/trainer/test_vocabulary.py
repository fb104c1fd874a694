"""The command that trains a vocabulary: what it writes and says, and that it never replaces a file."""

import pytest

from reformer_tf.tokenizers import SentencePieceTokenizer
from tests.trainer import command_line
from trainer import exits

pytest.importorskip("sentencepiece")


@pytest.fixture
def flags(tmp_path):
    rows = "".join(f"the number {number}\tdie Zahl {number}\n" for number in range(50))
    (tmp_path / "pairs.tsv").write_text(f"en\tde\n{rows}")
    keys = ["--source_key=en", "--target_key=de"]
    return [f"--input={tmp_path / 'pairs.tsv'}", f"--output={tmp_path / 'spiece'}", "--size=285", *keys]


def test_from_pairs_to_a_tokenizer(flags, tmp_path, capfdbinary):
    assert command_line.run("vocabulary", *flags, "--sentences=80", "--seed=3", "--coverage=1.0") == exits.DONE
    said = capfdbinary.readouterr().out.decode()
    file = tmp_path / "spiece.model"
    assert said == (
        f"{file}: 285 ids, from 80 of 100 line(s) in 1 file(s), 'pairs.tsv'. To use it: "
        f"--config.data.tokens=sentencepiece --config.data.sentencepiece_model={file}\n"
    )
    tokenizer = SentencePieceTokenizer(file)
    assert tokenizer.vocabulary_size == 285
    assert tokenizer.to_bytes(tokenizer.to_ids("die Zahl 7")) == b"die Zahl 7"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.tsv", "spiece.model"]
    before = file.read_bytes()
    assert command_line.run("vocabulary", *flags) == exits.REFUSED
    assert b"`output` must name a new file. Received: " in capfdbinary.readouterr().err
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--size=200", b"`size` must be above 259"),
        ("--output=/nowhere/spiece", b"`output` must begin with a folder that exists. Received: '/nowhere/spiece'"),
        ("--source_key=fr", b"pairs.tsv, line 1: the first line must have a column 'fr', once. Received: 'en', 'de'"),
        ("--model_type=word", b"--model_type=word"),
    ],
)
def test_what_is_refused(flags, tmp_path, capfdbinary, flag, said):
    assert command_line.run("vocabulary", *flags, flag) == exits.REFUSED
    assert said in capfdbinary.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.tsv"]
