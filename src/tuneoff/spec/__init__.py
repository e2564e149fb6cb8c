"""What a study file may say, and the runs that it stands for."""

from tuneoff.spec.base import Spec, SplitName, TrainSize
from tuneoff.spec.forgetting import ForgettingSpec
from tuneoff.spec.load import dump_study, load_study, packaged_studies
from tuneoff.spec.methods import (
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
from tuneoff.spec.model import BUILTIN, ModelSpec, Quantization
from tuneoff.spec.plan import Variant, ablation_variants, expand, searches, variants
from tuneoff.spec.prompt import prompt_columns, prompt_pieces
from tuneoff.spec.run import RunSpec, Search
from tuneoff.spec.search import Range, SearchSpec
from tuneoff.spec.seeds import BudgetSpec, SeedRange
from tuneoff.spec.study import AblationSpec, ComparisonSpec, Preference, StudySpec
from tuneoff.spec.tasks import (
    LETTERS,
    BuiltinSource,
    ClassificationSpec,
    FilesSource,
    GenerationSpec,
    HubSource,
    MultipleChoiceSpec,
    Source,
    SummarizationSpec,
    Task,
    TaskSpec,
    TextSpec,
    TextTask,
)
from tuneoff.spec.training import DropoutSpec, TrainingSpec
from tuneoff.spec.yaml import flow_yaml

__all__ = [
    "BUILTIN",
    "LETTERS",
    "AblationSpec",
    "BudgetSpec",
    "BuiltinSource",
    "ClassificationSpec",
    "ComparisonSpec",
    "DropoutSpec",
    "FilesSource",
    "ForgettingSpec",
    "FullSpec",
    "GenerationSpec",
    "HubSource",
    "LoraSpec",
    "Method",
    "ModelSpec",
    "MultipleChoiceSpec",
    "NoneSpec",
    "Preference",
    "PrefixSpec",
    "PromptSpec",
    "Quantization",
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
    "TextSpec",
    "TextTask",
    "TrainSize",
    "TrainingSpec",
    "TunedSpec",
    "Variant",
    "ablation_variants",
    "attach_order",
    "dump_study",
    "expand",
    "flow_yaml",
    "load_study",
    "packaged_studies",
    "prompt_columns",
    "prompt_pieces",
    "searches",
    "tuned_parts",
    "variants",
]
