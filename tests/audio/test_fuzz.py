"""Three hundred mutated files: each is decoded or refused. bench/fuzz.py tries ten thousand."""

from pathlib import Path

import pytest

from tests import fuzzing


def test_mutated_files_are_decoded_or_refused(tmp_path: Path) -> None:
    tally = fuzzing.run(range(300), fuzzing.make_corpus(tmp_path))
    assert tally.bad == []
    assert tally.cases == 300
    assert min(tally.outcomes["decoded"], tally.outcomes["refused"]) > 30  # the mutations are neither tame nor blunt


def test_a_case_is_the_same_each_time() -> None:
    seeds = [bytes(range(256)) * 9, b"another"]
    made = [fuzzing.mutated(seeds, case) for case in range(20)]
    assert made == [fuzzing.mutated(seeds, case) for case in range(20)]
    assert len(set(made)) > 15


@pytest.mark.parametrize("how", ["os.abort()", "exec('while True: pass')"])
def test_a_crash_and_a_hang_would_be_seen(tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nimport stemwright.audio.decode as decode\n"
        f"def bad(*_, **__):\n    {how}\ndecode.open_song = bad\n"
    )
    monkeypatch.setattr(fuzzing, "HANG_SECONDS", 3)
    monkeypatch.setattr(fuzzing, "ROOT", f"{tmp_path}:{fuzzing.ROOT}")
    seed = tmp_path / "seed"
    seed.write_bytes(b"x")
    tally = fuzzing.run([1], [seed])
    assert sum(tally.outcomes[bad] for bad in ("crash", "hang")) == len(tally.bad) == 1
