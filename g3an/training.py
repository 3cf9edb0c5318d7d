"""Training: the losses, the moving average, and one explicit loop.

A step draws codes, generates one batch, and takes one D and one G step on it. All randomness derives from
(seed, step) or (seed, epoch, index), never from a running generator: a run that was killed and resumed
computes what the uninterrupted run would have.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import copy, deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot, softplus
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter
from tqdm.auto import tqdm

from g3an.allotment import PULLED_STEPS, Allotment
from g3an.augment import augment
from g3an.checkpoints import begin_from, load_generator, read_state, save_generator, write_state
from g3an.config import ModelConfig, TrainConfig, side_of
from g3an.data import ClipDataset, open_dataset
from g3an.data.faces.dataset import FaceDataset
from g3an.data.faces.factors import APPEARANCE
from g3an.data.faces.sets import SETS
from g3an.data.layouts import Split
from g3an.discriminators import ImageDiscriminator, VideoDiscriminator
from g3an.errors import G3ANError
from g3an.evaluation.factors import FactorNetwork, fit_moves, load_factors, save_factors
from g3an.evaluation.lids import fit_lids, load_lids, save_lids
from g3an.evaluation.sliced import sliced_wasserstein
from g3an.files import atomic_write, read_json, write_json
from g3an.following import READ_FRAMES, Follower
from g3an.generator import Generator
from g3an.perception import Perception, PerceptualDiscriminator, diversity_loss
from g3an.reconstruction import (
    MOTION_RATE,
    PEOPLE_RATE,
    TOLD_FRAMES,
    Encoder,
    Quiet,
    flicker,
    likeness,
    movement,
    noisy,
    turn_looks,
)

WITHOUT_EFFECT = frozenset(("profile", "steps", "workers", "log_every", "checkpoint_every", "sample_every",
                            "compared_clips"))  # fmt: skip
CHANGEABLE = frozenset(("learning_rate_g", "learning_rate_d", "cooling", "ema_decay", "augment", "image_frames", "r1",
                        "r1_every", "diversity", "reconstruction", "reconstruction_alone", "reading", "look_noise",
                        "motion_noise", "normality", "flicker", "movement", "frozen_norms",
                        "statistics_passes"))  # fmt: skip
"""What a resumed run may have otherwise than before: what leaves its network alone, and what the card then records.
``following``, too, if it was above 0 and stays so."""

LIKENESS = 0.4
"""Weight of the perceptual maps' difference: what it says counts for twice what the pixels say."""
FROZEN_PASSES = 32
"""Of 16 clips, from which the statistics come that frozen norms keep."""
COLDEST = 0.01
"""Share of the learning rates that is left after cooling."""
ALONE_FRAMES = 8
"""Frames of a clip given back in a step without judges; D_V needs all, a mean of differences does not."""

LARGEST_LOSS = 100.0  # a GAN with spectral norm stays below 10; beyond this it will not come back
LARGEST_PART = 10.0  # of each loss before it is weighed, where many or heavy ones add up to more
SHOWN_ROWS = 8
READER = 100  # its seed is so far from that of the run


class Stopped(G3ANError):
    """Training was asked to stop, by Ctrl-C or SIGTERM, and has saved its state."""


def discriminator_loss(real: Tensor, fake: Tensor, kind: str = "bce") -> Tensor:
    """Loss of D_V or D_I.

    ``bce``: ``-mean log σ(real) - mean log(1 - σ(fake))``.
    ``hinge``: ``mean max(0, 1 - real) + mean max(0, 1 + fake)``.

    Parameters
    ----------
    real, fake
        Logits ``(batch,)``.
    """
    if kind == "hinge":
        return (1 - real).relu().mean() + (1 + fake).relu().mean()
    return binary_cross_entropy_with_logits(real, torch.ones_like(real)) + binary_cross_entropy_with_logits(
        fake, torch.zeros_like(fake)
    )


def generator_loss(fake: Tensor, kind: str = "bce") -> Tensor:
    """Loss of the generator: ``-mean log σ(fake)`` (non-saturating), or ``-mean fake`` with ``hinge``.

    Parameters
    ----------
    fake
        Logits ``(batch,)``.
    kind
        ``bce`` or ``hinge``.

    Returns
    -------
    Tensor
        A scalar, at least 0 with ``bce``.
    """
    return -fake.mean() if kind == "hinge" else softplus(-fake).mean()


class MovingAverage:
    """Exponential moving average of a generator's raw weights.

    Only the weights are averaged. Averaged vectors of a spectral norm would belong to no matrix, and averaged
    batch-norm statistics to no network: :meth:`network` recomputes both from training-mode passes.
    """

    def __init__(self, generator: Generator, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in generator.named_parameters()}

    @torch.no_grad()
    def update(self, generator: Generator) -> None:
        """One step: ``average = decay · average + (1 - decay) · weight``."""
        for name, value in generator.named_parameters():
            self.weights[name].lerp_(value.detach(), 1 - self.decay)

    @torch.no_grad()
    def network(
        self, generator: Generator, seed: int, passes: int = 16, batch: int = 16, frozen: bool = False
    ) -> Generator:
        """A copy of ``generator`` with the averaged weights, ready to sample from (evaluation mode).

        ``frozen`` norms keep their statistics: the weights were learned for these.
        """
        averaged = normalising_alone(deepcopy(generator))
        averaged.load_state_dict(self.weights, strict=False)
        recompute_statistics(averaged, seed, passes, batch, frozen)
        return averaged


def normalising_alone(network: Generator) -> Generator:
    """Replace the batch norms over all processes, in place: one process that ran them would wait for the others."""
    for parent in list(network.modules()):
        for name, norm in parent.named_children():
            if isinstance(norm, nn.SyncBatchNorm):
                plain = nn.BatchNorm3d(norm.num_features, norm.eps, norm.momentum).to(norm.weight.device)
                plain.load_state_dict(norm.state_dict())
                setattr(parent, name, plain)
    return network


@torch.no_grad()
def recompute_statistics(
    generator: Generator, seed: int, passes: int = 16, batch: int = 16, frozen: bool = False
) -> None:
    """Set batch-norm statistics to their mean over training-mode passes; leaves evaluation mode on.

    The same passes bring the vectors of the spectral norms to the present weights; with ``frozen`` they do only that.
    """
    generator.train()
    if frozen:
        freeze_norms(generator)
        passes = 0
    device = next(generator.parameters()).device
    norms = _norms(generator)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # a plain mean over the passes
    warm_up = 4  # for the power iterations of the spectral norms
    for number in range(warm_up + passes):
        if number == warm_up:
            for norm in norms:
                norm.reset_running_stats()
        z_a, z_m, c = draw_codes(generator.config, batch, seed, number, device)
        generator(z_a, z_m, c)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    generator.eval()


