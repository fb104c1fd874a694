"""What holds for every test: the Keras backend, two logical CPUs, fixed seeds and a clean global state."""

import contextlib
import gc
import os
import signal
import threading
from unittest import mock

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Small programs that run a few times: LLVM's optimization of them takes longer than they do. Commands inherit it.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import keras
import pytest
import tensorflow as tf
from tensorflow.python.util import tf_stack

# Logical devices can only be set before TensorFlow's first operation, so they are there for every test.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

# Tracing makes millions of objects, which Python searches for garbage again and again, among all that was imported
# too: 4 to 6 % of the time of the tests. What was imported stays, and `_release_graphs` collects the rest.
gc.freeze()
gc.set_threshold(200_000, 50, 100)

# Each operation of a graph notes the calls that made it, a hundred with those of pytest and Keras: a fifth of the time
# that tracing takes. Nothing here reads these notes, so all operations get the same one.
_CALLS = tf_stack.extract_stack()
tf_stack.extract_stack = lambda stacklevel=1: _CALLS


def pytest_configure() -> None:
    """Lets commands be tested as they are used: what this process ignores, its children would ignore as well.

    That is SIGHUP under `nohup`, and SIGINT in the background of a script.
    """
    if threading.current_thread() is threading.main_thread():
        for number, handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
            if signal.getsignal(number) == signal.SIG_IGN:
                signal.signal(number, handler)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Lets the processes of pytest-xdist end at once, and the summary be the last line."""
    capture = session.config.pluginmanager.get_plugin("capturemanager")
    if capture.is_globally_capturing():
        # What TensorFlow wrote when it was imported would be printed after it. An interrupted session captures no more.
        with contextlib.suppress(AssertionError):
            capture.read_global_capture()
    if hasattr(session.config, "workerinput"):
        # A worker's last search for garbage in all graphs would take longer than it is waited for.
        gc.freeze()


@pytest.fixture(autouse=True)
def _fixed_seeds_and_global_state():
    """Starts every test from the same seeds, and undoes what it did to Keras' global state."""
    # A new seed makes TensorFlow forget every operation and program that it has made ready to run, for the sake of
    # operations that keep a random state, which nothing here uses. Making them ready again took a quarter of the time.
    with mock.patch("tensorflow.python.pywrap_tfe.TFE_ContextClearCaches"):
        keras.utils.set_random_seed(0)
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture(autouse=True, scope="module")
def _release_graphs():
    """Lets go of the graphs and names of a test file once it is done, and does not search what is left again."""
    yield
    keras.backend.clear_session()
    gc.freeze()


@pytest.fixture(scope="session")
def mirrored_strategy() -> tf.distribute.Strategy:
    """A MirroredStrategy over two logical CPUs.

    It sums plainly: the collective operations of several strategies in one process would get into each other's way.
    """
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
