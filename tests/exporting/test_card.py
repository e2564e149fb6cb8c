"""The model card is Markdown in which no text of a study is markup."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from helpers import fabricated as made
from tuneoff.exporting.card import card
from tuneoff.results import ModelIdentity
from tuneoff.spec import RunSpec, expand

HOSTILE = (
    "<script>alert(1)</script>",
    "a\n# b\n\n- c",
    "``` \n</code>\n~~~",
    "`x` ``y``",
    "[a](javascript:b) ![c](d)",
    "\x1b[31m\u202ered",
    '"); 1 / 0; ("',
)


def _card(text: str) -> str:
    """The card of a run whose study, record and model have a text wherever one can be."""
    task = made.SST2 | {"prompt": f"{text} {{text}}", "labels": {"0": text, "1": "b"}}
    methods = {"prompt": made.METHODS["prompt"]}
    ablations = {"one": {"of": "prompt", "vary": {"init": ["text"], "init_text": [text]}}}
    study = made.a_study(tasks={"sst2": task}, methods=methods, ablations=ablations, seeds=[0])
    run: RunSpec = next(run for run in expand(study) if run.method_name != "prompt")
    data = made.data_of(run).model_copy(update={"digests": {text: text}})
    model = ModelIdentity(id=text, commit=text, digest=None)
    record = made.a_record(run, data=data, model=model)
    return card(record, None, base=text, format_name="peft", encodes=True, folder=Path("out"))


def _parts(text: str) -> Iterator[Token]:
    for token in MarkdownIt().parse(text):
        yield token
        yield from token.children or ()


def _structure(text: str) -> list[tuple[str, str]]:
    """What a Markdown text consists of, but for how texts are divided by escapes."""
    kinds = [(one.type, one.tag) for one in _parts(text) if one.type not in ("text", "text_special")]
    return [kind for kind in kinds if kind[0] != "inline"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_changes_the_structure_of_a_card(text: str) -> None:
    _, front, plain = _card("plain").split("---\n", 2)
    _, head, body = _card(text).split("---\n", 2)
    assert _structure(body) == _structure(plain)
    metadata: dict[str, Any] = yaml.safe_load(head)
    assert metadata.keys() == yaml.safe_load(front).keys()
    assert metadata["base_model"] == text
    assert "\x1b" not in body and "\u202e" not in body


@pytest.mark.parametrize("text", HOSTILE)
def test_the_code_of_a_card_has_texts_as_texts(text: str) -> None:
    code = next(one.content for one in _parts(_card(text)) if one.info == "python")
    loaded: list[str] = []

    class Loads:
        @staticmethod
        def from_pretrained(*names: object) -> object:
            loaded.extend(one for one in names if isinstance(one, str))
            return None

    lines = [line for line in code.splitlines() if not line.startswith(("from", "import"))]
    exec("\n".join(lines), dict.fromkeys(("PeftModel", "AutoModelForSeq2SeqLM", "AutoTokenizer"), Loads))
    assert loaded == [text, "out", "out"]
