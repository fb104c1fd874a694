"""The setup of every test: the Keras backend, two logical CPUs, fixed seeds and a clean global state."""

import contextlib
import gc
import os
import signal
import threading
from unittest import mock

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Tests compile small programs that run a few times: LLVM's optimization would take longer. Commands inherit the flag.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import keras
import pytest
import tensorflow as tf
from tensorflow.python.util import tf_stack

# Logical devices can only be set before TensorFlow's first operation, so every test has them.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

# Tracing makes millions of objects, which Python searches for garbage repeatedly, together with all imported objects.
# That took 4 to 6 % of the time of the tests. Imported objects are frozen, and `_release_graphs` collects the rest.
gc.freeze()
gc.set_threshold(200_000, 50, 100)

# Each operation of a graph records its call stack, a hundred calls with those of pytest and Keras, which takes a fifth
# of the time of tracing. No test reads these records, so all operations get the same one.
_CALLS = tf_stack.extract_stack()
tf_stack.extract_stack = lambda stacklevel=1: _CALLS


def pytest_configure() -> None:
    """Restores the default handling of signals, since child processes inherit ignored signals.

    SIGHUP is ignored under `nohup`, and SIGINT in the background of a script.
    """
    if threading.current_thread() is threading.main_thread():
        for number, handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
            if signal.getsignal(number) == signal.SIG_IGN:
                signal.signal(number, handler)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Makes the processes of pytest-xdist end at once, and the summary the last line."""
    capture = session.config.pluginmanager.get_plugin("capturemanager")
    if capture.is_globally_capturing():
        # TensorFlow's output at import would be printed after the summary. Interrupted sessions do not capture output.
        with contextlib.suppress(AssertionError):
            capture.read_global_capture()
    if hasattr(session.config, "workerinput"):
        # A worker's last garbage collection of all graphs would take longer than pytest-xdist waits.
        gc.freeze()


@pytest.fixture(autouse=True)
def _fixed_seeds_and_global_state():
    """Starts every test from the same seeds, and resets Keras' global state after it."""
    # A new seed makes TensorFlow drop all prepared operations and programs, for operations with a random state, which
    # no test uses. Preparing them again took a quarter of the time.
    with mock.patch("tensorflow.python.pywrap_tfe.TFE_ContextClearCaches"):
        keras.utils.set_random_seed(0)
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture(autouse=True, scope="module")
def _release_graphs():
    """Releases the graphs and names of a test file once it is done, and freezes the remaining objects."""
    yield
    keras.backend.clear_session()
    gc.freeze()


@pytest.fixture(scope="session")
def mirrored_strategy() -> tf.distribute.Strategy:
    """A MirroredStrategy over two logical CPUs.

    It sums without collective operations, because those of several strategies in one process would interfere.
    """
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
