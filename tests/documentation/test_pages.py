"""The Python code of every page runs, with folders that exist, and the names, files and links in pages exist."""

import collections
import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import reformer_tf
from reformer_tf import export, layers, models, pretrained
from tests.documentation import blocks
from tests.documentation.blocks import ROOT
from trainer import exits, model_fields

# The tests that run the blocks of a page.
TESTS = {
    "README.md": "test_readme_layer, test_readme_models",
    "docs/accelerators.md": "here",
    "docs/attention_kinds.md": "test_attention_kinds",
    "docs/data.md": "test_data",
    "docs/fine_tuning.md": "here",
    "docs/masked_language_model.md": "here",
    "docs/serving.md": "here",
    "docs/several_gpus.md": "here",
    "docs/translation.md": "here",
}


def test_every_block_of_python_is_run():
    assert {page for page in blocks.PAGES if blocks.python(page)} == set(TESTS)
    counts = {page: len(blocks.python(page)) for page in TESTS}
    assert counts == {
        "README.md": 2,
        "docs/accelerators.md": 1,
        "docs/attention_kinds.md": 2,
        "docs/data.md": 6,
        "docs/fine_tuning.md": 2,
        "docs/masked_language_model.md": 1,
        "docs/serving.md": 1,
        "docs/several_gpus.md": 1,
        "docs/translation.md": 1,
    }


def test_every_block_names_its_language():
    for page in blocks.PAGES:
        fences = re.findall(r"^```(.*)$", blocks.read(page), re.MULTILINE)
        assert set(fences[::2]) <= {"sh", "python", "yaml"}, page
        assert set(fences[1::2]) <= {""}, page


@pytest.mark.slow
def test_translation():
    (block,) = blocks.python("docs/translation.md")
    names = {}
    exec(block, names)
    assert names["logits"].shape == (2, 10, 257) and names["losses"].shape == (2, 10)
    assert not np.any(names["losses"][1, 5:]) and np.all(names["losses"][1, :5] > 0)
    assert all(len(ids) == 20 or ids[-1] == 256 for ids in names["new_ids"])


@pytest.mark.slow
def test_serving_in_python_without_a_server(tmp_path):
    keras.utils.set_random_seed(0)
    model = models.ReformerCausalLM(257, 64, 1, 16, 2, 8, 32, ["local"])
    path = export.export_saved_model(model, tmp_path / "reformer")
    (block,) = blocks.python("docs/serving.md")
    assert '"/models/reformer/1"' in block
    names = {}
    exec(block.replace("/models/reformer/1", str(path)), names)
    losses = model.token_losses(np.array([[256, *b"def main():"]]))
    np.testing.assert_allclose(names["outputs"]["bits_per_byte"][0], np.mean(losses) / np.log(2), atol=1e-4)


