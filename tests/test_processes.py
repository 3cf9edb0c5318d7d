"""Two processes of ``accelerate launch`` (on CPUs they talk by gloo) against one that normalises each half-batch alone.

The generator's batch norm sees what its own process generates: batch norm over several processes exists for GPUs only.
All else is shared: codes and clips are those of one process, and losses and gradients are means over all.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import train_here

from g3an.checkpoints import load_generator, read_state

PLAIN = {"steps": 20, "batch": 4, "steps_per_epoch": 8, "checkpoint_every": 10, "sample_every": 20, "log_every": 1,
         "video_width": 2, "image_width": 2, "discriminator_init": "orthogonal", "statistics_passes": 1,
         "compared_clips": 16}  # fmt: skip
# Everything that looks beyond a single clip, and R1, which differentiates twice.
RICH = PLAIN | {"steps": 3, "batch": 8, "checkpoint_every": 2, "sample_every": 3, "together": 4, "diversity": 2.0,
                "batch_spread": True, "r1": 1.0, "r1_every": 2, "perception": 0.5}  # fmt: skip
# The stage without judges: real clips are given back from codes that an encoder reads.
BACK = PLAIN | {"steps": 4, "batch": 16, "checkpoint_every": 2, "sample_every": 4, "together": 4, "perception": 0.5,
                "reconstruction": 1.0, "reconstruction_alone": 4, "mirror": False}  # fmt: skip
SCRIPT = Path(train_here.__file__)
ALL = [[0, 1000]]


class Group:
    """Processes that train together. They are forked off a server that has imported torch, which takes seconds."""

    def __init__(self, run: Path, settings: dict, processes: int = 2, **options: object) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["train_here"])
        self.outputs = [run.parent / f"{run.name}-{time.monotonic_ns()}-{rank}.txt" for rank in range(processes)]
        common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(processes)}
        self.members = []
        for rank, output in enumerate(self.outputs):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(processes)}
            variables = common | own if processes > 1 else {}
            words = (variables, output, run, {"settings": settings, **options})
            self.members.append(context.Process(target=train_here.child, args=words))
            self.members[-1].start()

    def end(self) -> str:
        """Wait; what all have printed."""
        for member in self.members:
            member.join(120)
            member.kill()
        return "\n".join(output.read_text() for output in self.outputs)

    def finish(self) -> None:
        told = self.end()
        assert [member.exitcode for member in self.members] == [0] * len(self.members), told


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def losses(run: Path) -> list[dict[str, float]]:
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    machine = ("clips_per_second", "seconds")
    return [{k: v for k, v in each.items() if k not in machine} for each in records if "loss_generator" in each]


def apart(one: list[dict[str, float]], other: list[dict[str, float]]) -> float:
    """The largest difference of any number of any step, relative where the number is large."""
    assert [each.keys() for each in one] == [each.keys() for each in other]
    return max(abs(a[name] - b[name]) / max(1, abs(a[name])) for a, b in zip(one, other, strict=True) for name in a)


def compare(folder: Path, settings: dict) -> None:
    one, two = losses(folder / "one"), losses(folder / "two")
    assert [each["step"] for each in two] == list(range(1, settings["steps"] + 1))
    assert len({each["loss_generator"] for each in one}) == settings["steps"], "the losses move"
    print(f"largest difference: {apart(one, two):.1e}")
    assert apart(one, two) < 1e-4
    # Written once, by the first process: the state half way, with the first sample and at the end, and both networks.
    written = [json.loads((folder / "two" / f"written{rank}.json").read_text()) for rank in (0, 1)]
    assert written == [["last.pt", "last.pt", "best", "last.pt", "generator"], []]
    states = [read_state(folder / run / "checkpoints" / "last.pt") for run in ("one", "two")]
    assert states[0]["step"] == states[1]["step"] == settings["steps"]
    assert states[0].keys() == states[1].keys()
    for name in ("generator", "video", "image", "deep", "average"):
        assert states[0][name].keys() == states[1][name].keys(), "no name tells how many processes there were"
    card = load_generator(folder / "two" / "generator.json").card
    assert card["clips_seen"] == settings["batch"] * settings["steps"]


def test_accelerate_launch_has_the_losses_of_one_process(tmp_path):
    """As GUIDE.md says it, for 20 steps; and one process that does not normalise by halves has others."""
    one = Group(tmp_path / "one", PLAIN, 1, halves=ALL)
    whole = Group(tmp_path / "whole", PLAIN | {"steps": 1}, 1)
    words = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    words += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    words += ["--main_process_port", str(free_port())]
    words += [str(SCRIPT), str(tmp_path / "two"), json.dumps({"settings": PLAIN})]
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=variables, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    one.finish()
    whole.finish()
    compare(tmp_path, PLAIN)
    assert apart(losses(tmp_path / "one")[:1], losses(tmp_path / "whole")) > 1e-4


@pytest.mark.parametrize("settings", [RICH, BACK], ids=["judges", "reconstruction"])
def test_two_processes_have_the_losses_of_one(tmp_path, settings):
    both = Group(tmp_path / "two", settings), Group(tmp_path / "one", settings, 1, halves=ALL)
    for group in both:
        group.finish()
    compare(tmp_path, settings)


def test_a_run_goes_on_with_another_number_of_processes(tmp_path):
    """Two, then one, then two again, against one that was never interrupted."""
    run = tmp_path / "changing"
    whole = Group(tmp_path / "whole", PLAIN | {"steps": 6}, 1, halves=[[0, 2], [4, 6]])
    Group(run, PLAIN | {"steps": 2}).finish()
    Group(run, PLAIN | {"steps": 4}, 1, resume=True).finish()
    Group(run, PLAIN | {"steps": 6}, resume=True).finish()
    whole.finish()
    assert [each["step"] for each in losses(run)] == list(range(1, 7))
    assert apart(losses(tmp_path / "whole"), losses(run)) < 1e-4


def test_one_process_that_is_asked_to_stop_stops_both_after_saving(tmp_path):
    run = tmp_path / "run"
    group = Group(run, PLAIN | {"steps": 10_000, "sample_every": 10_000, "checkpoint_every": 10_000})
    log = run / "log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text().count("\n") >= 3):
        assert all(member.is_alive() for member in group.members) and time.monotonic() < deadline, group.end()
        time.sleep(0.05)
    os.kill(group.members[1].pid, signal.SIGINT)
    told = group.end()
    assert all(member.exitcode == 1 for member in group.members) and told.count("the state is saved") == 2, told
    assert read_state(run / "checkpoints" / "last.pt")["step"] == losses(run)[-1]["step"]


def test_a_loss_that_explodes_in_one_process_ends_both(tmp_path):
    """The check sees the mean over the processes, so none is left waiting for the other."""
    group = Group(tmp_path / "run", PLAIN, failing="1")
    told = group.end()
    assert all(member.exitcode == 1 for member in group.members), told
    assert told.count("loss of the generator is nan at step 0") == 2, told


@pytest.mark.parametrize("settings", [PLAIN | {"batch": 5}, BACK | {"batch": 8}], ids=["odd", "no whole fours"])
def test_a_batch_that_cannot_be_shared_is_one_sentence(tmp_path, settings):
    group = Group(tmp_path / "run", settings)
    told = group.end()
    assert all(member.exitcode == 1 for member in group.members)
    assert told.count(f"batch {settings['batch']} cannot be shared by 2 processes evenly") == 2, told
