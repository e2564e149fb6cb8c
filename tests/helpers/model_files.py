"""Models in folders and files: loaded, refused, or with a changed config."""

import json
from pathlib import Path

import pytest

from tuneoff.errors import ModelError
from tuneoff.spec import ModelSpec
from tuneoff.training import Backbone, load_backbone


def load(place: Path) -> Backbone:
    """The model of a folder or a GGUF file."""
    return load_backbone(ModelSpec(id=str(place)))


def refusal(place: Path) -> str:
    """The one-line error of a folder or file, which names it."""
    with pytest.raises(ModelError) as caught:
        load(place)
    message = str(caught.value)
    assert "\n" not in message
    assert str(place) in message
    return message


def change(path: Path, **values: object) -> None:
    """Set keys of a JSON file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | values), encoding="utf-8")