def freeze_norms(generator: nn.Module) -> None:
    """Let the batch norms normalise by the statistics that they have; everything else stays in training mode."""
    for norm in _norms(generator):
        norm.eval()


def _norms(generator: nn.Module) -> list[nn.BatchNorm3d | nn.SyncBatchNorm]:
    return [module for module in generator.modules() if isinstance(module, (nn.BatchNorm3d, nn.SyncBatchNorm))]


def gradient_penalty(judge: nn.Module, real: Tensor, *condition: Tensor | None) -> Tensor:
    """R1 of Mescheder et al. (ICML 2018): the mean squared norm of the verdict's gradient at real clips or frames.

    It damps the circles that G and D otherwise run in, where all samples take one colour after the other.

    Parameters
    ----------
    judge
        Gives a logit for each clip or frame.
    real
        Clips ``(batch, 3, T, H, W)`` or frames ``(batch, 3, H, W)`` in [-1, 1].
    condition
        What else the judge takes, such as one-hot categories ``(batch, classes)``.

    Returns
    -------
    Tensor
        A scalar, at least 0, through which gradients reach the judge.
    """
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(judge(real, *condition).float().sum(), real, create_graph=True)
    return gradient.float().square().flatten(1).sum(1).mean()


def draw_codes(
    config: ModelConfig, batch: int, seed: int, step: int, device: torch.device | str = "cpu", together: int = 1
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Codes of one step: z_a, z_m ~ N(0, 1) and uniform one-hot categories, a function of (seed, step) only.

    With ``together`` 2 or 4, groups of so many clips share c, which the groups take in turn, in random order, and
    clips 2j and 2j + 1 share z_a. In fours the second pair moves by the first one's two z_m.

    Parameters
    ----------
    config
        Of the generator that takes them.
    batch
        Clips, a multiple of ``together``.
    seed, step
        Whole numbers, of which the lower 32 bits count.
    device
        Where the codes go; they are drawn on the processor, for any device alike.
    together
        1, 2 or 4.

    Returns
    -------
    tuple of Tensor
        z_a ``(batch, z_a_dim)``, z_m ``(batch, z_m_dim)`` and c ``(batch, classes)``, None if unconditional.
    """
    random = torch.Generator().manual_seed(_mix(seed, step, 1))
    z_a = torch.randn(batch, config.z_a_dim, generator=random).to(device)
    z_m = torch.randn(batch, config.z_m_dim, generator=random).to(device)
    if together > 1:
        z_a = z_a[0::2].repeat_interleave(2, 0)
    if together == 4:
        z_m = z_m.unflatten(0, (-1, 2, 2))[:, :1].expand(-1, 2, -1, -1).flatten(0, 2)
    if not config.classes:
        return z_a, z_m, None
    number = len(config.classes)
    if together == 1:
        category = torch.randint(number, (batch,), generator=random)
    else:
        turns = [torch.randperm(number, generator=random) for _ in range(-(-batch // (together * number)))]
        category = torch.cat(turns).repeat_interleave(together)[:batch]
    return z_a, z_m, one_hot(category, number).float().to(device)


def train(
    run_dir: str | Path,
    dataset_name: str,
    root: str | Path | None,
    model: ModelConfig,
    config: TrainConfig,
    resume: bool = False,
    progress: bool = True,
    device: str = "auto",
    begin: str | Path | None = None,
    begin_category: str | None = None,
) -> Path:
    """Train a network and leave everything about it in ``run_dir``.

    ======================  ==========================================================
    ``config.json``         model, training and data, as used
    ``log.jsonl``           a line each ``log_every`` steps
    ``tensorboard/``        the same, as curves
    ``samples/``            fixed codes, one PNG each ``sample_every`` steps
    ``checkpoints/``        ``last.pt``, to resume from; ``best.pt``, that of ``best.*``
    ``generator.*``         the averaged generator of the last step
    ``best.*``              that of the smallest sliced Wasserstein distance
    ======================  ==========================================================

    Parameters
    ----------
    run_dir
        A new folder, or with ``resume`` the folder of a run that was stopped, which knows what it began from.
    dataset_name, root
        As for :func:`g3an.data.open_dataset`.
    model
        ``classes`` is filled in from the data where the preset leaves it empty and the data has several.
    resume
        Go on from ``checkpoints/last.pt``, with the same data, which may have moved; ``config.steps`` may be any number
        that is not below the steps done, and what :data:`CHANGEABLE` names (the learning rates, say) may differ: it
        holds from there on, and the card says so.
    device
        ``auto`` takes what accelerate finds, ``cpu`` stays on the processor.
    begin
        A shipped network, or the path of another, whose weights the generator begins with; its configuration must be
        ``model``, but its widths may be half of these. Everything else (judges, codes of people) begins anew, and known
        looks of other people are turned to these data's. The card names it, and all that it began from.
    begin_category
        Where that one is conditional and the data have one class: the category at which its c is held.

    Returns
    -------
    Path
        The card of the averaged generator.

    Raises
    ------
    G3ANError
        Missing data or videos that are too short, weights to begin from that do not fit, a run that cannot go on so, a
        folder that cannot be written, a loss that is NaN or has exploded. The last good checkpoint is kept in each
        case.
    Stopped
        Ctrl-C, after saving.
    """
    folder = Path(run_dir)
    state = _state_once_checked(folder, dataset_name, model, config, resume, device, begin, begin_category)
    run = _Run(folder, dataset_name, root, model, config, _accelerator(config, device), state)
    run.make_networks(begin, begin_category, resume)
    run.learn_readers(progress)
    run.make_encoder()
    if state:
        run.restore(state)
    run.shape_codes()
    run.prepare()
    run.open_books()
    shown = progress and run.accelerator.is_main_process
    bar = tqdm(total=config.steps, initial=run.done, unit="step", disable=not shown, desc=folder.name)
    before = run.seconds()
    pinned = run.accelerator.device.type == "cuda"
    with _Stop() as stop, bar:
        for step, clips in _batches(run.data, config, run.done, run.mine, pinned):
            losses, ratios = run.step(step, clips)
            step += 1  # from here on: the number of finished steps
            now = run.seconds()
            rate, before = config.batch / (now - before), now
            bar.update()
            bar.set_postfix({name: f"{loss:.2f}" for name, loss in losses.items()}, clips=f"{rate:.1f}/s")
            last = step == config.steps
            if step % config.log_every == 0 or last:
                run.note(step, losses, ratios, rate, now)
            if step % config.sample_every == 0 or last:
                run.sample(step, now)
            # A process that was asked to stop stops all of them, at one step and once the state is saved.
            stopping = run.mean(torch.tensor(float(stop.asked), device=run.accelerator.device)).item() > 0
            if step % config.checkpoint_every == 0 or last or stopping:
                run.keep(step)
            if stopping:
                run.accelerator.wait_for_everyone()
                raise Stopped(
                    f"Stopped after step {step}; the state is saved in {run.checkpoints / 'last.pt'}. Go on with "
                    "--resume."
                )
    return run.finish()


# ------------------------------------------------------------------------------------------------
# A run
# ------------------------------------------------------------------------------------------------


def _state_once_checked(
    run: Path, dataset_name: str, model: ModelConfig, config: TrainConfig, resume: bool, device: str,
    begin: str | Path | None, begin_category: str | None,
) -> dict[str, Any] | None:  # fmt: skip
    """The state to go on from, if any, after all checks that cost nothing: faces may have to be drawn for minutes."""
    if run.exists() and not run.is_dir():
        raise G3ANError(f"Cannot write to {run}, which is a file; a run needs a folder of its own.")
    if device not in ("auto", "cpu"):
        raise G3ANError(f"device is {device!r}; it must be 'auto' or 'cpu'.")
    state = _state_to_resume(run, resume, config, dataset_name)
    if begin_category is not None and begin is None and not state:
        raise G3ANError(f"c is to be held at {begin_category!r}, but of what? Name the network to begin from (--from).")
    for name in ("reading", "known_looks"):
        if getattr(config, name) and dataset_name not in SETS:
            raise G3ANError(
                f"{name} is {getattr(config, name):g}; it needs data whose factors are known, {' or '.join(SETS)}, and "
                f"not {dataset_name}."
            )
    with torch.device("meta"):  # it is only asked what it makes
        frames_made = Generator(model, spectral_norm=False).frame_count()
    if config.clip_length != frames_made:
        raise G3ANError(
            f"clip_length is {config.clip_length}; it must be {frames_made}, the frames of a clip that the network "
            f"{model.preset!r} makes."
        )
    if config.following and config.clip_length != TOLD_FRAMES:
        raise G3ANError(f"Courses are followed through clips of {TOLD_FRAMES} frames; the network makes {frames_made}.")
    _require_origin(run, state, begin, begin_category)
    return state


def _accelerator(config: TrainConfig, device: str) -> Accelerator:
    """The devices and processes, among which a batch must be shared evenly."""
    AcceleratorState._reset_state()  # it is one a process, and an earlier run here may have had another precision
    # The vectors of the spectral norms come out alike everywhere, and each process has its own batch statistics.
    separate = DistributedDataParallelKwargs(broadcast_buffers=False)
    accelerator = Accelerator(mixed_precision=config.precision, cpu=device == "cpu", kwargs_handlers=[separate])
    if config.precision == "fp16" and accelerator.device.type == "cpu":
        raise G3ANError("precision is 'fp16', which needs a GPU; train on a processor with 'bf16' or 'no'.")
    # A process's half of clips to give back and its half from drawn codes hold whole fours.
    whole = 8 if config.reconstruction else config.together
    if config.batch % (accelerator.num_processes * whole):
        raise G3ANError(
            f"batch {config.batch} cannot be shared by {accelerator.num_processes} processes evenly; it must be a "
            f"multiple of {accelerator.num_processes * whole}."
        )
    return accelerator


@dataclass
class _Batch:
    """What one process trains on in one step."""

    step: int
    real: Tensor
    c_real: Tensor | None
    z_a: Tensor
    z_m: Tensor
    c: Tensor | None
    frames: Tensor  # of the real and the generated clips, those that D_I sees
    transforms: torch.Generator  # for what is done to clips before they are judged
    first: int  # from this clip on the codes are those of the real clips, which are given back
    index: Tensor | None = None  # of the clips to be given back: the videos that they are from
    told: Tensor | None = None  # their known courses
    mirrored: Tensor | None = None  # which of them were turned round
    looked_at: Tensor | None = None  # two frames of each, whose perceptual maps are compared
    shown: Tensor | None = None  # the frames that are made in a step without judges
    losses: dict[str, Tensor] = field(default_factory=dict)  # as they are logged


class _Run:
    """Networks, optimisers and data of one training, what a step does to them, and what is left in its folder.

    :func:`train` calls the methods in the order in which they stand here; what the first of them draw from the one
    random state, such as the initial weights, depends on it.
    """

    def __init__(
        self, folder: Path, dataset_name: str, root: str | Path | None, model: ModelConfig, config: TrainConfig,
        accelerator: Accelerator, state: dict[str, Any] | None,
    ) -> None:  # fmt: skip
        """Open the data, and see that they are those that the network and the state are for."""
        self.folder, self.checkpoints = folder, folder / "checkpoints"
        self.dataset_name, self.root = dataset_name, root
        self.config, self.accelerator, self.state = config, accelerator, state
        whole = config.split == "all" or (config.split == "auto" and dataset_name not in SETS)
        split: Split = "all" if whole else "train"
        with accelerator.main_process_first():  # simulated faces are drawn at first use, by one process
            self.data = open_dataset(
                dataset_name, root, split=split, length=config.clip_length, steps=config.clip_steps,
                mirror=config.mirror, seed=config.seed, extra_people=config.extra_people,
            )  # fmt: skip
        self.data.require_lengths()
        self.fingerprint = self.data.fingerprint()
        known = self.data.classes
        classes = model.classes or (tuple(known) if len(known) > 1 else ())
        self.model = ModelConfig.from_dict({**model.to_dict(), "classes": classes})
        if classes and set(classes) != set(known):
            raise G3ANError(
                f"The network's categories are {', '.join(classes)}; {dataset_name} has {', '.join(known)}. "
                "Leave the network's out, and they are taken from the data."
            )
        # The network may list the categories in another order than the data does.
        self.place = torch.tensor([classes.index(name) for name in known] if classes else [])
        if state:
            if ModelConfig.from_dict(state["model"]) != self.model:
                raise G3ANError(f"{folder} was trained with another network; resume with the same, or start anew.")
            if state.get("fingerprint", self.fingerprint) != self.fingerprint:  # older checkpoints hold none
                raise G3ANError(
                    f"{folder} was trained with other videos, people or categories than {root or dataset_name} holds; "
                    "resume with the same, or start anew."
                )
        self.done, self.best, self.trained = 0, math.inf, 0.0
        self.changes: list[dict[str, Any]] = state["changes"] if state else []
        self.origins: list[dict[str, Any]] = state["origins"] if state else []

    def make_networks(self, begin: str | Path | None, begin_category: str | None, resume: bool) -> None:
        """The generator and its judges, with their first weights."""
        config, kinds = self.config, len(self.model.classes)
        torch.manual_seed(config.seed)
        self.generator = Generator(self.model)
        if begin is not None and not self.state:
            self.origins = begin_from(self.generator, begin, begin_category, side_of(config.to_dict()))
        elif resume and not self.state and read_json(self.folder / "config.json").get("origins"):
            raise G3ANError(
                f"{self.folder} was stopped before its first checkpoint: name what to begin from again (--from)."
            )
        how = (config.discriminator_init, config.batch_spread)
        self.video_judge = VideoDiscriminator(kinds, config.video_width, *how)
        self.image_judge = ImageDiscriminator(config.image_width, *how)
        self.perception = Perception() if config.perception else None
        self.deep_judge: nn.Module = nn.Module()
        if config.perception:
            self.deep_judge = PerceptualDiscriminator(kinds, pairs=config.together > 1)
        self.optimiser_g = torch.optim.Adam(self.generator.parameters(), config.learning_rate_g, config.betas)
        judges = (self.video_judge, self.image_judge, self.deep_judge)
        weights = [weight for judge in judges for weight in judge.parameters()]
        self.optimiser_d = torch.optim.Adam(weights, config.learning_rate_d, config.betas)
        self.average = MovingAverage(self.generator, config.ema_decay)

    def learn_readers(self, progress: bool) -> None:
        """What reads expressions from clips that are given back, and what follows their courses."""
        config, seed = self.config, self.config.seed + READER
        self.reader: FactorNetwork | None = None
        self.follower: Follower | None = None
        if not config.reading:
            return
        learned = self.folder / "reader.safetensors"
        with self.accelerator.main_process_first():
            if not learned.exists():
                # Another network than the shipped one, which measures what comes out: it learns from other clips.
                learned.parent.mkdir(parents=True, exist_ok=True)
                save_factors(fit_moves((self.dataset_name,), root=self.root, seed=seed, progress=progress), learned)
        self.reader = load_factors(learned).requires_grad_(False)
        if config.following and isinstance(self.data, FaceDataset):
            learned = self.folder / "lids.safetensors"
            with self.accelerator.main_process_first():
                if not learned.exists():
                    save_lids(fit_lids([self.data], seed=seed, progress=progress), learned)
            self.follower = Follower(self.reader, load_lids(learned).requires_grad_(False), self.data)

    def make_encoder(self) -> None:
        """What gives clips their codes, if they are to be given back."""
        config, state = self.config, self.state
        self.encoder: nn.Module = nn.Linear(1, 1)  # an optimiser needs something
        # So many of z_a's first numbers are heard in full; all where nothing was given back at first: none was quieted.
        self.heard = self.model.z_a_dim
        if state and not config.reconstruction:  # a run can end to give back
            self.heard = state.get("z_a_heard", self.heard)
        if config.reconstruction:
            encoder = self.encoder = Encoder(
                self.model, self.data.subjects, looks=config.looks, courses=bool(config.following),
                known=config.known_looks,
            )  # fmt: skip
            of_people = encoder.people.shape[1]
            if not state:
                self.heard = of_people
            else:
                self.heard = state.get("z_a_heard", of_people if "encoder" in state else self.heard)
            if not state or "encoder" not in state:
                filmed = copy(self.data)
                filmed.mirror = False  # what people look like, and where they move, as they were filmed
                encoder.fit(filmed, config.seed)
        self.optimiser_e = torch.optim.Adam(
            [{"params": [weight], "lr": _rate_of(name)} for name, weight in self.encoder.named_parameters()],
            betas=config.betas,
        )

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        for name, part in self._named().items():
            if name in state:  # a run can begin to reconstruct later
                part.load_state_dict(state[name])
        self.average.weights = state["average"]
        self.done, self.best, self.trained = state["step"], state["best"], state["seconds"]
        if state["config"].get("compared_clips", self.config.compared_clips) != self.config.compared_clips:
            self.best = math.inf  # distances to other clips say nothing about it

    def _named(self) -> dict[str, Any]:
        """What a checkpoint holds the states of."""
        gives_back = {"encoder": self.encoder, "optimiser_e": self.optimiser_e} if self.config.reconstruction else {}
        return gives_back | {
            "generator": self.generator, "video": self.video_judge, "image": self.image_judge, "deep": self.deep_judge,
            "optimiser_g": self.optimiser_g, "optimiser_d": self.optimiser_d,
        }  # fmt: skip

    def shape_codes(self) -> None:
        """Which numbers of z_a the generator heeds, and which codes belong to which clip if they are drawn."""
        self.allotment: Allotment | None = None
        self.quiet: AbstractContextManager[None] = nullcontext()
        # Whose codes were pulled already need not learn again where everybody's room is.
        self.pulled = any(origin.get("training", {}).get("allotted") for origin in self.origins)
        config, encoder = self.config, self.encoder
        if not isinstance(encoder, Encoder):
            return
        if config.allotted:
            self.allotment = Allotment(encoder, self.data)
            self.data.often = self.allotment.often
        begins = slice(0, 0 if self.state else None)
        # Weights of an origin that says nothing of its training, such as the authors', are as those of a new generator.
        if self.origins and not self.state and self.origins[-1].get("training"):
            origin = self.origins[-1]
            before = TrainConfig.from_dict(origin["training"])
            learned_from = origin.get("dataset", self.dataset_name)
            # Whose looks were turned, and how: the seed chooses each one's place within a style.
            others = (learned_from, before.extra_people, before.seed, before.split == "all") != (
                self.dataset_name, config.extra_people, config.seed, config.split == "all"
            )  # fmt: skip
            if config.known_looks and before.known_looks and others:
                of: Split = "all" if before.split == "all" else "train"
                theirs = open_dataset(
                    learned_from, self.root, split=of, length=before.clip_length, steps=before.clip_steps,
                    extra_people=before.extra_people,
                )  # fmt: skip
                turn_looks(self.generator, theirs, before.seed, encoder.axes)
            if before.reconstruction:
                # Older cards do not say how many people there were.
                supposed = len(APPEARANCE) if before.known_looks else before.looks
                begins = slice(self.heard, origin.get("z_a_heard", supposed))
        self.quiet = Quiet(self.generator, encoder.gains, begins)
        if not self.state:  # what was turned or quieted is what is averaged
            self.average = MovingAverage(self.generator, config.ema_decay)

    def prepare(self) -> None:
        """Bring everything to the devices, and let the processes act as one."""
        config, accelerator = self.config, self.accelerator
        device = accelerator.device
        if accelerator.num_processes > 1 and device.type == "cuda":  # PyTorch has it for GPUs only
            self.generator = cast(Generator, nn.SyncBatchNorm.convert_sync_batchnorm(self.generator))
        self.generator, self.video_judge, self.image_judge, self.optimiser_g, self.optimiser_d = accelerator.prepare(
            self.generator, self.video_judge, self.image_judge, self.optimiser_g, self.optimiser_d
        )
        if self.reader is not None:
            self.reader.to(device)
        if self.follower is not None:
            self.follower.to(device)
        if self.perception is not None:
            self.perception.to(device)
            self.deep_judge = accelerator.prepare(self.deep_judge)
        if config.reconstruction:
            self.encoder, self.optimiser_e = accelerator.prepare(self.encoder, self.optimiser_e)
        self.bare: Generator = accelerator.unwrap_model(self.generator)
        if config.frozen_norms:
            if not self.state or not self.state["config"].get("frozen_norms"):
                recompute_statistics(self.bare, config.seed, FROZEN_PASSES)
            self.generator.train()
            freeze_norms(self.generator)
        if self.state and accelerator.scaler is not None and "scaler" in self.state:
            accelerator.scaler.load_state_dict(self.state["scaler"])
        self.average.weights = {name: value.to(device) for name, value in self.average.weights.items()}
        judges = (self.video_judge, self.image_judge, self.deep_judge)
        self.bare_judges = tuple(accelerator.unwrap_model(judge) for judge in judges)
        names = [name for name, _ in accelerator.unwrap_model(self.encoder).named_parameters()]
        self.rates = [
            (self.optimiser_g, [config.learning_rate_g]), (self.optimiser_d, [config.learning_rate_d]),
            (self.optimiser_e, [_rate_of(name) for name in names]),
        ]  # fmt: skip
        local = config.batch // accelerator.num_processes
        self.groups = local // 4 if config.together == 4 else 1  # within which batch_spread is measured
        self.mine = slice(accelerator.process_index * local, (accelerator.process_index + 1) * local)

    def open_books(self) -> None:
        """The log, and the real clips that samples are compared with, both the main process's; and the clock."""
        self.log: _Log | None = None
        self.reference: Tensor | None = None
        if self.accelerator.is_main_process:
            self.log = _Log(self.folder, self.done)
            data = self.data
            described = {
                "model": self.model.to_dict(),
                "training": self.config.to_dict(),
                "data": {
                    "name": self.dataset_name, "videos": len(data), "people": len(set(data.subjects)),
                    "split": data.split,
                },
                "origins": self.origins,
            }  # fmt: skip
            write_json(self.folder / "config.json", described)
            self.reference = _reference_clips(data, self.config.compared_clips)
        self.started = time.monotonic() - self.trained

    def seconds(self) -> float:
        """Of training, those before it was resumed included."""
        return time.monotonic() - self.started

    def mean(self, value: Tensor) -> Tensor:
        """Over all processes: what one of them sees, all do, so that none waits for one that has stopped."""
        return self.accelerator.reduce(value.detach(), "mean")  # type: ignore[no-any-return]

    def step(self, step: int, clips: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, float]]:
        """One D and one G step, or only the latter while there are no judges; the losses and ratios to be logged."""
        config = self.config
        for optimiser, rates in self.rates:  # a state brings the rates that it was saved with
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * _heat(config, step)
        batch = self._batch(step, clips)
        ratios: dict[str, float] = {}
        if batch.shown is not None:
            made = self.generator(batch.z_a, batch.z_m, batch.c, frames=batch.shown)
            loss_g = self._given_back(batch, made)
        else:
            fake = self.generator(batch.z_a, batch.z_m, batch.c)
            judged, deep = self._judges_step(batch, fake)
            loss_g = self._loss_by_judges(batch, fake, deep)
            if config.together == 4:
                lacking, ratios = diversity_loss(batch.real[: batch.first], fake[: batch.first])
                loss_g = loss_g + config.diversity * lacking
            if config.reconstruction:
                loss_g = loss_g + self._given_back(batch, fake[batch.first :])
            batch.losses |= judged
        self._generator_step(batch, loss_g)
        return batch.losses, ratios

    def _batch(self, step: int, clips: dict[str, Tensor]) -> _Batch:
        """This process's clips and codes of a step."""
        config, classes, device = self.config, self.model.classes, self.accelerator.device
        real = clips["video"].to(device, non_blocking=True)
        z_a, z_m, c = draw_codes(self.model, config.batch, config.seed, step, device, config.together)
        z_a, z_m, c = z_a[self.mine], z_m[self.mine], None if c is None else c[self.mine]
        c_real = None
        if classes:
            c_real = one_hot(self.place[clips["category"]], len(classes)).float().to(device)
        frames = _frame_choice(config, step)[:, self.mine].to(device)
        transforms = torch.Generator().manual_seed(_mix(config.seed, step, 3, self.accelerator.process_index))
        batch = _Batch(step, real, c_real, z_a, z_m, c, frames, transforms, first=len(real))
        if config.reconstruction:
            self._read(batch, clips)
        return batch

    def _read(self, batch: _Batch, clips: dict[str, Tensor]) -> None:
        """Let half of a batch, or all of it where there are no judges, have the codes of real clips."""
        config, accelerator = self.config, self.accelerator
        alone = batch.step < config.reconstruction_alone
        first = batch.first = 0 if alone else len(batch.real) // 2
        noise = torch.Generator().manual_seed(_mix(config.seed, batch.step, 4, 0))
        share = (accelerator.process_index, accelerator.num_processes)
        index = clips["index"][first:]
        batch.index = index.to(accelerator.device)
        c_read = None if batch.c_real is None else batch.c_real[first:]
        if self.allotment is not None:
            drawn = self.allotment.draw(index, noise, share, batch.step + PULLED_STEPS * self.pulled)
            z_a, z_m, given, batch.mirrored = (part.to(accelerator.device) for part in drawn)
            batch.real = torch.cat([batch.real[:first], given])
        else:
            if self.follower is not None:
                batch.told = clips["courses"][first:].to(accelerator.device)
            z_a, z_m = self.encoder(batch.real[first:], batch.index, c_read, batch.told)
            z_a, z_m = noisy(z_a, z_m, self.model.z_a_dim, noise, share, config.look_noise, config.motion_noise)
        batch.z_a, batch.z_m = torch.cat([batch.z_a[:first], z_a]), torch.cat([batch.z_m[:first], z_m])
        if batch.c is not None and c_read is not None:
            batch.c = torch.cat([batch.c[:first], c_read])
        looked_at = torch.randint(config.clip_length, (share[1], len(index), 2), generator=noise)[share[0]]
        batch.looked_at = looked_at.to(accelerator.device)
        if config.normality:
            batch.losses["normality"] = accelerator.unwrap_model(self.encoder).unlike_normal()
        if alone and config.following:  # which takes frames that are evenly apart
            batch.shown = torch.arange(batch.step % 2, config.clip_length, 2)[:ALONE_FRAMES]
        elif alone:
            batch.shown = torch.randperm(config.clip_length, generator=noise)[:ALONE_FRAMES].sort().values

    def _given_back(self, batch: _Batch, made: Tensor) -> Tensor:
        """The loss of the clips that were ``made`` to give back the real ones."""
        assert batch.index is not None and batch.looked_at is not None and self.perception is not None
        real, told = batch.real[batch.first :], batch.told
        if batch.shown is not None:
            real, told = real[:, :, batch.shown], None if told is None else told[:, :, batch.shown]
        if batch.mirrored is not None:  # both are compared as they were filmed, as the encoder knows people
            turned = batch.mirrored[:, None, None, None, None]
            real, made = (torch.where(turned, videos.flip(4), videos) for videos in (real, made))
        return _lost(
            self.accelerator.unwrap_model(self.encoder), batch.index, batch.looked_at, self.perception, self.reader,
            self.follower, self.config, batch.losses, real, made, told,
        )  # fmt: skip

    def _judges_step(self, batch: _Batch, fake: Tensor) -> tuple[dict[str, Tensor], list[Tensor]]:
        """One D step: its losses, and the perceptual maps of the fakes, through which G's gradients go."""
        config, step, real, transforms = self.config, batch.step, batch.real, batch.transforms
        # D_V and D_I hold no batch statistics, so real and fake share a pass.
        both = torch.cat([real, fake.detach()])
        c_both = None if batch.c is None or batch.c_real is None else torch.cat([batch.c_real, batch.c])
        shown = augment(both, config.augment, transforms)
        v_real, v_fake = self.video_judge(shown, c_both, 2 * self.groups).float().chunk(2)
        stills = augment(_pick(both, batch.frames.flatten(0, 1)), config.augment, transforms)
        i_real, i_fake = self.image_judge(stills, 2 * self.groups).float().chunk(2)
        loss_v = discriminator_loss(v_real, v_fake, config.loss)
        loss_i = discriminator_loss(i_real, i_fake, config.loss)
        losses = {"video": loss_v, "image": loss_i}
        deep: list[Tensor] = []
        loss_d = loss_v + loss_i
        if self.perception is not None:
            with torch.no_grad():
                known = _perceive(self.perception, real, config, step, transforms)
            deep = _perceive(self.perception, fake, config, step, transforms)
            seen = [torch.cat([x, y.detach()]) for x, y in zip(known, deep, strict=True)]
            found = self.deep_judge(seen, len(both), c_both, 2 * self.groups)
            verdicts = [verdict.float().chunk(2) for verdict in found]
            loss_p = torch.stack([discriminator_loss(x, y, config.loss) for x, y in verdicts]).mean()
            losses["perception"] = loss_p
            loss_d = loss_d + config.perception * loss_p
        if config.r1 and step % config.r1_every == 0:
            stills = _pick(real, batch.frames[0])
            flatness = gradient_penalty(self.video_judge, real, batch.c_real)
            flatness = flatness + gradient_penalty(self.image_judge, stills)
            loss_d = loss_d + config.r1_every * config.r1 / 2 * flatness
        _require_sane(self.mean(loss_d), "discriminators", step, self.checkpoints, config)
        self.optimiser_d.zero_grad()
        self.accelerator.backward(loss_d)
        self.optimiser_d.step()
        return losses, deep

    def _loss_by_judges(self, batch: _Batch, fake: Tensor, deep: list[Tensor]) -> Tensor:
        """The generator's loss by the judges, whose own gradients are not needed, through the D step's fakes."""
        config, transforms = self.config, batch.transforms
        video_judge, image_judge, deep_judge = self.bare_judges
        for judge in self.bare_judges:
            judge.requires_grad_(False)
        with self.accelerator.autocast():
            v_fake = video_judge(augment(fake, config.augment, transforms), batch.c, self.groups).float()
            stills = augment(_pick(fake, batch.frames[1]), config.augment, transforms)
            i_fake = image_judge(stills, self.groups).float()
        loss_g = generator_loss(v_fake, config.loss) + generator_loss(i_fake, config.loss)
        if self.perception is not None:
            with self.accelerator.autocast():
                judged = deep_judge(deep, len(fake), batch.c, self.groups)
            deceived = torch.stack([generator_loss(verdict.float(), config.loss) for verdict in judged]).mean()
            loss_g = loss_g + config.perception * deceived
        return loss_g

    def _generator_step(self, batch: _Batch, loss_g: Tensor) -> None:
        """One step of the generator, and of what reads codes from clips."""
        if self.config.normality:
            loss_g = loss_g + self.config.normality * batch.losses["normality"]
        batch.losses["generator"] = loss_g
        _require_sane(self.mean(loss_g), "generator", batch.step, self.checkpoints, self.config)
        self.optimiser_g.zero_grad()
        self.optimiser_e.zero_grad()
        self.accelerator.backward(loss_g)
        with self.quiet:
            self.optimiser_g.step()
        if self.config.reconstruction:
            self.optimiser_e.step()
        for judge in self.bare_judges:
            judge.requires_grad_(True)
        self.average.update(self.bare)

    def note(self, step: int, losses: dict[str, Tensor], ratios: dict[str, float], rate: float, seconds: float) -> None:
        """A line of the log, of means over all processes."""
        values = {**{f"loss_{name}": loss.item() for name, loss in losses.items()}, **ratios}
        means = self.mean(torch.tensor(list(values.values()), device=self.accelerator.device)).tolist()
        times = {"clips_per_second": rate, "clips": step * self.config.batch, "seconds": seconds}
        if self.log:
            self.log.write(step, dict(zip(values, means, strict=True)) | times)

    def sample(self, step: int, seconds: float) -> None:
        """A sheet of samples, the distance to real clips, and the network of the smallest one."""
        if self.log is None:
            return
        self._measure(step)
        self.log.write(step, {"sliced_wasserstein": self.distance})
        if self.distance < self.best:
            self.best = self.distance
            self.keep(step)
            _copy(self.checkpoints / "last.pt", self.checkpoints / "best.pt")
            self._save("best", step, seconds)

    def _measure(self, step: int) -> None:
        config = self.config
        assert self.reference is not None
        self.sampler = self.average.network(
            self.bare, config.seed, config.statistics_passes, frozen=config.frozen_norms
        )
        self.distance = _sample(self.sampler, self.reference, self.folder, step, config.seed)

    def _save(self, name: str, step: int, seconds: float) -> None:
        """The network that was sampled last, and its card."""
        card = {
            "name": self.folder.name,
            "dataset": self.data.name,
            "smoke": self.config.profile == "smoke",
            "steps": step,
            "clips_seen": step * self.config.batch,
            "training_seconds": round(seconds),
            "sliced_wasserstein": round(self.distance, 4),
            "training": self.config.to_dict(),
            "training_changes": self.changes,
            "origins": self.origins,
            "z_a_heard": self.heard,
        }
        save_generator(self.folder / name, self.sampler, card)

    def keep(self, step: int) -> None:
        """A checkpoint to go on from."""
        if not self.accelerator.is_main_process:
            return
        _require_finite(self.bare, step, self.checkpoints)
        content: dict[str, Any] = {}
        for name, part in self._named().items():
            bare = self.accelerator.unwrap_model(part) if isinstance(part, nn.Module) else part
            content[name] = bare.state_dict()
        if self.accelerator.scaler is not None:  # of fp16
            content["scaler"] = self.accelerator.scaler.state_dict()
        content |= {"average": self.average.weights, "step": step, "best": self.best, "seconds": self.seconds()}
        content |= {"model": self.model.to_dict(), "config": self.config.to_dict(), "dataset": self.dataset_name}
        content |= {"changes": self.changes, "origins": self.origins, "fingerprint": self.fingerprint}
        write_state(self.checkpoints / "last.pt", content | {"z_a_heard": self.heard})

    def finish(self) -> Path:
        """The last network's card; a run that was resumed after its last step has it made anew."""
        if self.log:
            self.log.close()
            if self.done >= self.config.steps:
                self._measure(self.config.steps)
            self._save("generator", self.config.steps, self.seconds())
        self.accelerator.wait_for_everyone()
        return self.folder / "generator.json"


