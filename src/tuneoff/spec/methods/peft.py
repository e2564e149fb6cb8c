"""Any method of the library PEFT, by its own config, and those of them that have names here."""

import json
from abc import abstractmethod
from typing import ClassVar, Literal, Self

from pydantic import JsonValue, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator

from tuneoff.errors import shown
from tuneoff.spec.base import Fraction, Size
from tuneoff.spec.methods.base import TunedSpec
from tuneoff.spec.methods.lora import Targets, layers_in_words

PeftConfig = dict[str, JsonValue]
"""`peft_type` and fields of PEFT's config of that type; the others have PEFT's defaults."""


class PeftKind(TunedSpec):
    """A method that PEFT puts on the model."""

    implementation: ClassVar[str] = "tuneoff.methods.peft"

    @abstractmethod
    def peft_config(self) -> PeftConfig:
        """Return the config, without the modules that it changes where these are those of `targets`."""


class PeftSpec(PeftKind):
    """A method of PEFT by its own config, which is checked once the model is known."""

    source: ClassVar[str] = (
        "Mangrulkar et al. 2022, PEFT: state-of-the-art parameter-efficient fine-tuning methods, "
        "github.com/huggingface/peft"
    )

    kind: Literal["peft"]
    learning_rate: PositiveFloat = 1e-3
    config: PeftConfig
    """`peft_type` and the fields of PEFT's config class of that type. Target modules that are left out are
    PEFT's for the model, or where it has none, those that LoRA has here."""

    @field_validator("config")
    @classmethod
    def _has_a_type(cls, config: PeftConfig) -> PeftConfig:
        if not isinstance(config.get("peft_type"), str):
            raise ValueError(
                f"peft_type must name a type of PEFT, as in {{peft_type: LOHA, r: 8}}, but got "
                f"{shown(config)}"
            )
        return config

    def peft_config(self) -> PeftConfig:  # noqa: D102
        return self.config

    def in_words(self) -> str:  # noqa: D102
        settings = ", ".join(
            f"{name} {_in_words(value)}" for name, value in self.config.items() if name != "peft_type"
        )
        return f"trains what PEFT's {self.config['peft_type']} adds{f' ({settings})' if settings else ''}"

    def __hash__(self) -> int:
        """Return a hash of all settings; a dict has none of its own."""
        return hash(json.dumps(self.model_dump(mode="json"), sort_keys=True))


