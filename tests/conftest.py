"""What holds for every test: the Keras backend, two logical CPUs, fixed seeds and a clean global state."""

import gc
import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import pytest
import tensorflow as tf

# Logical devices can only be set before TensorFlow's first operation, so they are there for every test.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Lets a worker end at once: its last search for garbage in all graphs takes longer than pytest-xdist waits."""
    if hasattr(session.config, "workerinput"):
        gc.freeze()


@pytest.fixture(autouse=True)
def _fixed_seeds_and_global_state():
    """Starts every test from the same seeds, and undoes what it did to Keras' global state."""
    keras.utils.set_random_seed(0)
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture(autouse=True, scope="module")
def _release_graphs():
    """Lets go of the graphs and names of a test file once it is done."""
    yield
    keras.backend.clear_session()


@pytest.fixture(scope="session")
def mirrored_strategy() -> tf.distribute.Strategy:
    """A MirroredStrategy over two logical CPUs.

    It sums plainly: the collective operations of several strategies in one process would get into each other's way.
    """
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