@pytest.mark.slow
def test_an_export_for_a_gpu_gives_the_same_on_a_cpu(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (block,) = blocks.python("docs/accelerators.md")
    names = {}
    exec(block, names)
    ids = np.random.default_rng(0).integers(0, 257, [2, 300]).astype("int32")
    exported = tf.saved_model.load("models/for_gpu/1").signatures["predict"]
    np.testing.assert_allclose(exported(ids=tf.constant(ids))["logits"], names["model"](ids), atol=1e-4)


def test_snippets_to_classify(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    snippets, _ = blocks.python("docs/fine_tuning.md")
    exec(snippets, {})
    rows = [json.loads(line) for line in (tmp_path / "snippets.jsonl").read_text().splitlines()]
    assert collections.Counter(row["label"] for row in rows) == dict.fromkeys(
        ["asyncio", "email", "idlelib", "unittest"], 1000
    )
    assert max(len(row["text"]) for row in rows) == 200


@pytest.mark.slow
def test_a_classifier_on_a_language_model(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    _, block = blocks.python("docs/fine_tuning.md")
    names = {}
    exec(block, names)
    loaded = keras.models.load_model("classifier.keras")
    expected = names["model"](names["ids"])
    np.testing.assert_array_equal(loaded(names["ids"]), expected)
    exported = tf.saved_model.load("models/classifier/1").signatures["predict"]
    logits = exported(ids=tf.constant(names["ids"], tf.int32))["logits"]
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.slow
def test_hidden_bytes_are_filled_in(tmp_path):
    keras.utils.set_random_seed(0)
    model = models.ReformerMaskedLM(258, 64, 1, 16, 2, 8, 32, ["local"])
    path = export.export_saved_model(model, tmp_path / "export")
    (block,) = blocks.python("docs/masked_language_model.md")
    assert '"/tmp/masked/export/1"' in block
    names = {}
    exec(block.replace("/tmp/masked/export/1", str(path)), names)
    filled, text = names["filled"], names["text"]
    assert len(filled) == len(text)
    assert [a for a, b in zip(filled, text, strict=True) if b != ord("?")] == [b for b in text if b != ord("?")]
    expected = np.argmax(model(np.array([names["ids"]]))[0, 1:, :256], axis=-1)
    assert [a for a, b in zip(filled, text, strict=True) if b == ord("?")] == [
        guess for guess, b in zip(expected, text, strict=True) if b == ord("?")
    ]


@pytest.mark.slow
def test_fit_under_a_strategy(monkeypatch, mirrored_strategy):
    """Runs on two logical CPUs, since collective operations of several strategies do not mix in one process."""
    (block,) = blocks.python("docs/several_gpus.md")
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: mirrored_strategy)
    names = {}
    exec(block, names)
    assert np.isfinite(names["model"].evaluate(names["ids"], batch_size=8, verbose=0))


def _commands():
    """Every command line of the pages, inline code included."""
    for page in blocks.PAGES:
        text = blocks.read(page).replace("\\\n", " ")
        for line in re.findall(r"python3? -m [^`\n]+", text):
            yield page, line


def test_modules_of_commands_exist():
    found = {re.match(r"python3? -m (\S+)", line).group(1) for _, line in _commands()}
    ours = {
        name
        for name in found
        if name.split(".")[0] in ("trainer", "compilers", "benchmarks", "examples", "tools", "configs", "tests")
    }
    assert len(ours) >= 15
    for name in ours:
        path = ROOT / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), name
    assert found - ours <= {"venv", "pytest"}


def test_options_of_commands_exist():
    """Flags are defined in the command's module or one of its folder; config fields in one of the configs."""
    defined = {}
    for package in ("trainer", "compilers", "benchmarks", "examples", "tests"):
        text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / package).rglob("*.py"))
        defined[package] = set(re.findall(r"(?:DEFINE_\w+|define)\(\s*\"(\w+)\"", text)) | set(
            re.findall(r"\"--(\w+)", text)
        )
    missing = []
    for page, line in _commands():
        package = re.match(r"python3? -m (\w+)", line).group(1)
        for option in re.findall(r"--(\w+)(?=[=\s]|$)", line):
            if package in defined and option not in defined[package] | {"config"}:
                missing.append((page, line, option))
    assert missing == []


def test_fields_of_configs_exist():
    from configs import quickstart

    config = quickstart.get_config()
    model_arguments = {f"model.{name}" for name in model_fields.all_parameters()}
    fields = {field for page in blocks.PAGES for field in re.findall(r"config\.((?:\w+\.)*\w+)", blocks.read(page))}
    assert len(fields) >= 15
    missing = []
    for field in fields - {"json"}:
        part = config
        if ".".join(field.split(".")[:2]) in model_arguments:  # Arguments of models need not be in a config.
            continue
        for name in field.split("."):
            if name not in part:
                missing.append(field)
                break
            part = part[name]
    assert missing == []


def test_paths_exist():
    """Paths that begin with one of our folders, and links between pages."""
    folders = "reformer_tf|trainer|configs|compilers|benchmarks|examples|docs|tests|tools"
    missing = []
    for page in blocks.PAGES:
        text = blocks.read(page)
        paths = re.findall(rf"(?<![\w/.-])((?:{folders})/[\w./-]*)", text)
        links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
        missing += [(page, path) for path in paths if "NAME" not in path and not (ROOT / path.rstrip("./")).exists()]
        missing += [(page, link) for link in links if link and not (ROOT / page).parent.joinpath(link).exists()]
    assert missing == []


def test_fields_in_tables_exist():
    """The README's table of fields, which leaves out "config."."""
    from configs import quickstart

    config = quickstart.get_config()
    fields = re.findall(r"^\| `(\w+)\.(\w+)` \|", blocks.read("README.md"), re.MULTILINE)
    assert len(fields) >= 4
    assert [f"{part}.{name}" for part, name in fields if name not in config[part]] == []


def test_exit_codes_are_those_of_the_trainer():
    table = {int(code) for code in re.findall(r"^\| (\d+) \| ", blocks.read("README.md"), re.MULTILINE)}
    constants = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert table - {0, 2} <= constants <= table


def test_names_of_the_library_exist():
    """Classes, presets and functions that pages name."""
    text = "\n".join(map(blocks.read, blocks.PAGES))
    public = {*vars(layers), *vars(models), *vars(export), *vars(pretrained)}
    named = set(re.findall(r"`(Reformer\w+|\w+SelfAttention|\w+Tokenizer|ReversibleStack)\b", text))
    assert len(named) >= 8
    assert named <= public
    for preset in re.findall(r"\"(reformer-[\w-]+)\"", text):
        assert preset in models.presets.PRESETS
    for module, function in re.findall(r"`(?:reformer_tf\.)?(export|pretrained)\.(\w+)", text):
        assert hasattr(vars(reformer_tf)[module], function)