# ------------------------------------------------------------------------------------------------
# Parts of a run
# ------------------------------------------------------------------------------------------------


def _mix(*numbers: int) -> int:
    """One seed from several numbers, with none of the patterns that adding them would leave."""
    return int(np.random.SeedSequence([number & 0xFFFFFFFF for number in numbers]).generate_state(1, np.uint64)[0] >> 1)


def _rate_of(name: str) -> float:
    """Learning rate of a weight of the encoder."""
    return PEOPLE_RATE if name == "people" else MOTION_RATE


def _heat(config: TrainConfig, step: int) -> float:
    """The share of the learning rates at a step: 1, then half a cosine down to :data:`COLDEST`."""
    left = (config.steps - step) / config.cooling if config.cooling else 1.0
    return COLDEST + (1 - COLDEST) * (1 - math.cos(math.pi * min(1.0, left))) / 2


class _Told(Dataset[dict[str, Any]]):
    """Clips of simulated faces with their known courses ``(5, T)``, by whoever loads them."""

    def __init__(self, data: FaceDataset, clips: Dataset[Any]) -> None:
        self.data, self.clips = data, clips

    def __getitem__(self, k: int) -> dict[str, Any]:
        clip = self.clips[k]
        return {**clip, "courses": self.data.courses(clip)}


