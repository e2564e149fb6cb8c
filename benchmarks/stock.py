"""The contestants: Seq2SeqTrainer with PEFT, as most people write it, and tuned by an expert.

python benchmarks/stock.py stock FOLDER     # or knowing: a small study, for the comparison of whole studies
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, load_dataset
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
    TrainerState,
)

from tuneoff.training.precision import resolve_dtype

BATCH = {"sst2": 16, "samsum": 8}
NEW_TOKENS = {"sst2": 2, "samsum": 60}
COLUMNS = {"sst2": ("text", "label"), "samsum": ("dialogue", "summary")}
FILES = {"sst2": "csv", "samsum": "json"}
LABELS = ["w10", "w11"]
KIND = TaskType.SEQ_2_SEQ_LM


@dataclass(frozen=True)
class Stock:
    """One way of writing the script."""

    name: str
    knows: bool
    """bfloat16 where the machine multiplies it, batches of similar length, large ones in evaluation."""

    def arguments(self, folder: Path, task: str, **changes: Any) -> Seq2SeqTrainingArguments:
        """Return the training arguments of a run."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        known = {
            "bf16": resolve_dtype("auto", device) == "bfloat16",
            "train_sampling_strategy": "group_by_length",
            "per_device_eval_batch_size": 64,
        }
        return Seq2SeqTrainingArguments(
            output_dir=str(folder / "stock"),
            learning_rate=1e-4,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            logging_strategy="no",
            predict_with_generate=True,
            include_num_input_tokens_seen="non_padding",
            generation_max_length=NEW_TOKENS[task] + 1,
            use_cpu=device.type == "cpu",  # bf16 asks for it there
            per_device_train_batch_size=BATCH[task],
            **({"per_device_eval_batch_size": BATCH[task]} | (known if self.knows else {}) | changes),
        )


STOCK, KNOWING = Stock("stock", knows=False), Stock("tuned by hand", knows=True)


def method_on(model: PreTrainedModel, method: str) -> Any:
    """Return the model with PEFT's method on it."""
    configs = {
        "lora": LoraConfig(task_type=KIND, r=8, lora_alpha=16, target_modules=["q", "v"]),
        "prefix": PrefixTuningConfig(
            task_type=KIND,
            num_virtual_tokens=20,
            token_dim=model.config.num_heads * model.config.d_kv,
            num_layers=model.config.num_decoder_layers,
            num_attention_heads=model.config.num_heads,
        ),
        "prompt": PromptTuningConfig(task_type=KIND, num_virtual_tokens=20, num_transformer_submodules=1),
    }
    return model if method == "full" else get_peft_model(model, configs[method])


def rows_of(folder: Path, task: str, split: str, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """Return a split as token ids."""
    source, target = COLUMNS[task]
    data = load_dataset(FILES[task], data_files=str(folder / f"{task}-{split}.{FILES[task]}"), split="train")

    def encoded(row: dict[str, Any]) -> dict[str, Any]:
        answer = LABELS[row[target]] if task == "sst2" else row[target]
        inputs = tokenizer(row[source], max_length=256, truncation=True)
        return inputs | {"labels": tokenizer(answer, max_length=64, truncation=True)["input_ids"]}

    return data.map(encoded, remove_columns=data.column_names)


class Clock(TrainerCallback):
    """Records the end of each step, and the number of input tokens until then, padding not counted."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.tokens: list[float] = []

    def on_step_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Record the time; called by the trainer."""
        self.ends.append(time.perf_counter())
        self.tokens.append(state.num_input_tokens_seen)


def trainer(stock: Stock, folder: Path, task: str, model: Any, **changes: Any) -> Seq2SeqTrainer:
    """Return a trainer on the rows of a task."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    train, test = (rows_of(folder, task, split, tokenizer) for split in ("train", "test"))
    if stock.knows:
        order = sorted(range(len(test)), key=lambda row: -len(test[row]["input_ids"]))
        test = test.select(order)
    made = Seq2SeqTrainer(
        model=model,
        args=stock.arguments(folder, task, **changes),
        train_dataset=train,
        eval_dataset=test,
        processing_class=tokenizer,
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
    )
    made.remove_callback(PrinterCallback)
    return made


def trained(stock: Stock, folder: Path, task: str, model: Any, *, steps: int, seed: int = 0) -> Clock:
    """Return the times and tokens of a training of so many steps."""
    clock = Clock()
    run = trainer(stock, folder, task, model, max_steps=steps, seed=seed)
    run.add_callback(clock)
    run.train()
    return clock


def small_study(stock: Stock, folder: Path) -> None:
    """Do what `side_by_side.STUDY` asks for: every method with every seed, trained, validated and tested."""
    for seed in (0, 1):
        for method in ("full", "lora", "prompt"):
            torch.manual_seed(seed)
            model = method_on(AutoModelForSeq2SeqLM.from_pretrained(folder / "model"), method)
            run = trainer(
                stock, folder, "sst2", model, max_steps=20, eval_strategy="steps", eval_steps=20, seed=seed
            )
            run.train()
            run.predict(run.eval_dataset)


if __name__ == "__main__":
    name, where = sys.argv[1:]
    small_study({"stock": STOCK, "knowing": KNOWING}[name], Path(where))
