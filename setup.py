"""Packaging of reformer_tf: the library and its trainer."""

import pathlib

import setuptools

setuptools.setup(
    name="reformer_tf",
    version="0.1.0",
    description="The Reformer for TensorFlow: LSH attention and reversible layers for Keras 3, with a trainer",
    long_description=pathlib.Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=setuptools.find_packages(include=["reformer_tf", "reformer_tf.*", "trainer", "trainer.*"]),
    python_requires=">=3.10",
    install_requires=[
        "absl-py>=2.1",
        "importlib_resources>=6.0",  # tensorflow-datasets imports it without declaring it.
        "keras>=3.13",
        "ml_collections>=1.0",
        "numpy>=1.26",
        "safetensors>=0.8",  # Published weights and checkpoints; earlier ones copy all arrays to write them.
        "tensorboard>=2.19",  # tf.summary raises without it.
        "tensorflow>=2.20",
        "tensorflow-datasets>=4.9.9",
    ],
    extras_require={
        # The compilers of GPUs and TPUs, for `benchmarks.compiled`; neither chip is needed. Training needs none of it.
        # Tried with 0.10.2 and 0.0.52. Internal functions of JAX are called, hence the bound; on an older Python make
        # another environment for them.
        "accelerators": [
            'jax[cuda13]>=0.10.2,<0.11; python_version >= "3.11"',
            'libtpu>=0.0.52,<0.1; python_version >= "3.11"',
        ],
        "benchmarks": ["matplotlib>=3.8"],  # The plot; peers are measured where torch and their packages are installed.
        "sentencepiece": ["sentencepiece>=0.2"],  # Text in the pieces of a published model's tokenizer.
        "serving": ["tensorflow-serving-api>=2.20"],  # The gRPC client in `examples/`.
        "serving_text": ["tensorflow-text>=2.20"],  # Exports with strings in pieces.
        "translation": [
            "babel>=2.14",  # Pairs of texts from catalogues of gettext.
            "sacrebleu>=2.4",  # BLEU of an evaluation.
        ],
        "test": [
            "babel>=2.14",
            "hypothesis>=6.100",
            "ml_dtypes>=0.4",  # TensorFlow brings it, without which safetensors would read no bfloat16.
            "mypy>=1.15",
            "pre-commit>=4.0",
            "pytest>=8.3",
            "pytest-xdist>=3.6",  # The tests in two processes take half the time.
            "ruff>=0.12",
            "sacrebleu>=2.4",
            "sentencepiece>=0.2",
            "tensorflow-serving-api>=2.20",
            "tensorflow-text>=2.20",
        ],
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
