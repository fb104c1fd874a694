"""The command `trainer.generate`."""

import io
import types

import pytest

from reformer_tf import models
from tests.trainer import command_line
from trainer import exits
from trainer.config import read_config
from trainer.convert import convert
from trainer.model import load_model
from trainer.storage.workdir import Workdir

LONGEST = 64


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run of a model with initial weights, which generates arbitrary bytes."""
    workdir = tmp_path_factory.mktemp("run")
    convert(models.ReformerCausalLM(257, LONGEST, 1, 16, 2, 8, 24, ["local"], local_chunk_length=8), workdir)
    return workdir


@pytest.fixture(scope="module")
def model(workdir):
    return load_model(read_config(workdir / "config.json"), Workdir(workdir))[0]


@pytest.fixture
def generate(workdir, model, capsysbinary, monkeypatch):
    """Runs the command; gives what it returns, and what it wrote to standard output and standard error.

    All of them get the same model, of which nothing is traced twice.
    """
    monkeypatch.setattr("trainer.model.load_model", lambda config, workdir, checkpoint, average: (model, 0))

    def run(*arguments, stdin=b""):
        monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(stdin)))
        code = command_line.run("generate", f"--workdir={workdir}", *arguments)
        out, err = capsysbinary.readouterr()
        return code, out, err.decode()

    return run


def _bytes(ids):
    return bytes(token for token in ids if token < 256)


def test_the_bytes_of_a_sample(generate, model):
    """The output is exactly the bytes of the prompt and the continuation."""
    ids = model.generate([[256, *b"abc"]], 40, sampler="random", temperature=0.8, seed=3)[0]
    code, out, err = generate("--prompt=abc", "--tokens=40", "--seed=3")
    assert (code, out) == (exits.DONE, b"abc" + _bytes(ids)), err
    with pytest.raises(UnicodeDecodeError):
        out.decode()
    code, out, err = generate("--prompt=abc", "--seed=3", "--echo=false")
    assert (code, out) == (exits.DONE, _bytes(model.generate([[256, *b"abc"]], 61, "random", 3, temperature=0.8)[0]))
    assert err == ""


def test_several_samples_with_stop_strings(generate, model):
    expected = b""
    rows = [model.generate([[256]], 30, "top_k", seed, k=5, temperature=1.5)[0] for seed in (7, 8)]
    stop = _bytes(rows[0])[10:12]
    for number, row in enumerate(rows):
        expected += b"==> sample %d of 2, seed %d <==\n" % (number + 1, number + 7)
        expected += _bytes(row).split(stop)[0] + b"\n"
    settings = ("--sampler=top_k", "--k=5", "--temperature=1.5", "--seed=7", "--samples=2", "--tokens=30")
    code, out, err = generate(*settings, f"--stop={stop.decode('utf-8', 'surrogateescape')}", "--stop=never")
    assert (code, out) == (exits.DONE, expected), err


def test_a_long_prompt_of_any_bytes_from_standard_input(generate, model, caplog):
    prompt = bytes(range(256)) * 1000
    code, out, _ = generate("--prompt_file=-", "--sampler=beam", "--num_beams=2", "--tokens=8", stdin=prompt)
    row = model.generate([list(prompt[-57:])], 8, "beam", num_beams=2)[0]
    assert (code, out) == (exits.DONE, prompt + _bytes(row))
    assert "longer than what the model can read beside 8 new token(s): only its last 57 token(s) count" in caplog.text


def test_a_text_ends_with_its_document(generate, model):
    rows = (model.generate([[256, *b"ab"]], 50, "top_p", seed, p=1.0, temperature=0.8)[0] for seed in range(100))
    seed, row = next((seed, row) for seed, row in enumerate(rows) if 256 in row)
    settings = ("--sampler=top_p", "--p=1.0", f"--seed={seed}", "--tokens=50")
    assert generate("--prompt=ab", *settings)[:2] == (exits.DONE, b"ab" + _bytes(row))
    ended = generate("--prompt=ab", *settings, "--stop_at_boundary")[:2]
    assert ended == (exits.DONE, b"ab" + bytes(row[: row.index(256)]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tokens=65"], "`tokens` must be from 1 to 64, what `config.model.max_sequence_length`, 64, leaves with"),
        (["--samples=0"], "`samples` must be at least 1. Received: 0"),
        (["--sampler=greedy", "--samples=2"], "`samples` must be 1 with the sampler 'greedy', which always gives the"),
        (["--sampler=beam", "--temperature=0.5"], "`temperature` must not be given with the sampler 'beam', whose"),
        (["--k=3"], "`k` must not be given with the sampler 'random'"),
        (["--seed=2147483647", "--samples=2"], "`seed`, and with several samples the seeds after it, must be from -2"),
        (["--stop="], "`stop` must not be empty. Received: ''"),
        (["--prompt=a", "--prompt_file=-"], "`prompt` and `prompt_file` must not both be given. Received: 'a' and '-'"),
        (["--prompt_file=/there/is/none"], "`prompt_file` must be a file that can be read, or - for standard input"),
    ],
)
def test_what_is_refused(generate, arguments, message):
    code, out, err = generate(*arguments)
    assert (code, out, err.count("\n")) == (exits.REFUSED, b"", 1)
    assert err.startswith(f"Error: {message}")


def test_a_full_disk(generate, monkeypatch):
    def fail(output, fragment):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trainer.commands.text_output.TextOutput.write", fail)
    code, _, err = generate("--tokens=2")
    assert code == exits.NOT_SAVED
    assert "the text could not be written (No space left on device)" in err
    assert "Traceback" not in err
