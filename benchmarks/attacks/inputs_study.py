"""Malformed study files, overrides and command lines."""

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from case import STUDY, Case, Change, with_text, with_value, write_study

WRONG_VALUES: tuple[object, ...] = (
    None,
    "",
    " ",
    "lots",
    "Ünïcödé \U0001f642",
    -1,
    0,
    1,
    1.5,
    float("inf"),
    float("nan"),
    10**30,
    10**400,
    True,
    [],
    [1, 1],
    ["a", None],
    {},
    {"a": {"b": 1}},
    "x" * 10_000,
)
WRONG_VALUE_CASES = 170
"""So many pairs of a key and a wrong value, drawn from all."""
OF_METHODS: Mapping[str, Mapping[str, object]] = {
    "full": {"kind": "full"},
    "prefix": {"kind": "prefix", "length": 2, "projection": 4},
    "prompt": {"kind": "prompt", "length": 2, "init": "text", "init_text": "good bad"},
    "stack": {"kind": "stack", "parts": [{"kind": "lora", "rank": 2}, {"kind": "prompt", "length": 2}]},
}
EVERY_KEY = """
name model model.id model.revision tasks tasks.films tasks.films.kind tasks.films.source
tasks.films.source.files tasks.films.source.files.train tasks.films.source.files.validation
tasks.films.source.hub tasks.films.source.builtin tasks.films.prompt tasks.films.target tasks.films.labels
tasks.films.labels.0 tasks.films.positive tasks.films.scoring tasks.films.max_source_length
tasks.films.max_target_length tasks.films.max_eval_samples tasks.films.max_predict_samples
tasks.films.drop_overlap tasks.films.training tasks.films.training.max_steps methods methods.lora
methods.lora.kind methods.lora.learning_rate methods.lora.optim methods.lora.scale_parameter
methods.lora.weight_decay methods.lora.lr_scheduler_type methods.lora.rank methods.lora.alpha
methods.lora.dropout methods.lora.targets methods.prefix.length methods.prefix.sites
methods.prefix.projection methods.prefix.init methods.prefix.relative_positions methods.prompt.length
methods.prompt.init methods.prompt.init_text methods.stack.parts ablations ablations.a ablations.a.of
ablations.a.vary ablations.a.vary.rank train_sizes seeds training training.max_steps
training.num_train_epochs training.per_device_train_batch_size training.per_device_eval_batch_size
training.gradient_accumulation_steps training.group_by_length training.eval_steps training.logging_steps
training.early_stopping_patience training.lr_scheduler_type training.warmup_ratio training.weight_decay
training.max_grad_norm training.dropout training.dropout.encoder training.dtype training.save_strategy
search search.trials search.space search.space.learning_rate search.spaces search.seeds search.max_steps
search.budget search.pruner comparison comparison.references comparison.margin
"""
STRUCTURES: Mapping[str, Mapping[str, Any]] = {
    "no name": {"name": ...},
    "no model": {"model": ...},
    "no tasks": {"tasks": ...},
    "no methods": {"methods": ...},
    "no training": {"training": ...},
    "a key of nothing": {"modle": 1},
    "a key that is a number": {"1": 1},
    "an empty key": {"": 1},
    "a key of 5,000 characters": {"k" * 5000: 1},
    "a key of control characters": {"\x07\x1b[31m": 1},
    "a key of another level": {"learning_rate": 1e-3},
    "two kinds of source": {
        "tasks": {"films": {**STUDY["tasks"]["films"], "source": {"hub": "a", "builtin": "b"}}}
    },
    "twenty wrong keys": {f"key{number}": number for number in range(20)},
    "a thousand wrong keys": {f"key{number}": number for number in range(1000)},
    "a thousand wrong methods": {"methods": {f"m{number}": {"kind": "x"} for number in range(1000)}},
    "200,000 seeds": {"seeds": list(range(200_000))},
    "200,000 train sizes": {"train_sizes": list(range(1, 200_001))},
    "a seed of 30 digits": {"seeds": [10**29]},
    "the largest seed of 64 bits": {"seeds": [2**64 - 1]},
    "200,000 search seeds": {"search": {"trials": 1, "seeds": list(range(1, 200_001))}},
    "a million trials": {"search": {"trials": 1_000_000}},
    "a trial's range the wrong way round": {"search": {"space": {"learning_rate": [1.0, 1e-5, "log"]}}},
    "a range from 0 on a log scale": {"search": {"space": {"learning_rate": [0, 1, "log"]}}},
    "a range of another type": {"search": {"space": {"rank": [1.5, 2.5, "linear"]}}},
    "a range of a field that no method has": {"search": {"space": {"wings": [1, 2, "linear"]}}},
    "a search of an untrained method": {
        "search": {"spaces": {"zero_shot": {"learning_rate": [1e-5, 1.0, "log"]}}}
    },
    "an ablation of a million runs": {
        "ablations": {
            "a": {
                "of": "lora",
                "vary": {key: list(range(1, 101)) for key in ("rank", "alpha", "weight_decay")},
            }
        }
    },
    "an ablation of nothing": {"ablations": {"a": {"of": "lora", "vary": {"rank": []}}}},
    "an ablation of the kind": {"ablations": {"a": {"of": "lora", "vary": {"kind": ["full", "none"]}}}},
    "an ablation of the untrained": {"ablations": {"a": {"of": "zero_shot", "vary": {"rank": [1]}}}},
    "two ablations that name one variant": {
        "ablations": {name: {"of": "lora", "vary": {"rank": [1, 4]}} for name in ("a", "b")}
    },
    "a variant with a method's name": {
        "methods": {**STUDY["methods"], "lora-rank=1": {"kind": "full"}},
        "ablations": {"a": {"of": "lora", "vary": {"rank": [1, 2]}}},
    },
    "methods whose names differ in case": {"methods": {"lora": {"kind": "lora"}, "LoRA": {"kind": "lora"}}},
    "a reference that is no method": {"comparison": {"references": ["x"]}},
    "a rank of a hundred million": {"methods": {"lora": {"kind": "lora", "rank": 10**8}}},
    "a rank beyond 64 bits": {"methods": {"lora": {"kind": "lora", "rank": 10**20}}},
    "a prefix of a hundred million": {"methods": {"p": {"kind": "prefix", "length": 10**8}}},
    "a prefix of 20 digits": {"methods": {"p": {"kind": "prefix", "length": 10**19}}},
    "a prompt of a hundred million": {"methods": {"p": {"kind": "prompt", "length": 10**8}}},
    "a projection of a hundred million": {"methods": {"p": {"kind": "prefix", "projection": 10**8}}},
    "a LoRA target that is a pattern": {"methods": {"lora": {"kind": "lora", "targets": ["(q|v"]}}},
    "a LoRA target that is nothing": {"methods": {"lora": {"kind": "lora", "targets": [""]}}},
    "a LoRA target that is everything": {"methods": {"lora": {"kind": "lora", "targets": [".*"]}}},
    "a LoRA target twice": {"methods": {"lora": {"kind": "lora", "targets": ["q", "q"]}}},
    "an init text without a piece": {"methods": {"p": {"kind": "prompt", "init": "text", "init_text": " "}}},
    "an init text of half a surrogate": {
        "methods": {"p": {"kind": "prompt", "init": "text", "init_text": "\ud800"}}
    },
    "a batch of 10**18": {"training": {**STUDY["training"], "per_device_train_batch_size": 10**18}},
    "steps of 10**18 and none of them": {
        "training": {**STUDY["training"], "gradient_accumulation_steps": 10**18}
    },
    "1e308 epochs": {"training": {"num_train_epochs": 1e308}},
    "1e-308 epochs": {"training": {"num_train_epochs": 1e-308}},
    "a rate of 1e308": {"methods": {"lora": {"kind": "lora", "learning_rate": 1e308}}},
    "an alpha of 1e308": {"methods": {"lora": {"kind": "lora", "alpha": 1e308}}},
    "a decay of 1e308": {"training": {**STUDY["training"], "weight_decay": 1e308}},
    "a gradient norm of 1e-308": {"training": {**STUDY["training"], "max_grad_norm": 1e-308}},
}
"""From what is wrong to changed top-level keys; `...` takes a key away."""
_RUN_OF_ANCHORS = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
_RUN_OF_MERGES = "".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}\n" for n in range(1, 9))
YAML: Mapping[str, str | bytes] = {
    "nothing": b"",
    "spaces": b" \n\n ",
    "a comment": b"# nothing\n",
    "NUL bytes": b"\0" * 100,
    "a NUL byte in a value": b"name: a\0b\n",
    "random bytes": random.Random(0).randbytes(2000),
    "UTF-16": "name: a\n".encode("utf-16"),
    "UTF-32": "name: a\n".encode("utf-32"),
    "Latin-1": b"name: caf\xe9\n",
    "three byte order marks": b"\xef\xbb\xbf" * 3 + b"name: a\n",
    "half a surrogate, escaped": b'name: "\\ud800"\n',
    "half a surrogate, in a prompt": b'{"name": "a", "tasks": {"t": {"prompt": "\\udfff {text}"}}}',
    "half a surrogate, in a key": b'{"\\ud800": 1}',
    "an escaped NUL": b'name: "a\\0b"\n',
    "an escaped bell": b'name: "\\a"\n',
    "a character beyond Unicode": b'name: "\\U00110000"\n',
    "a scalar": b"just words",
    "a number": b"7",
    "a list": b"- a\n- b\n",
    "null": b"null",
    "an unclosed bracket": b"name: [",
    "an unclosed quote": b'name: "a',
    "tabs as indentation": b"model:\n\tid: a\n",
    "carriage returns alone": b"name: a\rmodel: b\r",
    "two documents": b"name: a\n---\nname: b\n",
    "an ended document and more": b"name: a\n...\nname: b\n",
    "a directive of another version": b"%YAML 9.9\n---\nname: a\n",
    "an unknown directive": b"%NOPE x\n---\nname: a\n",
    "a key twice": b"name: a\nname: b\n",
    "a key twice, below": b"name: a\nmodel: {id: x, id: y}\n",
    "a key that is a list": b"? [a, b]\n: 1\n",
    "a key that is a mapping": b"? {a: b}\n: 1\n",
    "a key that is a mapping, plain": b"{a: b}: 1\n",
    "a key that is null": b"null: 1\n",
    "a key that is infinite": b".inf: 1\n",
    "a key that is a date": b"2024-01-01: 1\n",
    "an undefined alias": b"name: *nothing\n",
    "an alias of itself": b"name: &a [*a]\n",
    "an alias of itself as a mapping": b"name: &a {b: *a}\n",
    "an alias of itself as a key": b"&a {*a : 1}\n",
    "an alias of the whole": b"&a\nname: x\nmodel: *a\n",
    "an alias bomb": f"a0: &a0 [lol]\n{_RUN_OF_ANCHORS}".encode(),
    "a merge bomb": f"m0: &m0 {{a: 1}}\n{_RUN_OF_MERGES}".encode(),
    "a merge with a number": b"<<: 3\n",
    "a merge with a list of numbers": b"<<: [1, 2]\n",
    "a merge with itself": b"a: &a {<<: *a}\n",
    "a merge with null": b"<<: null\nname: a\n",
    "a merge key twice": b"a: &a {x: 1}\nb: {<<: *a, <<: *a}\n",
    "lists 200 deep": b"name: " + b"[" * 200 + b"]" * 200,
    "lists 100,000 deep": b"name: " + b"[" * 100_000,
    "mappings 1,000 deep": b"{a: " * 1000 + b"}" * 1000,
    "mappings 100,000 deep by indentation": b"".join(b" " * n + b"a:\n" for n in range(1500)),
    "!!int of a word": b"name: !!int word\n",
    "!!int of nothing": b"name: !!int ''\n",
    "!!int of a list": b"name: !!int [1]\n",
    "!!float of a word": b"name: !!float word\n",
    "!!bool of a word": b"name: !!bool word\n",
    "!!null of a word": b"name: !!null word\n",
    "!!timestamp of a word": b"name: !!timestamp word\n",
    "!!timestamp of no date": b"name: 2024-13-45\n",
    "!!binary of a word": b"name: !!binary '\xc3\xa9'\n",
    "!!binary of bytes": b"name: !!binary /9j/\n",
    "!!set": b"name: !!set {a, b}\n",
    "!!set of a scalar": b"name: !!set a\n",
    "!!omap": b"name: !!omap [a: 1]\n",
    "!!omap of a scalar": b"name: !!omap a\n",
    "!!pairs of a scalar": b"name: !!pairs a\n",
    "!!pairs of numbers": b"name: !!pairs [1, 2]\n",
    "!!map of a list": b"name: !!map [a]\n",
    "!!seq of a mapping": b"name: !!seq {a: 1}\n",
    "!!str of a list": b"name: !!str [a]\n",
    "a Python object": b"!!python/object/apply:os.system ['touch executed']\n",
    "a Python name": b"name: !!python/name:os.system\n",
    "a private tag": b"name: !mine a\n",
    "a tag without an end": b"name: !<tag a\n",
    "an integer of 5,000 digits": b"name: " + b"9" * 5000,
    "an integer of a million digits": b"name: " + b"9" * 1_000_000,
    "an integer of 5,000 digits as a key": b"9" * 5000 + b": 1",
    "a hexadecimal number of 10,000 digits": b"name: 0x" + b"f" * 10_000,
    "an octal number that is none": b"name: 0o9\n",
    "a binary number of a thousand digits": b"name: 0b" + b"1" * 1000,
    "a sexagesimal number": b"name: 1:30\n",
    "a sexagesimal number of 5,000 parts": b"name: 1" + b":59" * 5000,
    "a float out of range": b"name: 1e999\n",
    "not a number": b"name: .nan\n",
    "a text of a megabyte": b"name: " + b"x" * 1_000_000,
    "a quoted text of a megabyte": b'name: "' + b"\\n" * 500_000 + b'"',
    "100,000 keys": b"".join(b"k%d: 1\n" % n for n in range(100_000)),
    "20,000 keys that are integers": b"".join(b"%d: 1\n" % n for n in range(20_000)),
    "a block scalar without an end": b"name: |9\n a\n",
    "HTML": b"<!doctype html><html><body>404</body></html>",
    "a conflict of Git": b"<<<<<<< HEAD\nname: a\n=======\nname: b\n>>>>>>> other\n",
}
HOSTILE_NAMES = {
    "300 characters": "n" * 300,
    "60 characters": "n" * 60,
    "a path up": "../../up",
    "an absolute path": "/tmp/absolute",
    "two dots": "..",
    "a line break": "a\nb",
    "a tab": "a\tb",
    "a NUL": "a\0b",
    "an escape sequence": "\x1b[31mred\x1b[0m",
    "bidirectional characters": "a\u202eb\u2066c",
    "half a surrogate": "\ud800",
    "console markup": "[/b]",
    "console markup that opens": "[bold red]x",
    "HTML": "<script>alert(1)</script>",
    "a Markdown table's bar": "a|b",
    "a Markdown link": "[a](http://b)",
    "a template": "{{ 7 * 7 }}",
    "a shell's command": "$(touch executed)",
    "emoji": "\U0001f642",
    "Chinese": "中文",
    "a leading dash": "-rf",
    "spaces": " a b ",
    "a reserved name": "report",
    "a device": "CON",
    "a percent sign": "100%s",
}
NAMED_THINGS = ("study", "task", "method", "variant", "label", "column")
OVERRIDES = (
    "",
    "=",
    "=1",
    "seeds",
    "seeds=",
    "seeds=[0",
    "seeds=[0,0]",
    "seeds=[0.5]",
    "seeds=['0']",
    "seeds=null",
    "seeds.0=1",
    ".=1",
    "..=1",
    ".name=x",
    "name.=x",
    "name..x=1",
    "name.x=1",
    "nmae=x",
    "name={text}",
    "tasks.films.prompt={text}",
    "tasks.films.prompt={text} and {label}",
    "tasks.films.prompt='{texts}'",
    "tasks.films.labels={0: a, 0: b}",
    "tasks.films.labels.2=more",
    "tasks.other={}",
    "tasks.films=null",
    "model.id=[1]",
    "model.id=~/nowhere",
    "model.id=~nobody-of-this-name/x",
    "model.id=./",
    "model.id=org/name/more",
    "model.id=org/absent",
    "model.id=http://127.0.0.1:9/x",
    "model.revision=main",
    "methods.lora.rank=!!int x",
    "methods.lora.rank=!!python/name:os.system",
    "methods.lora.rank=" + "9" * 5000,
    "methods.lora.rank=&a [*a]",
    "methods.lora.learning_rate=1e-400",
    "methods.lora.learning_rate=-.inf",
    'methods.lora.targets=["\\ud800"]',
    "training.max_steps=" + "[" * 5000,
    "a." * 3000 + "b=1",
    "k" * 100_000 + "=1",
    "name=" + "x" * 100_000,
    "name=\udcff",
    "\udcff=1",
    "name=\x1b[31m",
    "\x1b[31m=1",
    "comparison.margin=1.0000000000000000001",
)
COMMAND_LINES: tuple[tuple[str, ...], ...] = (
    (),
    ("",),
    ("rnu", "study.yaml"),
    ("\udcff",),
    ("run",),
    ("run", ""),
    ("run", "absent.yaml"),
    ("run", "quickstrat"),
    ("run", "."),
    ("run", "train.csv", "--out", "out"),
    ("run", "/dev/null", "--out", "out"),
    ("run", "\udcff.yaml", "--out", "out"),
    ("run", "x" * 5000, "--out", "out"),
    ("run", "\x1b[31m.yaml", "--out", "out"),
    ("run", "study.yaml", "more.yaml"),
    ("run", "study.yaml", "--out"),
    ("run", "study.yaml", "--workers", "0", "--out", "out"),
    ("run", "study.yaml", "--workers", "-1", "--out", "out"),
    ("run", "study.yaml", "--workers", "x", "--out", "out"),
    ("run", "study.yaml", "--workers", "1" * 5000, "--executor", "process", "--out", "out"),
    ("run", "study.yaml", "--workers", "1000000000", "--executor", "process", "--out", "out"),
    ("run", "study.yaml", "--workers", "3", "--out", "out"),
    ("run", "study.yaml", "--executor", "cloud", "--out", "out"),
    ("run", "study.yaml", "--executor", "", "--out", "out"),
    ("run", "study.yaml", "--sett", "a=b"),
    ("run", "study.yaml", "--set"),
    ("plan",),
    ("plan", "study.yaml", "--out", "out"),
    ("plan", "study.yaml", "\ud83d"),
    ("status",),
    ("status", "absent"),
    ("status", "study.yaml"),
    ("status", ""),
    ("status", "\udcff"),
    ("status", "x" * 5000),
    ("status", "a\0b"),
    ("report",),
    ("report", "absent"),
    ("report", "."),
    ("report", "\udcff"),
    ("report", "/dev/null"),
    ("report", "a\0b"),
    ("studies", "more"),
    ("studies", "--set", "a=b"),
    ("--verson",),
)


