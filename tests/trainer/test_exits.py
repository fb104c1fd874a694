"""Stop requests."""

import os
import signal

import pytest

from trainer import exits


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_a_request(number):
    before = signal.getsignal(number)
    with exits.StopRequest() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
    assert signal.getsignal(number) is before


def test_a_second_interrupt_is_one():
    with exits.StopRequest() as stop:
        stop.requested = True
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_interruptible_work_ends_at_once():
    went_on = []
    with exits.StopRequest() as stop, pytest.raises(exits.Stopped), stop.interruptible():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGTERM)
        went_on.append("after the signal")
    assert not went_on


def test_interruptible_work_does_not_begin_after_a_request():
    with exits.StopRequest() as stop:
        stop.requested = True
        with pytest.raises(exits.Stopped), stop.interruptible():
            pytest.fail("the work began")


def test_a_hang_up_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with exits.StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.requested
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_closed_output_is_a_request_and_interrupts_as_a_signal_does():
    with exits.StopRequest() as stop:
        stop.take_closed_output()
        assert stop.requested
    with exits.StopRequest() as stop, pytest.raises(exits.Stopped), stop.interruptible():
        stop.take_closed_output()


def test_nothing_takes_a_request_for_an_error():
    assert not issubclass(exits.Stopped, Exception)
