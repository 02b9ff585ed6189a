"""Processes that are forked off one that has separated songs, as multiprocessing does it by default."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys

import pytest

SEPARATING = """
import gc
import multiprocessing
import numpy as np
import stemwright

noise = np.random.default_rng(0).uniform(-0.3, 0.3, (2, 44100)).astype(np.float32)

def drums():
    gc.collect()  # what came along and is not needed any more goes now
    return stemwright.separate(noise, rate=44100).stems["drums"]

here = drums()
with multiprocessing.get_context("fork").Pool(1) as pool:
    np.testing.assert_array_equal(pool.apply(drums), here)
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there are no forks")
def test_a_forked_process_separates_as_its_parent_does() -> None:
    with subprocess.Popen([sys.executable, "-c", SEPARATING], start_new_session=True) as parent:
        try:
            assert parent.wait(60) == 0
        finally:
            if parent.poll() is None:
                os.killpg(parent.pid, 9)