def _batches(
    data: ClipDataset, config: TrainConfig, done: int, mine: slice, pinned: bool = False
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Yield (step, this process's clips) from step ``done`` on, a loader an epoch; ``pinned`` memory is for GPUs."""
    step = done
    while step < config.steps:
        epoch, within = divmod(step, config.steps_per_epoch)
        # Clips to be given back tell most when each is of another person; judges want to compare.
        alone = step < config.reconstruction_alone
        together = 1 if alone else config.together
        clips: Dataset[Any] = data.epoch(epoch, config.steps_per_epoch * config.batch, together)
        if config.following and isinstance(data, FaceDataset):
            clips = _Told(data, clips)
        end = min(config.steps, config.reconstruction_alone) if alone else config.steps
        count = min(config.steps_per_epoch - within, end - step)
        positions = [
            list(range((within + number) * config.batch, (within + number + 1) * config.batch))[mine]
            for number in range(count)
        ]
        for batch in DataLoader(clips, batch_sampler=positions, num_workers=config.workers, pin_memory=pinned):
            yield step, batch
            step += 1


def _frame_choice(config: TrainConfig, step: int) -> Tensor:
    """The frames that D_I sees of each real (row 0) and generated clip (row 1), ``(2, batch, image_frames)``."""
    random = torch.Generator().manual_seed(_mix(config.seed, step, 2))
    return torch.randint(config.clip_length, (2, config.batch, config.image_frames), generator=random)


def _pick(videos: Tensor, frames: Tensor) -> Tensor:
    """k frames of each video: ``(batch, 3, T, H, W)`` and ``(batch, k)`` give ``(batch * k, 3, H, W)``."""
    which = torch.arange(len(videos), device=videos.device)[:, None]
    return videos[which, :, frames % videos.shape[2]].flatten(0, 1)


def _perceive(
    perception: Perception, videos: Tensor, config: TrainConfig, step: int, random: torch.Generator
) -> list[Tensor]:
    """Feature maps of frames evenly apart, from an offset that changes with the step."""
    apart = config.clip_length // config.perception_frames
    first = step % (config.clip_length - (config.perception_frames - 1) * apart)
    shown = videos[:, :, first::apart][:, :, : config.perception_frames]
    frames = augment(shown, config.augment, random).transpose(1, 2).flatten(0, 1)
    with _full_precision(frames):
        return perception(frames.float())


def _full_precision(frames: Tensor) -> torch.autocast:
    """No bf16 on a processor, where the filters of single channels are slower in it; as it was elsewhere."""
    kind = frames.device.type
    return torch.autocast(kind, enabled=kind != "cpu" and torch.is_autocast_enabled(kind))


def _lost(
    encoder: Encoder, index: Tensor, looked_at: Tensor, perception: Perception, reader: FactorNetwork | None,
    follower: Follower | None, config: TrainConfig, losses: dict[str, Tensor], real: Tensor, made: Tensor,
    told: Tensor | None,
) -> Tensor:  # fmt: skip
    """The loss of giving clips back: pixels, perceptual maps, what a reader sees; its parts go into ``losses``."""
    losses["pixels"] = encoder.lost(real, made, index)
    x, y = (_pick(clips, looked_at).float() for clips in (real, made))
    with _full_precision(made):
        with torch.no_grad():
            known = perception(x[::2]), perception(encoder.near(x))
        whole, near = likeness(known[0], perception(y[::2])), likeness(known[1], perception(encoder.near(y)))
    losses["maps"] = (whole + 2 * near) / 3
    lost = losses["pixels"] + LIKENESS * losses["maps"]
    for name, compare in (("flicker", flicker), ("movement", movement)):
        if weight := getattr(config, name):
            losses[name] = compare(real, made)
            lost = lost + weight * losses[name]
    if reader is not None:
        every = slice(None, None, real.shape[2] // READ_FRAMES)
        some = made[:, :, every].float()
        with torch.no_grad():
            seen = reader.seen(real[:, :, every])
        found = reader.seen(some)
        losses["reading"] = seen.unlike(found)
        lost = lost + config.reading * losses["reading"]
        if follower is not None and told is not None:
            losses["courses"] = follower.lost(seen, found, some, told[:, :, every])
            lost = lost + config.following * losses["courses"]
    return config.reconstruction * lost


def _largest_loss(config: TrainConfig, whose: str) -> float:
    """What no loss exceeds of a training that can still succeed: the more, the more its parts weigh."""
    if whose == "generator":
        given_back = 1 + LIKENESS + config.flicker + config.movement + config.reading + config.following
        others = config.diversity + config.reconstruction * given_back + config.normality
    else:
        others = config.r1_every * config.r1 / 2
    return max(LARGEST_LOSS, LARGEST_PART * (2 + config.perception + others))


def _require_sane(loss: Tensor, whose: str, step: int, checkpoints: Path, config: TrainConfig) -> None:
    value = loss.item()
    if not math.isfinite(value) or abs(value) > _largest_loss(config, whose):
        raise G3ANError(
            f"The loss of the {whose} is {value:.3g} at step {step}: training has failed. {_way_on(checkpoints)}"
        )


def _require_finite(network: nn.Module, step: int, checkpoints: Path) -> None:
    """A checkpoint with NaN weights must never replace a good one."""
    for name, value in network.state_dict().items():
        if not torch.isfinite(value).all():
            raise G3ANError(f"{name} holds NaN or infinity at step {step} and was not saved. {_way_on(checkpoints)}")


def _way_on(checkpoints: Path) -> str:
    """What to do after a failure."""
    last = checkpoints / "last.pt"
    if not last.exists():
        return "No state was saved before; begin anew with a smaller learning rate or another seed."
    return (
        f"The last good state is in {last}; go on from it with --resume and a smaller learning rate, or begin anew "
        "with another seed."
    )


def _require_origin(
    run: Path, state: dict[str, Any] | None, begin: str | Path | None, begin_category: str | None
) -> None:
    """See that what to begin from can be loaded, and that a run that goes on did begin from it."""
    given = None if begin is None else load_generator(begin).weights_hash
    if not state:
        return
    origin = state["origins"][-1] if state["origins"] else {}
    if given not in (None, origin.get("weights_hash")) or begin_category not in (None, origin.get("category")):
        what = f"{begin}" if begin_category is None else f"{begin or 'that network'} at {begin_category!r}"
        raise G3ANError(
            f"{run} did not begin from {what}, and goes on from its own state; leave that out, or name another folder."
        )


def _state_to_resume(run: Path, resume: bool, config: TrainConfig, dataset_name: str) -> dict[str, Any] | None:
    last = run / "checkpoints" / "last.pt"
    if not resume:
        if last.exists():
            raise G3ANError(f"{run} already holds a run: go on with --resume, or name another folder.")
        return None
    if not last.exists():
        # A run killed before its first checkpoint resumes from nothing, which gives the same weights.
        if (run / "config.json").exists():
            return None
        raise G3ANError(f"There is nothing to resume in {run}: it holds no run.")
    state = cast(dict[str, Any], read_state(last))
    if state["dataset"] != dataset_name:
        raise G3ANError(
            f"{run} was trained on {state['dataset']} and not on {dataset_name}; resume with the same, or start anew."
        )
    before, now = TrainConfig.from_dict(state["config"]).to_dict(), config.to_dict()
    # How far off the last step is decides when the rates begin to fall.
    heeded = {"steps"} if before["cooling"] or now["cooling"] else set()
    changed = {
        name: {"from": before[name], "to": value}
        for name, value in now.items()
        if value != before[name] and (name not in WITHOUT_EFFECT or name in heeded)
    }
    # With courses followed or without, other networks learn; how much they count leaves them alone.
    weighed = {"following"} if before["following"] and now["following"] else set()
    fixed = [name for name in changed if name not in CHANGEABLE | heeded | weighed]
    if fixed:
        raise G3ANError(f"{run} was trained with another {', '.join(fixed)}; resume with the same, or start anew.")
    if config.steps < state["step"]:
        raise G3ANError(
            f"{run} has trained {state['step']} steps, more than {config.steps}; resume with at least as many."
        )
    state.setdefault("changes", [])  # these came later than the first runs
    state.setdefault("deep", {})
    state.setdefault("origins", [])
    if changed:
        state["changes"].append({"after_step": state["step"], "settings": changed})
    return state


@torch.no_grad()
def _sample(generator: Generator, reference: Tensor, run: Path, step: int, seed: int) -> float:
    """Write a sheet of fixed codes and return the distance to the reference clips."""
    z_a, z_m, c = draw_codes(generator.config, len(reference), seed, 0, next(generator.parameters()).device)
    if c is not None:
        # Rows run through the categories, two people each, so that sheets can be compared at a glance.
        c = one_hot(torch.arange(len(z_a)) % c.shape[1], c.shape[1]).to(c)
    parts = [slice(first, first + 16) for first in range(0, len(z_a), 16)]
    clips = torch.cat([generator(z_a[part], z_m[part], None if c is None else c[part]).cpu() for part in parts])
    rows = clips[:SHOWN_ROWS].clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 3, 2, 4, 1)
    sheet = rows.reshape(SHOWN_ROWS * rows.shape[1], -1, 3).numpy()
    with atomic_write(run / "samples" / f"step{step:06d}.png") as temporary:
        Image.fromarray(sheet).save(temporary)
    return sliced_wasserstein(clips, reference)


def _reference_clips(data: ClipDataset, count: int) -> Tensor:
    """Real clips to compare with: those of the run's seed, drawn as it draws clips to learn from."""
    clips = data.epoch(2**30, count)
    return torch.stack([clips[number]["video"] for number in range(count)])


def _copy(source: Path, destination: Path) -> None:
    with atomic_write(destination) as temporary:
        temporary.write_bytes(source.read_bytes())


class _Log:
    """JSON lines and TensorBoard; on resume, what a killed run logged beyond its checkpoint is dropped."""

    def __init__(self, run: Path, done: int) -> None:
        self.path = run / "log.jsonl"
        kept = []
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    record = json.loads(line)
                except ValueError:  # the line that a killed run was writing
                    continue
                if record["step"] <= done:
                    kept.append(line)
        with atomic_write(self.path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self.curves = SummaryWriter(str(run / "tensorboard"), purge_step=done + 1)

    def write(self, step: int, values: dict[str, float]) -> None:
        try:
            with open(self.path, "a", encoding="utf-8") as stream:
                stream.write(json.dumps({"step": step, **{k: round(v, 6) for k, v in values.items()}}) + "\n")
        except OSError as error:
            raise G3ANError(f"Cannot write {self.path}: {error.strerror}. Then go on with --resume.") from error
        for name, value in values.items():
            self.curves.add_scalar(name, value, step)

    def close(self) -> None:
        self.curves.close()


class _Stop:
    """Turns Ctrl-C and SIGTERM into a flag that the loop reads between steps; a second one interrupts at once."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> _Stop:
        self.before = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self._ask)
        except ValueError:  # not in the main thread, where signals do not arrive anyway
            pass
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