def cases() -> Iterator[Case]:
    """Return all cases of this file."""
    yield from _wrong_values()
    for name, keys in STRUCTURES.items():
        yield Case(kind="study", name=name, change=_with_keys(keys))
    for name, text in YAML.items():
        yield Case(kind="YAML", name=name, change=with_text(text), want="refused")
    yield from _names()
    for override in OVERRIDES:
        yield Case(kind="--set", name=override, options=("--set", override))
    for words in COMMAND_LINES:
        yield Case(kind="command line", name=" ".join(words), commands=(words,))
    for encoding in ("ascii", "latin-1", "cp1252", "koi8-r"):
        yield Case(kind="encoding", name=f"{encoding}, sound", encoding=encoding, want="fine")
        hidden = with_value(("name",), "\U0001f642 中文")
        yield Case(kind="encoding", name=f"{encoding}, refused", change=hidden, encoding=encoding)
        method = with_value(("methods", "lora", "rnak"), "Ünï\U0001f642")
        yield Case(kind="encoding", name=f"{encoding}, of a value", change=method, encoding=encoding)
        label = with_value(("tasks", "films", "labels", "0"), "schön \U0001f642 中")
        yield Case(kind="encoding", name=f"{encoding}, of a label", change=label, encoding=encoding)


def _wrong_values() -> Iterator[Case]:
    pairs = [(key, value) for key in EVERY_KEY.split() for value in WRONG_VALUES]
    for key, value in random.Random(1).sample(pairs, WRONG_VALUE_CASES):
        path = tuple(key.split("."))
        change = with_value(path, value, _with_what_leads_to(path))
        yield Case(kind="value", name=f"{key}: {str(value)[:40]}", change=change)


