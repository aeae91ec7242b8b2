"""Leases: one holder per device, over processes, freed by death."""

import multiprocessing
import os
import signal
import time

import pytest

from parsec.errors import DeviceError
from parsec.runtime.device import acquire_free

FORK = multiprocessing.get_context("fork")


def hold(ids, folder, reply, seconds):
    with acquire_free(ids, folder, poll_seconds=0.01) as index:
        reply.put((index, time.monotonic()))
        time.sleep(seconds)


def start(ids, folder, seconds):
    reply = FORK.Queue()
    process = FORK.Process(target=hold, args=(ids, folder, reply, seconds))
    process.start()
    return process, reply


def test_two_processes_get_two_devices(tmp_path):
    first, reply = start(["a", "b"], tmp_path, 600)
    assert reply.get(timeout=60)[0] == 0
    with acquire_free(["a", "b"], tmp_path) as index:
        assert index == 1
    first.kill()
    first.join()


def test_second_waits_for_the_only_device(tmp_path, caplog):
    first, reply = start(["a"], tmp_path, 0.2)
    began = reply.get(timeout=60)[1]
    with caplog.at_level("INFO", logger="parsec"), acquire_free(["a"], tmp_path, poll_seconds=0.01):
        assert time.monotonic() - began >= 0.2
    first.join()


def test_killed_holder_frees_its_device(tmp_path):
    first, reply = start(["a"], tmp_path, 600)
    reply.get(timeout=60)
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    with acquire_free(["a"], tmp_path) as index:
        assert index == 0


def test_device_is_free_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), acquire_free(["a"], tmp_path):
        raise RuntimeError
    with acquire_free(["a"], tmp_path) as index:
        assert index == 0


def test_no_device_is_one_line(tmp_path):
    with pytest.raises(DeviceError, match="no device"), acquire_free([], tmp_path):
        pass