def _in_words(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class _LowRankSpec(PeftKind):
    """A variant of LoRA, with LoRA's settings."""

    rank: Size = 8
    """Of each update; what is stored grows with it."""
    alpha: PositiveFloat = 16
    """Decides with the rank by how much an update is multiplied."""
    dropout: Fraction = 0.0
    """Of what the update reads, in training."""
    targets: Targets | None = None
    """As those of LoRA."""

    def _lora_config(self, **own: JsonValue) -> PeftConfig:
        return {
            "peft_type": "LORA",
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            **own,
        }

    def _size_in_words(self) -> str:
        dropout = f" and dropout {self.dropout:g}" if self.dropout else ""
        return f"rank {self.rank} (alpha {self.alpha:g}{dropout})"


class DoraSpec(_LowRankSpec):
    """LoRA on the direction of each column of a weight, with its length trained apart (Liu et al. 2024)."""

    source: ClassVar[str] = "Liu et al. 2024, DoRA: weight-decomposed low-rank adaptation, arXiv:2402.09353"

    kind: Literal["dora"]
    learning_rate: PositiveFloat = 2e-4

    def peft_config(self) -> PeftConfig:  # noqa: D102
        return self._lora_config(use_dora=True)

    def in_words(self) -> str:  # noqa: D102
        return (
            f"adds low-rank updates of {self._size_in_words()} to the direction of "
            f"{layers_in_words(self.targets)}, and trains the magnitude apart"
        )


class RsloraSpec(_LowRankSpec):
    """LoRA scaled by alpha / sqrt(rank) in place of alpha / rank (Kalajdzievski 2023)."""

    source: ClassVar[str] = (
        "Kalajdzievski 2023, A rank stabilization scaling factor for fine-tuning with LoRA, arXiv:2312.03732"
    )

    kind: Literal["rslora"]
    learning_rate: PositiveFloat = 1e-3

    def peft_config(self) -> PeftConfig:  # noqa: D102
        return self._lora_config(use_rslora=True)

    def in_words(self) -> str:  # noqa: D102
        return (
            f"adds low-rank updates of {self._size_in_words()}, scaled by alpha through the root of the "
            f"rank, to {layers_in_words(self.targets)}"
        )


class PissaSpec(_LowRankSpec):
    """LoRA that starts from the largest singular values of each weight (Meng et al. 2024)."""

    source: ClassVar[str] = (
        "Meng et al. 2024, PiSSA: principal singular values and singular vectors adaptation of large "
        "language models, arXiv:2404.02948"
    )

    kind: Literal["pissa"]
    learning_rate: PositiveFloat = 2e-5
    alpha: PositiveFloat = 8
    iterations: PositiveInt | None = 16
    """Of the randomized singular value decomposition; null computes it exactly."""

    def peft_config(self) -> PeftConfig:  # noqa: D102
        start = "pissa" if self.iterations is None else f"pissa_niter_{self.iterations}"
        return self._lora_config(init_lora_weights=start)

    def in_words(self) -> str:  # noqa: D102
        return (
            f"trains the part of {self._size_in_words()} with the largest singular values of the weights of "
            f"{layers_in_words(self.targets)}"
        )


class AdaloraSpec(PeftKind):
    """Low-rank updates whose ranks are chosen while training (Zhang et al. 2023).

    Every update is P diag(E) Q. From the initial rank on, those triplets are dropped that matter least for
    the loss, until the target rank is left on average. The shares are of the steps of a run.
    """

    source: ClassVar[str] = (
        "Zhang et al. 2023, AdaLoRA: adaptive budget allocation for parameter-efficient fine-tuning, "
        "arXiv:2303.10512"
    )

    kind: Literal["adalora"]
    learning_rate: PositiveFloat = 1e-3
    rank: Size = 8
    """Of each layer in the end, on average."""
    initial_rank: Size = 12
    """Of each layer at first."""
    alpha: PositiveFloat = 16
    """An update is multiplied by alpha / rank."""
    dropout: Fraction = 0.0
    """Of what the update reads, in training."""
    targets: Targets | None = None
    """As those of LoRA."""
    warmup: Fraction = 0.1
    """Share of the steps before the first rank is dropped."""
    final: Fraction = 0.3
    """Share of the steps after the last rank is dropped."""
    interval: PositiveInt = 1
    """Steps from one choice of ranks to the next."""
    orthogonality: NonNegativeFloat = 0.5
    """Weight of the penalty that keeps P and Q orthogonal."""

    def peft_config(self) -> PeftConfig:  # noqa: D102
        return {
            "peft_type": "ADALORA",
            "target_r": self.rank,
            "init_r": self.initial_rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "deltaT": self.interval,
            "orth_reg_weight": self.orthogonality,
        }

    def in_words(self) -> str:  # noqa: D102
        return (
            f"adds low-rank updates to {layers_in_words(self.targets)}, whose ranks fall from "
            f"{self.initial_rank} to {self.rank} on average, where they matter least for the loss"
        )

    @model_validator(mode="after")
    def _ranks_and_shares_fit(self) -> Self:
        if self.rank >= self.initial_rank:
            raise ValueError(
                f"`rank < initial_rank` must hold, as ranks are dropped, but got rank={self.rank}, "
                f"initial_rank={self.initial_rank}"
            )
        if self.warmup + self.final >= 1:
            raise ValueError(
                f"`warmup + final < 1` must hold, as ranks are dropped between them, but got "
                f"warmup={self.warmup:g}, final={self.final:g}"
            )
        return self


class Ia3Spec(PeftKind):
    """Trained factors of keys, values and the inside of the feed-forward layers (Liu et al. 2022)."""

    source: ClassVar[str] = (
        "Liu et al. 2022, Few-shot parameter-efficient fine-tuning is better and cheaper than in-context "
        "learning, arXiv:2205.05638"
    )

    kind: Literal["ia3"]
    learning_rate: PositiveFloat = 3e-3

    def peft_config(self) -> PeftConfig:  # noqa: D102
        return {"peft_type": "IA3"}

    def in_words(self) -> str:  # noqa: D102
        return "multiplies keys, values and the inside of the feed-forward layers by trained factors"


class VeraSpec(PeftKind):
    """Low-rank updates by two random matrices for all layers, scaled by trained vectors (Kopiczko et al.)."""

    source: ClassVar[str] = (
        "Kopiczko et al. 2024, VeRA: vector-based random matrix adaptation, arXiv:2310.11454"
    )

    kind: Literal["vera"]
    learning_rate: PositiveFloat = 1e-2
    rank: Size = 256
    """Of the random update."""
    dropout: Fraction = 0.0
    """Of what the update reads, in training."""
    initial: PositiveFloat = 0.1
    """Of the vector that scales the rank."""
    targets: Targets | None = None
    """As those of LoRA."""

    def peft_config(self) -> PeftConfig:  # noqa: D102
        return {
            "peft_type": "VERA",
            "r": self.rank,
            "vera_dropout": self.dropout,
            "d_initial": self.initial,
        }

    def in_words(self) -> str:  # noqa: D102
        return (
            f"trains two vectors for each of {layers_in_words(self.targets)}, which scale a random update of "
            f"rank {self.rank} that all share"
        )


class OftSpec(PeftKind):
    """Trained rotations of the inputs of linear layers, in blocks (Qiu et al. 2023)."""

    source: ClassVar[str] = (
        "Qiu et al. 2023, Controlling text-to-image diffusion by orthogonal finetuning, arXiv:2306.07280"
    )

    kind: Literal["oft"]
    learning_rate: PositiveFloat = 3e-4
    block_size: Size = 32
    """Of the rotations; a layer that it does not divide has the nearest size that does."""
    dropout: Fraction = 0.0
    """Chance that a block is left as it is in a step."""
    targets: Targets | None = None
    """As those of LoRA."""

    def peft_config(self) -> PeftConfig:  # noqa: D102
        return {
            "peft_type": "OFT",
            "oft_block_size": self.block_size,
            "module_dropout": self.dropout,
        }

    def in_words(self) -> str:  # noqa: D102
        return f"rotates the inputs of {layers_in_words(self.targets)} in blocks of {self.block_size}"


class LnTuningSpec(PeftKind):
    """The weights of every normalization layer are trained (Zhao et al. 2023)."""

    source: ClassVar[str] = (
        "Zhao et al. 2023, Tuning LayerNorm in attention: towards efficient multi-modal LLM finetuning, "
        "arXiv:2312.11420"
    )

    kind: Literal["ln_tuning"]
    learning_rate: PositiveFloat = 1e-3

    def peft_config(self) -> PeftConfig:  # noqa: D102
        return {"peft_type": "LN_TUNING"}

    def in_words(self) -> str:  # noqa: D102
        return "trains the weights of every normalization layer"
