"""The sequence of the points of a sweep, and those that are not tried."""

import pytest

from benchmarks.measuring import sweep
from benchmarks.measuring.results import Results
from tests.benchmarks import fake_subject

SIZES = [(1024, 6), (4096, 6)]


def test_subjects_alternate():
    a, b = fake_subject.subjects("ours", "huggingface")
    planned = sweep.plan([a, b], SIZES, 2)
    assert [identity["round"] for _, identity in planned] == [0] * 4 + [1] * 4
    assert [subject for subject, _ in planned] == [a, b, a, b, b, a, b, a]
    assert [identity["length"] for _, identity in planned[:4]] == [1024, 1024, 4096, 4096]
    assert planned[1][1] == {"subject": "huggingface", "length": 1024, "layers": 6, "round": 0}


def test_sizes_on_both_axes_are_measured_once():
    assert len(sweep.plan(fake_subject.subjects("ours"), [(1024, 6), (1024, 6), (1024, 2)], 1)) == 2


@pytest.mark.parametrize("status", ["timeout", "out_of_memory"])
def test_what_was_given_up_is_not_tried_larger(status):
    subjects = fake_subject.subjects("ours", "torch_exact")
    identities = [identity for _, identity in sweep.plan(subjects, [(1024, 6), (4096, 2), (4096, 6)], 2)]
    given_up = {"subject": "torch_exact", "length": 4096, "layers": 2, "round": 0}
    results = Results(None, {}, {}, list(given_up))
    results.add(identities[0], fake_subject.measured(identities[0]))
    results.add(given_up, {"status": status, "seconds": 9.0, "reason": "too much"})
    skipped = [identity for identity in identities if sweep.skip(identity, identities, results)]
    assert [(i["layers"], i["round"]) for i in skipped] == [(6, 0), (2, 1), (6, 1)]
    assert all((i["subject"], i["length"]) == ("torch_exact", 4096) for i in skipped)
    found = sweep.skip(skipped[0], identities, results)
    reason = f"{status} at subject torch_exact, length 4096, layers 2, round 0"
    assert found == {"status": "skipped", "reason": reason, "seconds": 0.0}


def test_what_comes_later_does_not_count():
    identities = [identity for _, identity in sweep.plan(fake_subject.subjects("ours"), [(1024, 6)], 2)]
    results = Results(None, {}, {}, list(identities[0]))
    results.add(identities[1], {"status": "timeout", "seconds": 9.0, "reason": "too much"})
    assert sweep.skip(identities[0], identities, results) is None
