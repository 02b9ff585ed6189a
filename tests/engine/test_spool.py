"""Stems waiting on disk."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import joined, noise

from stemwright.engine.spool import PIECE, Spool, leaving_no_empty_folder, spools
from stemwright.errors import CannotWrite


@given(st.lists(st.integers(1, 40000), min_size=1, max_size=3), st.sampled_from([1e-6, 0.5, 30.0]))
def test_what_comes_back_is_98_db_below_exact(tmp_path_factory, sizes: list[int], loudness: float) -> None:
    blocks = [noise(size, seed) * np.float32(loudness) for seed, size in enumerate(sizes)]
    spool = Spool(tmp_path_factory.getbasetemp())
    for block in blocks:
        spool.write(block)
    back = joined(spool.blocks())
    spool.close()
    assert back.shape == joined(blocks).shape
    assert np.abs(back - joined(blocks)).max() <= 0.51 * np.abs(joined(blocks)).max() / 32767


def test_an_exact_spool_gives_back_every_bit_and_takes_twice_the_disk(tmp_path: Path) -> None:
    block, sizes = noise(PIECE * 3 + 5), {}
    for exact in (False, True):
        spool = Spool(tmp_path, exact=exact)
        spool.write(block)
        back = joined(spool.blocks())
        sizes[exact] = spool._file.seek(0, 2)
        spool.close()
    assert np.array_equal(back, block)
    assert sizes == {True: block.nbytes + 4 * 8, False: block.nbytes // 2 + 4 * 8}


def test_silence_stays_silence(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.write(np.zeros((2, 100), np.float32))
    assert np.array_equal(joined(spool.blocks()), np.zeros((2, 100)))
    spool.close()


@pytest.mark.parametrize("nonsense", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_does_not_come_back_as_silence(nonsense: float, tmp_path: Path) -> None:
    block = noise(3 * PIECE)
    block[1, PIECE + 7] = nonsense
    spool = Spool(tmp_path)
    spool.write(block)
    first, second, third = spool.blocks()
    assert np.isnan(second).all()
    assert np.isfinite(first).all()
    assert np.isfinite(third).all()
    spool.close()


def test_nothing_can_be_seen_in_the_folder(tmp_path: Path) -> None:
    with spools(tmp_path, ["a", "b"]) as waiting:
        waiting["a"].write(noise(10))
        assert list(tmp_path.iterdir()) == []


def test_folders_made_for_nothing_are_taken_away_again(tmp_path: Path) -> None:
    folder, below = tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"
    with pytest.raises(RuntimeError), leaving_no_empty_folder(folder, below), spools(folder, ["x"]):  # noqa: PT012
        below.mkdir()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="file/x could not be written"), spools(tmp_path / "file" / "x", ["a"]):
        pass
