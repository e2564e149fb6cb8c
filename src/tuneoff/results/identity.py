"""The model and data that a study's results were made from, identified by content and not by place."""

from tuneoff.spec import Spec, StudySpec
from tuneoff.spec.run import digest_of


class ModelIdentity(Spec):
    """A pretrained model with its tokenizer."""

    id: str
    """The model's id in the study."""
    commit: str | None
    """Of a hub model."""
    digest: str | None
    """SHA-256 of the files of a local or builtin model."""

    def is_same(self, other: "ModelIdentity") -> bool:
        """Return whether both are the same model, wherever it is stored."""
        return (self.commit, self.digest) == (other.commit, other.digest)


class Inputs(Spec):
    """The model and the data that an output folder's runs are made from."""

    model: ModelIdentity
    data: dict[str, dict[str, str]]
    """From task to SHA-256 of each split's rows as loaded."""
    places: str
    """`places_of` the study when the contents were read."""
    texts: str | None = None
    """SHA-256 of the general texts on which forgetting is measured; None if it is not."""

    def of_tasks(self, *names: str) -> dict[str, str | None]:
        """Return what identifies the model and the data of a task, or of several in a mixture."""
        return {"commit": self.model.commit, "digest": self.model.digest, **self.digests_of(*names)}

    def digests_of(self, *names: str) -> dict[str, str]:
        """Return the SHA-256 of the splits of a task by name, of further tasks as `task/split`."""
        first, *others = names
        of_others = {
            f"{name}/{split}": digest for name in others for split, digest in self.data.get(name, {}).items()
        }
        return self.data.get(first, {}) | of_others


def places_of(study: StudySpec) -> str:
    """Return a checksum of the places of a study's model and data, which shows that a study was edited."""
    sources = {name: task.source.model_dump(mode="json") for name, task in study.tasks.items()}
    # a setting, and not a place: which weights are quantized does not change
    model = study.model.model_dump(mode="json", exclude={"quantization"})
    return digest_of({"model": model, "sources": sources})