def _with_what_leads_to(path: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the sound study with the optional part that a path leads through."""
    match path:
        case ("methods", name, *_) if name in OF_METHODS:
            return {**STUDY, "methods": {**STUDY["methods"], name: OF_METHODS[name]}}
        case ("ablations", *_):
            return {**STUDY, "ablations": {"a": {"of": "lora", "vary": {"rank": [1, 2]}}}}
        case ("search", *_):
            return {**STUDY, "search": {"trials": 1}}
        case _:
            return STUDY


def _with_keys(keys: Mapping[str, Any]) -> Change:
    study = {key: value for key, value in {**STUDY, **keys}.items() if value is not ...}
    return lambda folder: write_study(folder, study)


def _names() -> Iterator[Case]:
    """Return hostile names of every kind; those that patterns forbid are refused, the others shown."""
    pairs = [(thing, name) for thing in NAMED_THINGS for name in HOSTILE_NAMES]
    for thing, name in random.Random(2).sample(pairs, 75):
        text = HOSTILE_NAMES[name]
        yield Case(kind="name", name=f"{thing}: {name}", change=_named(thing, text))


def _named(thing: str, name: str) -> Change:
    study = json.loads(json.dumps(STUDY))
    films = study["tasks"]["films"]
    match thing:
        case "study":
            study["name"] = name
        case "task":
            study["tasks"] = {name: films}
        case "method":
            study["methods"][name] = {"kind": "lora", "rank": 2}
        case "variant":
            # the only values of an ablation that are free text
            study["methods"]["p"] = {"kind": "prompt", "length": 2, "init": "text", "init_text": "a"}
            study["ablations"] = {"a": {"of": "p", "vary": {"init_text": [name, "good"]}}}
        case "label":
            films["labels"] = {"0": name, "1": "positive"}
            films["max_target_length"] = 400
        case "column":
            films["target"] = name

    def change(folder: Path) -> None:
        write_study(folder, study)
        if thing == "column":
            for path in folder.glob("*.csv"):
                header, _, rest = path.read_text(encoding="utf-8").partition("\n")
                quoted = '"' + name.replace('"', '""') + '"'
                text = header.strip().replace("label", quoted) + "\n" + rest
                path.write_bytes(text.encode("utf-8", "surrogatepass"))

    return change
