"""The heartbeat prints lines during long steps, and nothing during short ones."""

import time

from trainer.training.progress import Heartbeat


def test_a_long_step_is_mentioned_again_and_again(capsys):
    with Heartbeat(steps=7, every=0.1) as heartbeat:
        heartbeat.step = 3
        time.sleep(0.35)
    said = capsys.readouterr().out.splitlines()
    # Any number of lines, as threads may be late.
    assert said and all(line.startswith("  in step 3/7 for 0:0") for line in said)


def test_short_steps_and_what_is_between_steps_are_not(capsys):
    with Heartbeat(steps=7, every=0.4) as heartbeat:
        for step in range(1, 4):
            heartbeat.step = step
            time.sleep(0.05)
            assert heartbeat.step == step
        heartbeat.step = None
        time.sleep(0.6)
    assert capsys.readouterr().out == ""


def test_it_ends_at_once():
    start = time.monotonic()
    with Heartbeat(steps=1, every=60.0) as heartbeat:
        heartbeat.step = 1
    assert time.monotonic() - start < 5
