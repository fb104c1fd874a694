"""Prompts of any length and any bytes."""

import io
import os
import types

import pytest

from trainer.commands import prompts
from trainer.data.tokenizers import BYTES, SHIFTED_BYTES


def test_where_a_prompt_comes_from(tmp_path, monkeypatch):
    any_bytes = bytes(range(256))
    (tmp_path / "prompt").write_bytes(any_bytes)
    assert prompts.read(None, None) == b""
    assert prompts.read("é", None) == "é".encode()
    assert prompts.read(os.fsdecode(b"\xff"), None) == b"\xff"  # As an argument of any bytes comes.
    assert prompts.read(None, str(tmp_path / "prompt")) == any_bytes
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(any_bytes + b"\n")))
    assert prompts.read(None, "-") == any_bytes + b"\n"


def test_prompts_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"`prompt` and `prompt_file` must not both be given. Received: '' and 'file'"):
        prompts.read("", "file")
    for path, reason in ((tmp_path / "gone", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ValueError, match=rf"`prompt_file` must be a file .* Received: '{path}' \({reason}"):
            prompts.read(None, str(path))
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(ValueError, match=r"must not be - where standard input is closed. Received: -"):
        prompts.read(None, "-")


@pytest.mark.parametrize(
    ("size", "asked", "read", "tokens"),
    [
        # The model reads 1,000 tokens at most. A whole prompt has a boundary besides, and the last token is never fed.
        (3, None, 4, 200),
        (799, None, 800, 200),
        (800, None, 801, 200),
        (700, None, 701, 200),
        (801, None, 801, 200),  # Cut from here on.
        (1000, None, 801, 200),
        (1_000_000, None, 801, 200),
        (3, 997, 4, 997),
        (10, 500, 11, 500),
        (700, 500, 501, 500),
        (1_000_000, 500, 501, 500),
        (999, 1, 1000, 1),
        (1000, 1, 1000, 1),
    ],
)
@pytest.mark.parametrize("tokenizer", [BYTES, SHIFTED_BYTES])
def test_a_prompt_is_fitted(size, asked, read, tokens, tokenizer):
    prompt = bytes(i % 251 for i in range(size))
    fitted = prompts.fit(prompt, asked, 1000, tokenizer)
    assert fitted.ids == tokenizer.to_ids(prompt).tolist()[-read:]
    assert fitted.tokens == tokens
    assert fitted.is_cut == (read != size + 1)
    assert len(fitted.ids) + fitted.tokens - 1 <= 1000


@pytest.mark.parametrize("longest", [1, 2, 3, 5, 100, 128, 300])
def test_the_default_fits_every_model(longest):
    for size in range(2 * longest + 2):
        fitted = prompts.fit(b"x" * size, None, longest, BYTES)
        assert len(fitted.ids) >= 1
        assert min(200, max(1, longest // 4)) <= fitted.tokens <= 200
        assert len(fitted.ids) + fitted.tokens - 1 <= longest


@pytest.mark.parametrize(("size", "asked", "most"), [(3, 998, 997), (3, 0, 997), (3, -1, 997), (700, 501, 500)])
def test_tokens_that_do_not_fit(size, asked, most):
    with pytest.raises(
        ValueError, match=f"`tokens` must be from 1 to {most}, what .*max_sequence_length`, 1000, .*Received: {asked}"
    ):
        prompts.fit(b"x" * size, asked, 1000, BYTES)


def test_what_is_encoded_does_not_grow_with_the_prompt(monkeypatch):
    asked = []
    monkeypatch.setattr(BYTES, "to_ids", lambda text: asked.append(len(text)) or SHIFTED_BYTES.to_ids(text))
    prompts.fit(b"x" * 1_000_000, None, 1000, BYTES)
    assert asked == [1000]
