"""What a network is made of and how it is trained: two frozen dataclasses and their presets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from g3an.errors import G3ANError


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a G3AN generator.

    Attributes
    ----------
    preset
        Name of the preset the configuration started from.
    classes
        Names of the motion categories, in the order of the one-hot vector c. Empty: unconditional.
    z_a_dim, z_m_dim
        Widths of the appearance code z_a and of the motion code z_m (128 and 10 in the released code).
    widths
        Channels of each stream in the modules G3_0 … G3_4. G_V holds twice as many after a module,
        because the appearance stream is concatenated to it: that number is column C of Table 1.
    first_temporal_kernel
        Temporal kernel of G3_0, hence its T for a z_m with one temporal position.
    temporal_doubling
        Whether G3_1 … G3_4 double T (kernel 4, stride 2, padding 1) or keep it (kernel 1).
    conv_mode
        How G_V convolves: ``1p2d`` temporal then spatial, ``2p1d`` spatial then temporal, ``3d`` both at once.
    attention_after
        Modules after which F-SA stands; 3 is after G3_3, at 32×32×16.
    attention_parts
        ``("T", "S")`` for F-SA; ``("T",)`` or ``("S",)`` for an ablation.
    streams
        ``("S", "T")``: G_S and G_T stand beside G_V. An ablation leaves one out or both; the codes still begin G_V.
    attention_layout
        ``paper`` follows eqs. 1 to 4; ``released`` repeats the reshape of the authors' released code, and
        exists only so that their weights give their videos.
    """

    preset: str
    classes: tuple[str, ...] = ()
    z_a_dim: int = 128
    z_m_dim: int = 10
    widths: tuple[int, ...] = (512, 256, 128, 64, 32)
    first_temporal_kernel: int = 2
    temporal_doubling: tuple[bool, ...] = (True, True, True, False)
    conv_mode: str = "1p2d"
    attention_after: tuple[int, ...] = (3,)
    attention_parts: tuple[str, ...] = ("T", "S")
    streams: tuple[str, ...] = ("S", "T")
    attention_layout: str = "paper"

    def __post_init__(self) -> None:
        if self.conv_mode not in CONV_MODES:
            raise G3ANError(f"conv_mode is {self.conv_mode!r}; it must be one of {', '.join(CONV_MODES)}.")
        if len(self.widths) != 5 or len(self.temporal_doubling) != 4:
            raise G3ANError("A generator has five modules: give five widths and four temporal_doubling flags.")
        if min(self.widths) < 1:
            raise G3ANError(f"widths is {self.widths}; each must be at least 1.")
        for name in ("z_a_dim", "z_m_dim", "first_temporal_kernel"):
            if getattr(self, name) < 1:
                raise G3ANError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if len(set(self.classes)) < len(self.classes):
            twice = next(name for name in self.classes if self.classes.count(name) > 1)
            raise G3ANError(f"classes names {twice!r} more than once; each category has one number.")
        if not set(self.attention_after) <= set(range(5)):
            raise G3ANError(f"attention_after is {self.attention_after}; modules are numbered 0 to 4.")
        if len(set(self.attention_after)) < len(self.attention_after):
            raise G3ANError(f"attention_after is {self.attention_after}; F-SA stands only once after a module.")
        if self.attention_layout not in ("paper", "released"):
            raise G3ANError(f"attention_layout is {self.attention_layout!r}; it must be 'paper' or 'released'.")
        if not self.attention_parts or not set(self.attention_parts) <= {"T", "S"}:
            raise G3ANError(f"attention_parts is {self.attention_parts}; it holds 'T', 'S' or both.")
        if not set(self.streams) <= {"S", "T"} or len(set(self.streams)) < len(self.streams):
            raise G3ANError(f"streams is {self.streams}; it holds 'S', 'T', both or none.")

    @classmethod
    def from_preset(cls, preset: str, **overrides: Any) -> ModelConfig:
        """Start from ``appendix``, ``official`` or ``small`` and change single fields.

        Raises
        ------
        G3ANError
            Unknown preset or unknown field.
        """
        return _from_table(cls, "preset", MODEL_PRESETS, preset, overrides)

    @property
    def conditional(self) -> bool:
        """Whether the network takes a category."""
        return bool(self.classes)

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """The inverse of :meth:`to_dict`."""
        return cls(**_checked(cls, values))


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained; defaults are those of the released code where it has one.

    Attributes
    ----------
    steps, batch
        Number of optimiser steps (one D and one G step each) and clips per step over all processes.
    steps_per_epoch
        Steps after which a new epoch of the data begins; randomness of clips derives from (seed, epoch, index).
    loss
        ``bce`` (non-saturating, with logits) or ``hinge``.
    learning_rate_g, learning_rate_d, betas
        Adam.
    cooling
        Steps before the last over which all learning rates fall, along half a cosine, to a hundredth.
    ema_decay
        Decay of the exponential moving average of the generator's raw weights.
    video_width, image_width
        Channels after the first layer of D_V and D_I (64 in the released code).
    image_frames
        Frames of each clip that D_I sees in a step (1 in the released code).
    discriminator_init
        ``normal``, N(0, 0.02) as in the released code, or ``orthogonal``, which lets D_V begin to learn at once.
    batch_spread
        Whether the discriminators also see how far the samples of a batch lie apart, against a generator that makes
        one person only.
    together
        How many clips of a batch belong together: 1, each is drawn by itself; 2, pairs of one category and one person
        (generated: one z_a, two z_m), which the perceptual judge also sees side by side; 4, two such pairs of one
        category (generated: two z_a, each with the same two z_m), within which ``batch_spread`` and ``diversity`` are
        measured.
    diversity
        Weight of a loss against clips of one category that lie closer together than real ones, and against people
        who change with z_m: see :func:`g3an.perception.diversity_loss`. It needs ``together`` 4.
    perception, perception_frames
        Weight of the perceptual judge's losses (0: none, as in the released code), and how many frames of each clip,
        evenly apart, it sees. See :mod:`g3an.perception`.
    reconstruction, reconstruction_alone
        Weight of giving back real clips from codes of their own (0, as in the paper: none); the first so many steps
        train with nothing else, and later ones make half of each batch from such codes. See
        :mod:`g3an.reconstruction`. It needs ``together`` 4, the perceptual judge and no mirroring, unless
        ``allotted`` and without judges to the end.
    reading
        Weight of what a reader of expressions sees in clips that are given back and not in the real ones; for simulated
        faces, whose factors it learns first. See :meth:`g3an.evaluation.factors.Seen.unlike`.
    following
        Weight of how far a clip that is given back is from the courses of the real one: how strong the expression is,
        how the head turns and whether the lids close, frame by frame, as that reader and one of lids see it. z_m is
        then read from the known courses of the real clip, too. It needs ``reading``; see :mod:`g3an.following`.
    looks, look_noise
        Into how many numbers of z_a people's looks go, where clips are given back; and the standard deviation of the
        noise that is added to these in training. Fewer numbers leave the people closer together: a draw from N(0, 1)
        is then more like somebody, and less a blend.
    motion_noise
        Standard deviation of the noise that is added to z_m of clips that are given back.
    known_looks
        Whether z_a of simulated people is not learned but is the factors that they were drawn from, turned so that
        the first numbers change most: a draw from N(0, 1) is then somebody of the same kind, and no blend. See
        :func:`g3an.reconstruction.known_looks`.
    normality
        Weight of how far the motion codes that are read from clips are from N(0, 1), of which draws are: see
        :meth:`g3an.reconstruction.Encoder.unlike_normal`.
    flicker
        Weight of how far clips that are given back change otherwise from frame to frame than the real ones: see
        :func:`g3an.reconstruction.flicker`.
    movement
        Weight of how far more or less moves, place by place, in clips that are given back than in the real ones: see
        :func:`g3an.reconstruction.movement`.
    frozen_norms
        Whether the generator's batch norms keep their statistics, from the step at which this is set, instead of taking
        those of each batch. The mean of eight clips is off by some third of the spread over all, so from batch to
        batch a norm changes what a code means; without that noise the generator can learn finer things. The network's
        own statistics are then those that it learned with, and are not estimated anew when it is saved.
    allotted
        Whether codes are not read from clips but drawn from N(0, 1), each draw giving back the clip that falls to it.
        For sets of few people, between whose codes there is much room: see :mod:`g3an.allotment`. With ``mirror`` a
        number of z_m says which clips are mirrored.
    augment
        What is done to real and generated clips alike before they are judged, of :data:`AUGMENTATIONS`; empty, as in
        the released code, does nothing. For sets of few clips.
    r1, r1_every
        Weight of the gradient penalty on real clips (0, as in the released code: none), and the steps from one to the
        next; the weight is multiplied by the latter.
    extra_people
        Of a simulated set, so many more people than it has, drawn likewise, with one clip each: a network that has met
        few people blurs those between them. Nothing is measured on these.
    split
        Whose videos: ``all``, ``train`` (without the fifth of the people kept for tests), or ``auto``, which is
        ``train`` for the simulated sets, whose test people everything is measured on, and ``all`` for others.
    clip_length, clip_steps, mirror
        Frames a clip, frame steps to draw from, and whether clips are mirrored at random.
    precision
        ``no``, ``bf16`` or ``fp16``, as accelerate names them.
    workers
        Data loader processes; 0 reads in the training process.
    log_every, checkpoint_every, sample_every
        In steps. Samples also measure the sliced Wasserstein distance that decides which checkpoint is best.
    compared_clips, statistics_passes
        Clips in that distance (a multiple of 16), and training-mode passes of 16 clips from which the averaged
        generator's batch-norm statistics are recomputed.
    """

    profile: str
    steps: int
    batch: int
    steps_per_epoch: int = 100
    loss: str = "bce"
    learning_rate_g: float = 2e-4
    learning_rate_d: float = 2e-4
    betas: tuple[float, float] = (0.5, 0.999)
    cooling: int = 0
    ema_decay: float = 0.999
    video_width: int = 64
    image_width: int = 64
    image_frames: int = 1
    discriminator_init: str = "normal"
    batch_spread: bool = False
    together: int = 1
    diversity: float = 0.0
    perception: float = 0.0
    perception_frames: int = 8
    reconstruction: float = 0.0
    reconstruction_alone: int = 0
    reading: float = 0.0
    following: float = 0.0
    looks: int = 64
    look_noise: float = 0.1
    motion_noise: float = 0.1
    known_looks: bool = False
    normality: float = 0.0
    flicker: float = 0.0
    movement: float = 0.0
    frozen_norms: bool = False
    allotted: bool = False
    augment: tuple[str, ...] = ()
    r1: float = 0.0
    r1_every: int = 8
    extra_people: int = 0
    split: str = "auto"
    clip_length: int = 16
    clip_steps: tuple[int, ...] = (2,)
    mirror: bool = True
    precision: str = "no"
    workers: int = 0
    log_every: int = 10
    checkpoint_every: int = 200
    sample_every: int = 500
    compared_clips: int = 64
    statistics_passes: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in ("bce", "hinge"):
            raise G3ANError(f"loss is {self.loss!r}; it must be 'bce' or 'hinge'.")
        if self.discriminator_init not in ("normal", "orthogonal"):
            raise G3ANError(f"discriminator_init is {self.discriminator_init!r}; it must be 'normal' or 'orthogonal'.")
        unknown = [name for name in self.augment if name not in AUGMENTATIONS]
        if unknown:
            raise G3ANError(f"augment names {unknown[0]!r}; it must be of {', '.join(AUGMENTATIONS)}.")
        if self.split not in ("auto", "all", "train"):
            raise G3ANError(f"split is {self.split!r}; it must be 'auto', 'all' or 'train'.")
        if self.precision not in ("no", "bf16", "fp16"):
            raise G3ANError(f"precision is {self.precision!r}; it must be 'no', 'bf16' or 'fp16'.")
        for name in ("steps", "batch", "steps_per_epoch", "log_every", "checkpoint_every", "sample_every",
                     "statistics_passes", "image_frames", "r1_every", "video_width", "image_width"):  # fmt: skip
            if getattr(self, name) < 1:
                raise G3ANError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        for name in NEVER_NEGATIVE:
            if not 0 <= getattr(self, name) < math.inf:  # nor NaN
                raise G3ANError(f"{name} is {getattr(self, name):g}; it must be a finite number of at least 0.")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise G3ANError(f"betas is {list(self.betas)}; they are two numbers from 0 to below 1.")
        if not 0 <= self.ema_decay < 1:
            raise G3ANError(f"ema_decay is {self.ema_decay:g}; it must be from 0 to below 1.")
        if not self.clip_steps or min(self.clip_steps) < 1:
            raise G3ANError(f"clip_steps is {list(self.clip_steps)}; it holds frame steps of 1 or more.")
        if self.batch < 2:
            raise G3ANError("batch is 1; batch normalisation needs at least 2 clips a step.")
        if self.compared_clips < 16 or self.compared_clips % 16:
            raise G3ANError(f"compared_clips is {self.compared_clips}; it must be a multiple of 16.")
        if self.together not in (1, 2, 4) or self.batch % self.together:
            raise G3ANError(f"together is {self.together} and batch {self.batch}; give 1, 2 or 4, and whole groups.")
        if self.diversity and self.together != 4:
            raise G3ANError(f"diversity is {self.diversity:g}; it needs together 4.")
        if self.reconstruction:
            lacking = [
                need
                for need, met in (
                    (f"together 4 (it is {self.together})", self.together == 4),
                    (f"a batch of a multiple of 8 (it is {self.batch})", self.batch % 8 == 0),
                    ("perception above 0", self.perception > 0),
                    (
                        "mirror false, unless allotted and reconstruction_alone at least steps, for judges compare "
                        "clips of one side",
                        not self.mirror or (self.allotted and self.reconstruction_alone >= self.steps),
                    ),
                )
                if not met
            ]
            if lacking:
                raise G3ANError(f"reconstruction is {self.reconstruction:g}; it needs {' and '.join(lacking)}.")
        if self.reconstruction_alone and not self.reconstruction:
            raise G3ANError(f"reconstruction_alone is {self.reconstruction_alone}; it needs reconstruction above 0.")
        for name in ("reading", "flicker", "movement"):
            if getattr(self, name) and not self.reconstruction:
                raise G3ANError(f"{name} is {getattr(self, name):g}; it needs reconstruction above 0.")
        if self.following and not self.reading:
            raise G3ANError(f"following is {self.following:g}; it needs reading above 0.")
        if self.looks < 1:
            raise G3ANError(f"looks is {self.looks}; it must be at least 1.")
        for name in ("known_looks", "normality"):
            if getattr(self, name) and not (self.reconstruction and not self.allotted):
                raise G3ANError(f"{name} needs reconstruction above 0, and not allotted: it is about codes of clips.")
        if self.allotted and (not self.reconstruction or self.following):
            raise G3ANError("allotted needs reconstruction above 0, and no following: no codes are read from clips.")
        if self.perception and not 8 <= self.perception_frames <= self.clip_length:
            raise G3ANError(f"perception_frames is {self.perception_frames}; it must be from 8 to {self.clip_length}.")
        if self.clip_length < 16:
            raise G3ANError(f"clip_length is {self.clip_length}; the video discriminator needs at least 16 frames.")

    @classmethod
    def from_profile(cls, profile: str, **overrides: Any) -> TrainConfig:
        """Start from ``smoke``, ``ablation``, ``small``, ``faces`` or ``paper`` and change single fields.

        Raises
        ------
        G3ANError
            Unknown profile or unknown field.
        """
        return _from_table(cls, "profile", TRAIN_PROFILES, profile, overrides)

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """The inverse of :meth:`to_dict`."""
        return cls(**_checked(cls, values))


def number_of_side(steps: Sequence[int]) -> int:
    """The number of z_m, from 0, that says whether a clip is mirrored: the one after when and, if it varies, how fast.

    Parameters
    ----------
    steps
        Frame steps of the clips.
    """
    return 2 + (len(steps) > 1)


def side_of(training: Mapping[str, Any]) -> int | None:
    """The number of z_m that says on which side somebody moves, in a network of this training; None: none does.

    Parameters
    ----------
    training
        Settings by name, as a card keeps them. See :mod:`g3an.allotment`.
    """
    if not (training.get("allotted") and training.get("mirror")):
        return None
    return number_of_side(training.get("clip_steps", ()))


CONV_MODES = ("1p2d", "2p1d", "3d")

AUGMENTATIONS = ("colour", "translation", "cutout")

NEVER_NEGATIVE = ("learning_rate_g", "learning_rate_d", "cooling", "diversity", "perception", "reconstruction",
                  "reconstruction_alone", "reading", "following", "look_noise", "motion_noise", "normality", "flicker",
                  "movement", "extra_people", "r1", "workers", "seed")  # fmt: skip
"""Settings that may be 0: weights of losses, learning rates (which then hold still), counts."""

MODEL_PRESETS = {
    # Table 1: C = 1024, 512, 256, 128, 64 and T = 2, 4, 8, 16, 16 in G_V.
    "appendix": ModelConfig("appendix"),
    # The released code: T = 4, 8, 16, 16, 16; streams of 512, 512, 256, 128, 64; F-SA off unless asked for.
    "official": ModelConfig(
        "official",
        widths=(512, 512, 256, 128, 64),
        first_temporal_kernel=4,
        temporal_doubling=(True, True, False, False),
        attention_after=(),
    ),
    # Half the widths of Table 1, for a CPU.
    "small": ModelConfig("small", widths=(256, 128, 64, 32, 16)),
}

TRAIN_PROFILES = {
    "smoke": TrainConfig(
        "smoke", steps=20, batch=4, steps_per_epoch=10, video_width=8, image_width=8, ema_decay=0.9,
        log_every=1, checkpoint_every=10, sample_every=20, compared_clips=16, statistics_passes=2,
    ),
    # As "faces", for minutes: too short for judges, whose generators would all still show nothing.
    "ablation": TrainConfig(
        "ablation", steps=300, batch=16, learning_rate_g=4e-4, betas=(0.5, 0.99), ema_decay=0.98, video_width=8,
        image_width=8, together=4, perception=1.0, reconstruction=10.0, reconstruction_alone=8000, clip_steps=(1,),
        mirror=False, precision="bf16", log_every=25,
    ),
    "small": TrainConfig(
        "small", steps=2500, batch=16, video_width=32, image_width=24, image_frames=2, ema_decay=0.998,
        discriminator_init="orthogonal", batch_spread=True, together=4, diversity=4.0, perception=1.0,
        augment=("translation",), r1=1.0,
    ),
    # People whose clips are given back, without judges: what a CPU can learn of simulated faces in some hours.
    "faces": TrainConfig(
        "faces", steps=8000, batch=16, learning_rate_g=4e-4, betas=(0.5, 0.99), ema_decay=0.995, video_width=8,
        image_width=8, together=4, perception=1.0, reconstruction=10.0, reconstruction_alone=8000, reading=0.25,
        clip_steps=(1,), mirror=False, precision="bf16", log_every=25, checkpoint_every=100,
    ),
    "paper": TrainConfig("paper", steps=50_000, batch=96, precision="bf16", workers=8, sample_every=1000),
}  # fmt: skip


def _from_table(cls: Any, kind: str, table: dict[str, Any], name: str, overrides: dict[str, Any]) -> Any:
    if name not in table:
        raise G3ANError(f"There is no {kind} {name!r}; choose one of {', '.join(table)}.")
    return replace(table[name], **_checked(cls, overrides))


def _checked(cls: Any, values: dict[str, Any]) -> dict[str, Any]:
    known = {field.name for field in fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise G3ANError(f"{cls.__name__} has no field {', '.join(unknown)}; it has {', '.join(sorted(known))}.")
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    for field in fields(cls):
        if field.name in plain and not _of_kind(plain[field.name], field.type):
            raise G3ANError(f"{cls.__name__}: {field.name} is {plain[field.name]!r}; it must be {field.type}.")
    return plain


def _of_kind(value: Any, kind: Any) -> bool:
    """Whether a value is what an annotation of this module says: ``int``, ``tuple[str, ...]``."""
    if str(kind).startswith("tuple["):
        return isinstance(value, tuple) and all(_of_kind(one, kind[6:].split(",")[0]) for one in value)
    if kind == "bool" or isinstance(value, bool):
        return kind == "bool" and isinstance(value, bool)
    kinds: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}
    return isinstance(value, kinds[kind])
