"""What a study's results were made from, known by content: places move, and files are replaced."""

from tuneoff.spec import Spec, StudySpec
from tuneoff.spec.run import digest_of


class ModelIdentity(Spec):
    """A pretrained model with its tokenizer."""

    id: str
    """As the study names it."""
    commit: str | None
    """Of a hub model."""
    digest: str | None
    """SHA-256 of the files of a local or builtin model."""

    def is_same(self, other: "ModelIdentity") -> bool:
        """Return whether both are the same model, wherever it lies."""
        return (self.commit, self.digest) == (other.commit, other.digest)


class Inputs(Spec):
    """The model and the data that an output folder's runs are made from."""

    model: ModelIdentity
    data: dict[str, dict[str, str]]
    """From task to SHA-256 of each split's rows as loaded."""
    places: str
    """`places_of` the study when the contents were read."""

    def of_task(self, name: str) -> dict[str, str | None]:
        """Return what identifies the model and a task's data."""
        return {"commit": self.model.commit, "digest": self.model.digest, **self.data[name]}


def places_of(study: StudySpec) -> str:
    """Return a digest of where a study's model and data are, by which an edited study is noticed."""
    sources = {name: task.source.model_dump(mode="json") for name, task in study.tasks.items()}
    return digest_of({"model": study.model.model_dump(mode="json"), "sources": sources})
