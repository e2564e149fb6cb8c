"""Describe the methods of a study as a paper would, each with its source."""

from typing import NamedTuple

from tuneoff.phrases import listed, plural
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.formatting import count, percent
from tuneoff.spec import NoneSpec, StackSpec, TunedSpec

_OPTIMIZERS = {"adamw_torch": "AdamW", "adafactor": "Adafactor"}
_SOURCES = {
    "adamw_torch": "Loshchilov & Hutter 2019, Decoupled weight decay regularization, arXiv:1711.05101",
    "adafactor": "Shazeer & Stern 2018, Adafactor: adaptive learning rates with sublinear memory cost, "
    "arXiv:1804.04235",
}
"""From an optimizer to where it was published."""
_MIXING = (
    "Raffel et al. 2020, Exploring the limits of transfer learning with a unified text-to-text transformer, "
    "arXiv:1910.10683"
)
"""Where the rates of a mixture were published."""


class Description(NamedTuple):
    """A method in words."""

    name: str
    text: str
    sources: tuple[str, ...]


def described_methods(data: ReportData) -> tuple[tuple[Description, ...], str]:
    """Return the methods of the study in words, and the conditions that all of them share."""
    methods = tuple(_description(data, name) for name in data.study.methods)
    mixed = tuple(_mixed_description(data, name) for name in data.study.mixed)
    return (*methods, *mixed), _conditions(data)


def _description(data: ReportData, name: str) -> Description:
    method = data.study.methods[name]
    if isinstance(method, NoneSpec):
        model = data.study.model
        kept = f"with its weights in {model.quantization}" if model.quantization else "as it is"
        return Description(name, f"{name} is {model.id} {kept}, without training.", ())
    parts = method.parts if isinstance(method, StackSpec) else (method,)
    text = f"{name} {'; it also '.join(part.in_words() for part in parts)}"
    found = [one for one in data.records if one.spec.method_name == name and one.footprint]
    if found and (counts := found[0].footprint):
        share = f"{percent(counts.trainable_percent)}% of the model"
        text += f". It trains {count(counts.trainable)} parameters ({share})"
    text += f" with {_optimizer(parts)}."
    search = data.study.search
    fields = list(search.spaces.get(name, search.space)) if search else []
    if fields:
        text += f" {listed(fields)} {'is' if len(fields) == 1 else 'are'} chosen by the search on validation."
    sources = dict.fromkeys([*(part.source for part in parts), _SOURCES[parts[0].optim]])
    return Description(name, text, tuple(sources))


def _mixed_description(data: ReportData, name: str) -> Description:
    one = data.study.mixed[name]
    mixture = data.study.mixtures[one.mixture]
    rate = "as often from each" if mixture.rate == "equal" else "in proportion to their training rows"
    cap = f", of which at most {count(mixture.cap)} of a task count" if mixture.cap else ""
    text = f"{name} is {one.method} tuned once on {listed(mixture.of)} together, with rows drawn {rate}{cap}"
    if mixture.training.get("load_best_model_at_end", data.study.training.load_best_model_at_end):
        text += "; the step whose weights are tested has the best mean of their main metrics on validation"
    return Description(name, f"{text}.", (_MIXING,))


def _optimizer(parts: tuple[TunedSpec, ...]) -> str:
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
