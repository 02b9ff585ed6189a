"""The loop goes on to the step after a kill, and says what is wrong before it touches anything."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from stemwright.errors import BadCheckpoint, CannotWrite, Diverged, NoSongs, OtherRecipe, SpoiledSong
from stemwright.nets.bandsplit import BandSplit
from stemwright.train.learning import checkpoints, progress
from stemwright.train.learning.export import Provenance, export
from stemwright.train.learning.feeder import Feed, batches
from stemwright.train.learning.loop import Plan, Trainer, run, to_torch
from stemwright.zoo import catalog, machine
from tests.train.examples import RECIPE, write_data

CPU = torch.device("cpu")
CHILD = """
from pathlib import Path
from stemwright.train.learning.loop import Plan, run
from tests.train.examples import RECIPE
import dataclasses, sys
if __name__ == "__main__":
    plan = Plan(Path(sys.argv[1]), Path(sys.argv[2]), save_every=1, check_every=10**6)
    run(dataclasses.replace(RECIPE, steps=10**6), plan)
"""

KILLED = """
import multiprocessing, os, signal, sys, time
from pathlib import Path
from stemwright.train.learning.feeder import Feed, batches
from stemwright.train.processes import processes
from tests.train.examples import RECIPE

def killed():
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    if sys.argv[1] == "training":
        with batches(Feed(Path(sys.argv[2]), RECIPE.sizes, RECIPE.net, 1, 2), 0):
            killed()  # while its children are still being started
    with processes(2) as pool:
        pool.submit(abs, 1).result()
        killed()
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("songs"))


def weights(run_folder: Path) -> dict[str, torch.Tensor]:
    trainer = Trainer(RECIPE, CPU)
    trainer.restore(run_folder / "checkpoint.safetensors")
    return {**trainer.net.state_dict(), **{f"ema {k}": v for k, v in trainer.average.state_dict().items()}}


