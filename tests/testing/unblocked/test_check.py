"""The check of a layer finds no error in our layers, and finds the errors of a wrong one."""

import pytest
import tensorflow as tf

from reformer_tf.layers import LSHSelfAttention
from tests.testing.unblocked import check

LENGTH = 90


def _layer(kind=LSHSelfAttention, **options):
    layer = kind(2, 8, chunk_length=8, num_hashes=2, causal=True, max_sequence_length=LENGTH, seed=1, **options)
    layer.build((None, None, 16))
    return layer


@pytest.mark.parametrize("local_round", [False, True])
def test_bucket_windows_in_float32(local_round):
    errors = check.check(_layer(local_round=local_round), LENGTH, batch=2)
    assert errors.keys() == {"check_output_error", "check_gradient_error"}
    assert 0 < errors["check_output_error"] < 1e-5
    assert 0 < errors["check_gradient_error"] < 1e-5


def test_chunk_windows():
    errors = check.check(_layer(window="chunk"), LENGTH)
    assert max(errors.values()) < 1e-5


def test_bfloat16_stands_beside_what_the_precision_does():
    errors = check.check(_layer(dtype="mixed_bfloat16"), LENGTH)
    for name in ("check_output_error", "check_gradient_error"):
        assert 1e-4 < errors[name] < 0.05
        assert errors[name] < 3 * errors[f"{name}_unblocked"]


@pytest.mark.slow
def test_compiled_by_xla():
    assert max(check.check(_layer(), LENGTH, jit_compile=True).values()) < 1e-5


class WrongOutput(LSHSelfAttention):
    def attend(self, query, key, value, **options):
        output = super().attend(query, key, value, **options)
        return output + 1e-3 * value


class WrongGradient(LSHSelfAttention):
    def attend(self, query, key, value, **options):
        return super().attend(query / 2 + tf.stop_gradient(query / 2), key, value, **options)


def test_what_is_wrong_is_found():
    errors = check.check(_layer(WrongOutput), LENGTH)
    assert errors["check_output_error"] > 1e-4
    errors = check.check(_layer(WrongGradient), LENGTH)
    assert errors["check_output_error"] < 1e-5
    assert errors["check_gradient_error"] > 1e-3


def test_what_it_has_not_is_refused():
    with pytest.raises(ValueError, match="layer must have no dropout, biases or rotary positions. Received: "):
        check.check(_layer(use_bias=True), LENGTH)
