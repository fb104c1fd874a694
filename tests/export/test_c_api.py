"""Exports run by TensorFlow's C API, in a process without Python: what TensorFlow Serving does, on a small scale."""

import pathlib
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

SOURCE = pathlib.Path(__file__).with_name("score_text.c")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler called cc")
    include, library = tf.sysconfig.get_include(), tf.sysconfig.get_lib()
    built = tmp_path_factory.mktemp("c") / "score_text"
    libraries = [f"{library}/libtensorflow_cc.so.2", f"{library}/libtensorflow_framework.so.2"]
    if not all(pathlib.Path(path).exists() for path in libraries):
        pytest.skip("this TensorFlow has no libtensorflow_cc.so.2")
    command = [compiler, "-Wall", "-Werror", "-O1", f"-I{include}", str(SOURCE), "-o", str(built), *libraries]
    subprocess.run([*command, f"-Wl,-rpath,{library}"], check=True)
    return built


def _signature(exported, name):
    saved = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    return saved.meta_graphs[0].signature_def[name]


def _score(program, exported, output, texts):
    signature = _signature(exported, "score")
    names = [signature.inputs["text"].name, signature.outputs[output].name]
    command = [str(program), str(exported), *names, *texts]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3"}  # No PYTHONPATH, no anything else.
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def _numbers(line):
    word, *numbers = line.split()
    assert word == "ok", line
    return np.array([float(number) for number in numbers], np.float32)


@pytest.mark.parametrize("kind", ["strictly_causal", "chunks"])
def test_scores_of_strings_without_python(program, exports, kind):
    model, exported = exports[kind].model, exports[kind].path
    longest = model.backbone.config["max_sequence_length"]
    texts = ["a", "", "def main():", "a" * (longest + 1), "é"]
    lines = _score(program, exported, "token_log_probabilities", texts)
    assert len(lines) == len(texts)
    for text, line in zip(texts, lines, strict=True):
        if 1 <= len(text.encode()) <= longest:
            ids = tf.constant([[256, *text.encode()]])
            call = tf.function(model.token_losses, autograph=False)
            np.testing.assert_allclose(_numbers(line), -call(ids)[0], atol=1e-5)
        else:
            assert line.startswith("error")
            assert f"`text` must have from 1 to {longest} bytes a row" in line
            assert f"[{len(text)}]" in line