def test_a_run_in_two_parts_equals_one(data: Path, tmp_path: Path) -> None:
    run(RECIPE, Plan(data, tmp_path / "whole", check_every=6))
    for end in (3, None):
        run(RECIPE, Plan(data, tmp_path / "parts", stop_at=end))
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, msg=name, atol=1e-6, rtol=1e-5)
    last = progress.read(tmp_path / "whole" / "curve.jsonl")[-1]
    assert last["step"] == 6
    assert set(last["test"]) >= {"vocals", "drums", "accompaniment", "leakage"}
    progress.plot(tmp_path / "whole" / "curve.jsonl", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_a_run_begins_with_the_weights_it_is_given(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    trained = BandSplit(RECIPE.net)
    graph, card = tmp_path / "trained.onnx", tmp_path / "trained.toml"
    export(trained, "trained", Provenance("twelve", "abc"), graph=graph, card=card)
    standing = dataclasses.replace(RECIPE, rates=dataclasses.replace(RECIPE.rates, muon=1e-12, adamw=1e-12))
    plan = Plan(data, tmp_path / "run", start=catalog.read(card, home=tmp_path), stop_at=1)
    average = run(standing, plan)
    for given, kept in zip(trained.parameters(), average.parameters(), strict=True):
        torch.testing.assert_close(kept, given, atol=1e-3, rtol=1e-3)


def test_training_leaves_its_workers_their_cores(data: Path, tmp_path: Path) -> None:
    told: list[int] = []
    before = torch.get_num_threads()
    run(RECIPE, Plan(data, tmp_path / "run", stop_at=1), on_row=lambda _: told.append(torch.get_num_threads()))
    assert told == [max(1, machine.cores() - 1)]
    assert torch.get_num_threads() == before


def test_a_killed_run_leaves_a_whole_checkpoint(data: Path, tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(CHILD)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(("src", "."))}
    child = subprocess.Popen([sys.executable, tmp_path / "child.py", data, tmp_path / "run"], env=environment)
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    deadline = time.monotonic() + 90
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    child.wait()
    trainer = Trainer(RECIPE, CPU)
    trainer.restore(checkpoint)
    assert trainer.step > 0


def is_at_work(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no system here tells which processes there are")
@pytest.mark.parametrize("kind", ["training", "composing"])
def test_processes_beside_a_killed_one_end_with_it(kind: str, data: Path, tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(KILLED)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(("src", "."))}
    command = [sys.executable, tmp_path / "killed.py", kind, data / "train"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        pids = child.stdout.readline().split()
    assert len(pids) == 2
    deadline = time.monotonic() + 60
    while any(map(is_at_work, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    left = [pid for pid in pids if is_at_work(pid)]
    for pid in left:
        os.kill(int(pid), signal.SIGKILL)
    assert not left


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    Trainer(RECIPE, CPU).save(checkpoint)
    before = checkpoint.read_bytes()
    with pytest.raises(OtherRecipe, match="another recipe"):
        Trainer(dataclasses.replace(RECIPE, seed=4), CPU).restore(checkpoint)
    assert checkpoint.read_bytes() == before


def test_a_spoiled_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"not safe, not tensors")
    with pytest.raises(BadCheckpoint, match="cannot be read"):
        checkpoints.facts_of(tmp_path / "checkpoint.safetensors")


def test_a_checkpoint_that_does_not_tell_its_step_is_named(tmp_path: Path) -> None:
    trainer = Trainer(RECIPE, CPU)
    checkpoints.save(tmp_path / "its", trainer.parts, {"recipe": RECIPE.fingerprint, "seconds": 0, "finish": [4, 6]})
    with pytest.raises(BadCheckpoint, match="does not tell step, songs"):
        trainer.restore(tmp_path / "its")


def test_a_gradient_that_is_no_number_reaches_neither_weights_nor_checkpoint(data: Path) -> None:
    trainer = Trainer(RECIPE, CPU)
    before = {name: value.clone() for name, value in trainer.net.state_dict().items()}
    next(trainer.net.parameters()).register_hook(lambda slope: slope * float("nan"))
    with batches(Feed(data / "train", RECIPE.sizes, RECIPE.net, 1, 1), 0) as stream:
        targets = to_torch(next(stream), CPU)
    with pytest.raises(Diverged, match="its gradient nan"):
        trainer.train(targets)
    assert trainer.step == 0
    assert all(torch.equal(value, before[name]) for name, value in trainer.net.state_dict().items())


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    checkpoint = tmp_path / "checkpoint.safetensors"
    Trainer(RECIPE, CPU).save(checkpoint)
    before, limits = checkpoint.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(CannotWrite, match="could not be written"):
            Trainer(RECIPE, CPU).save(checkpoint)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoint.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.name]


def test_half_rendered_songs_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "train" / "half").mkdir(parents=True)
    with pytest.raises(NoSongs, match="1 half rendered"):
        run(RECIPE, Plan(tmp_path, tmp_path / "run"))
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_a_spoiled_song_is_told_by_the_process_that_meets_it(tmp_path: Path) -> None:
    spoiled = write_data(tmp_path) / "train" / "a" / "drums.npy"
    spoiled.write_bytes(b"cut off")
    with pytest.raises(SpoiledSong, match=r"drums\.npy cannot be used"):
        run(RECIPE, Plan(tmp_path, tmp_path / "run"))


def test_rates_rise_stay_and_fall() -> None:
    trainer = Trainer(dataclasses.replace(RECIPE, steps=100, finish_steps=10), CPU)
    rates = []
    for trainer.step in (0, 1, 50, 90, 95, 100):
        rates.append(trainer.rate())
    assert rates == [0.5, 1.0, 1.0, 1.0, 0.5, 0.0]


def test_a_run_can_be_finished_early_and_that_changed() -> None:
    trainer = Trainer(dataclasses.replace(RECIPE, steps=1000, finish_steps=10), CPU)
    trainer.step = 100
    trainer.aim(200, 100)
    trainer.step = 150
    assert trainer.rate() == 0.5
    trainer.aim(200, 100)
    assert (trainer.rate(), trainer.finish[1]) == (0.5, 200)


def test_a_run_that_has_ended_goes_on(tmp_path: Path) -> None:
    trainer = Trainer(dataclasses.replace(RECIPE, steps=100, finish_steps=10), CPU)
    trainer.step = 100
    trainer.aim(300, 20)
    rates = []
    for trainer.step in (100, 102, 290):
        rates.append(trainer.rate())
    assert rates == [0.5, 1.0, 0.5]
    trainer.save(tmp_path / "checkpoint.safetensors")
    again = Trainer(trainer.recipe, CPU)
    again.restore(tmp_path / "checkpoint.safetensors")
    again.aim(300, 20)
    assert (again.begin, again.rate()) == (100, 0.5)
