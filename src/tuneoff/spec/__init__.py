"""What a study file may say, and the runs that it stands for."""

from tuneoff.spec.base import Spec, SplitName, TrainSize
from tuneoff.spec.load import dump_study, load_study, packaged_studies
from tuneoff.spec.methods import (
    BottleneckSpec,
    FullSpec,
    LoraSpec,
    Method,
    NoneSpec,
    PrefixSpec,
    PromptSpec,
    Site,
    StackSpec,
    TunedSpec,
    attach_order,
    tuned_parts,
)
from tuneoff.spec.model import BUILTIN, ModelSpec
from tuneoff.spec.plan import Variant, ablation_variants, expand, searches, variants
from tuneoff.spec.prompt import prompt_columns, prompt_pieces
from tuneoff.spec.run import RunSpec, Search
from tuneoff.spec.search import Range, SearchSpec
from tuneoff.spec.seeds import BudgetSpec, SeedRange
from tuneoff.spec.study import AblationSpec, ComparisonSpec, Preference, StudySpec
from tuneoff.spec.tasks import (
    BuiltinSource,
    ClassificationSpec,
    FilesSource,
    HubSource,
    Source,
    SummarizationSpec,
    Task,
    TaskSpec,
)
from tuneoff.spec.training import DropoutSpec, TrainingSpec

__all__ = [
    "BUILTIN",
    "AblationSpec",
    "BottleneckSpec",
    "BudgetSpec",
    "BuiltinSource",
    "ClassificationSpec",
    "ComparisonSpec",
    "DropoutSpec",
    "FilesSource",
    "FullSpec",
    "HubSource",
    "LoraSpec",
    "Method",
    "ModelSpec",
    "NoneSpec",
    "Preference",
    "PrefixSpec",
    "PromptSpec",
    "Range",
    "RunSpec",
    "Search",
    "SearchSpec",
    "SeedRange",
    "Site",
    "Source",
    "Spec",
    "SplitName",
    "StackSpec",
    "StudySpec",
    "SummarizationSpec",
    "Task",
    "TaskSpec",
    "TrainSize",
    "TrainingSpec",
    "TunedSpec",
    "Variant",
    "ablation_variants",
    "attach_order",
    "dump_study",
    "expand",
    "load_study",
    "packaged_studies",
    "prompt_columns",
    "prompt_pieces",
    "searches",
    "tuned_parts",
    "variants",
]
