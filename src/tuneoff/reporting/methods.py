"""Describe the methods of a study as a paper would, each with its source."""

from typing import NamedTuple

from tuneoff.reporting.data import ReportData
from tuneoff.reporting.formatting import count, listed, percent, plural
from tuneoff.spec import FullSpec, LoraSpec, NoneSpec, PrefixSpec, PromptSpec, StackSpec, Tuned

SOURCES = {
    "full": "Raffel et al. 2020, Exploring the limits of transfer learning with a unified text-to-text "
    "transformer, JMLR 21(140)",
    "lora": "Hu et al. 2021, LoRA: low-rank adaptation of large language models, arXiv:2106.09685",
    "prefix": "Li & Liang 2021, Prefix-tuning: optimizing continuous prompts for generation, "
    "arXiv:2101.00190",
    "prompt": "Lester et al. 2021, The power of scale for parameter-efficient prompt tuning, "
    "arXiv:2104.08691",
    "adamw_torch": "Loshchilov & Hutter 2019, Decoupled weight decay regularization, arXiv:1711.05101",
    "adafactor": "Shazeer & Stern 2018, Adafactor: adaptive learning rates with sublinear memory cost, "
    "arXiv:1804.04235",
}
"""From a kind of method, or an optimizer, to where it was published."""
_OPTIMIZERS = {"adamw_torch": "AdamW", "adafactor": "Adafactor"}
_SITES = {
    "encoder": "in the encoder",
    "decoder": "in the decoder",
    "cross": "from the decoder to the encoder",
}


class Description(NamedTuple):
    """A method in words."""

    name: str
    text: str
    sources: tuple[str, ...]


def described_methods(data: ReportData) -> tuple[tuple[Description, ...], str]:
    """Return the methods of the study in words, and the conditions that all of them share."""
    return tuple(_description(data, name) for name in data.study.methods), _conditions(data)


def _description(data: ReportData, name: str) -> Description:
    method = data.study.methods[name]
    if isinstance(method, NoneSpec):
        return Description(name, f"{name} is {data.study.model.id} as it is, without training.", ())
    parts = method.parts if isinstance(method, StackSpec) else (method,)
    text = f"{name} {'; it also '.join(_part(part) for part in parts)}"
    found = [one for one in data.records if one.spec.method_name == name and one.footprint]
    if found and (counts := found[0].footprint):
        share = f"{percent(counts.trainable_percent)}% of the model"
        text += f". It trains {count(counts.trainable)} parameters ({share})"
    text += f" with {_optimizer(parts)}."
    search = data.study.search
    fields = list(search.spaces.get(name, search.space)) if search else []
    if fields:
        text += f" {listed(fields)} {'is' if len(fields) == 1 else 'are'} chosen by the search on validation."
    sources = dict.fromkeys([*(SOURCES[part.kind] for part in parts), SOURCES[parts[0].optim]])
    return Description(name, text, tuple(sources))


def _part(part: Tuned) -> str:
    match part:
        case FullSpec():
            return "updates every weight of the model"
        case LoraSpec():
            where = _layers(part.targets)
            dropout = f" and dropout {part.dropout:g}" if part.dropout else ""
            return f"adds low-rank updates of rank {part.rank} (alpha {part.alpha:g}{dropout}) to {where}"
        case PrefixSpec():
            sites = listed(_SITES[site] for site in part.sites) if part.sites else "wherever it has any"
            made = f"made by an MLP of width {part.projection}" if part.projection else "trained directly"
            return (
                f"prepends {plural(part.length, 'trained vector')} to the keys and values of attention "
                f"{sites}, {made} and started from {_start(part.init)}"
            )
        case PromptSpec():
            return (
                f"prepends {plural(part.length, 'trained vector')} to the input, started from "
                f"{_start(part.init)}"
            )


def _layers(targets: tuple[str, ...] | str | None) -> str:
    if isinstance(targets, tuple):
        return f"the layers {listed(targets)}"
    return "every linear layer" if targets else "the layers that its family has for it"


def _start(init: str) -> str:
    return {"random": "random numbers", "vocabulary": "words of the vocabulary", "text": "a text"}[init]


def _optimizer(parts: tuple[Tuned, ...]) -> str:
    rates = listed(dict.fromkeys(f"{part.learning_rate:g}" for part in parts))
    scaled = ", relative to each matrix" if parts[0].scale_parameter else ""
    return f"{_OPTIMIZERS[parts[0].optim]} at a learning rate of {rates}{scaled}"


def _conditions(data: ReportData) -> str:
    study = data.study
    training = study.training
    length = (
        plural(training.max_steps, "step") if training.max_steps else f"{training.num_train_epochs:g} epochs"
    )
    batch = training.per_device_train_batch_size * training.gradient_accumulation_steps
    own = [name for name, task in study.tasks.items() if task.training]
    seeds = plural(len(study.all_seeds), "seed")
    if study.race:
        seeds = f"{study.race.fewest} to {seeds}, more where the decision needs them,"
    text = (
        f"Every method is trained with {seeds} on the same rows in the same "
        f"order, for {length} of {plural(batch, 'row')}, with a {training.lr_scheduler_type} schedule"
    )
    text += f" and warmup over {training.warmup_ratio:.0%} of the steps" if training.warmup_ratio else ""
    text += f" (other lengths or batches on {listed(own)})" if own else ""
    return f"{text}. Validation chooses the step whose weights are tested; the test split is scored once."
