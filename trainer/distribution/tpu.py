"""Makes a strategy over the cores of a TPU, or explains what is missing for one.

A TPU is named in one of three ways: it is part of this machine (a Cloud TPU VM), it listens at an address, or Google
Cloud knows it by a name, as it does the slices that span several machines.
"""

import contextlib
import importlib.metadata
import re
import socket
from collections.abc import Iterator

import tensorflow as tf

LOCAL = "local"

_PROTOCOL = "grpc://"
_PORT = 8470
_ADDRESS = re.compile(r"grpc://(?P<host>[^:/,\s]+)(:(?P<port>\d{1,5}))?")
_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_SECONDS = 5.0
_FAILURES = (ValueError, RuntimeError, ImportError, OSError, tf.errors.OpError)


def check_address(address: str) -> None:
    """Checks the form of an address without looking for the TPU.

    Args:
        address: `config.tpu_address` of a run.

    Raises:
        ValueError: If it names no TPU in any of the three ways.
    """
    if not any(form.fullmatch(address) for form in (_ADDRESS, _NAME)):
        raise ValueError(
            f"`config.tpu_address` must be {LOCAL!r} (the TPU of this machine), 'grpc://HOST:PORT', or the name of a "
            f"TPU in Google Cloud. Received: {address!r}"
        )


def make_tpu_strategy(address: str) -> tf.distribute.TPUStrategy:
    """Finds a TPU, starts it anew, and makes a strategy over all its cores.

    Call it before the first variable is made: what was on the TPU is lost.

    Args:
        address: `local`, `grpc://HOST:PORT`, or a name.

    Returns:
        A strategy with one replica a core.

    Raises:
        ValueError: If there is no such TPU, or something is missing to use it. The message says what to do.
    """
    check_address(address)
    with _explained(address):
        _check_answer(address)
        with _patience(_SECONDS):
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=address)
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)


def _check_answer(address: str) -> None:
    """Connects to the address first, because TensorFlow would wait for minutes."""
    found = _ADDRESS.fullmatch(address)
    if found:
        socket.create_connection((found["host"], int(found["port"] or _PORT)), timeout=_SECONDS).close()


@contextlib.contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Limits the time of connections: TensorFlow looks up names by requests without a limit of their own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextlib.contextmanager
def _explained(address: str) -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"`config.strategy` 'tpu' needs a TPU: {_advice(address)} Received: `config.tpu_address` {address!r}: "
            f"{first_line}"
        ) from error


def _advice(address: str) -> str:
    without_tpu = "" if _has_tpu_support() else f" {_what_is_installed()}"
    if address == LOCAL:
        return (
            "this machine must be a Cloud TPU VM, no other process may use its TPU, and TensorFlow must be able to: "
            f"`pip install tensorflow-tpu`.{without_tpu} A TPU elsewhere is named by `--config.tpu_address`."
        )
    if address.startswith(_PROTOCOL):
        return f"nothing that could be used answers at this address; the port is usually {_PORT}.{without_tpu}"
    return (
        "a name is looked up from a machine in Google Cloud, in its own project and zone (`gcloud compute tpus tpu-vm "
        "list --zone=ZONE` lists the names), with `pip install cloud-tpu-client`; the TPU must be READY. On a TPU VM "
        f"that has its TPU to itself the address is {LOCAL!r}.{without_tpu}"
    )


def _has_tpu_support() -> bool:
    """Whether the package with TPU support is installed. Images of TPU VMs have had a build of their own, too."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return bool(importlib.metadata.version("tensorflow-tpu"))
    return False


def _what_is_installed() -> str:
    return f"Installed here is TensorFlow {tf.version.VERSION} without the package tensorflow-tpu."
