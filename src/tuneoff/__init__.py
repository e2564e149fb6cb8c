"""Compare ways of fine-tuning a model: full, LoRA, prefix-tuning, prompt-tuning, or none.

    import tuneoff

    result = tuneoff.run("quickstart", out="results/quickstart")
    print(result.summary)

Names are imported when they are first used, so that `import tuneoff` is fast.
"""

import importlib
import logging
from typing import TYPE_CHECKING, Any

# transformers and PEFT import torchao and bitsandbytes where they are installed, which then warn of parts
# that are missing and not used here
for _library in ("torchao", "bitsandbytes", "torch.utils._pytree"):
    logging.getLogger(_library).setLevel(logging.ERROR)

if TYPE_CHECKING:
    from tuneoff.api import export, load_method, new_study, predict, report, run
    from tuneoff.reporting import Result
    from tuneoff.spec import StudySpec as Study
    from tuneoff.spec import load_study
    from tuneoff.training import Session, TunedModel

    __version__: str

__all__ = [
    "Result",
    "Session",
    "Study",
    "TunedModel",
    "__version__",
    "export",
    "load_method",
    "load_study",
    "new_study",
    "predict",
    "report",
    "run",
]

_PLACES = {
    "Result": ("tuneoff.reporting", "Result"),
    "Session": ("tuneoff.training", "Session"),
    "Study": ("tuneoff.spec", "StudySpec"),
    "TunedModel": ("tuneoff.training", "TunedModel"),
    "export": ("tuneoff.api", "export"),
    "load_method": ("tuneoff.api", "load_method"),
    "load_study": ("tuneoff.spec", "load_study"),
    "new_study": ("tuneoff.api", "new_study"),
    "predict": ("tuneoff.api", "predict"),
    "report": ("tuneoff.api", "report"),
    "run": ("tuneoff.api", "run"),
}
"""Module and name there of each public name."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("tuneoff")
    if name not in _PLACES:
        raise AttributeError(f"module 'tuneoff' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
