"""The random streams of generated data."""

import numpy as np
import pytest

from trainer.data.generated import streams


def _first(*args, **kwargs):
    return streams.make_stream(*args, **kwargs).randint(2**31, dtype=np.int64)


def test_the_numbers_never_change():
    # Data sets are compared across machines and years. numpy 1.23 and 2.4 give these.
    stream = streams.make_stream("name", seed=2**40 + 3, part="validation", batch=5)
    assert stream.randint(1000, size=4, dtype=np.int32).tolist() == [624, 514, 114, 212]
    assert stream.random_sample() == 0.7754412107565024


def test_every_argument_counts():
    variants = [{}, {"seed": 1}, {"seed": 2**32}, {"seed": -1}, {"part": "validation"}, {"part": "test"}, {"batch": 1}]
    found = {_first("name", **{"seed": 0, "part": "train", **variant}) for variant in variants}
    assert len(found | {_first("other", seed=0, part="train")}) == len(variants) + 1


def test_unknown_part():
    with pytest.raises(ValueError, match="`part` must be one of train, validation, test. Received: part='dev'"):
        streams.make_stream("name", seed=0, part="dev")


@pytest.mark.parametrize(
    ("value", "most", "bounds"),
    [(0, None, "of at least 1"), (1.0, 5, "from 1 to 5"), (6, 5, "from 1 to 5"), (True, 5, "")],
)
def test_integers_are_checked(value, most, bounds):
    with pytest.raises(ValueError, match=rf"`count` must be an integer {bounds}.*Received: count={value}"):
        streams.check_integer("count", value, least=1, most=most)
    streams.check_integer("count", 1, least=1)
    streams.check_integer("count", np.int64(5), least=1, most=5)
