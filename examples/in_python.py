"""A study from Python: LoRA or a soft prompt? Then a tuned model on two new reviews.

    python examples/in_python.py

It takes some minutes on two cores. Arguments change values of the study, as those of `tuneoff run --set` do:
`python examples/in_python.py training.max_steps=10`
"""

import sys

import tuneoff

STUDY = {
    "name": "in-python",
    "model": {"id": "builtin:tiny"},
    "tasks": {
        "reviews": {
            "kind": "classification",
            "source": {"builtin": "reviews"},
            "prompt": "positive or negative? {text}",
            "target": "label",
            "labels": {"0": "negative", "1": "positive"},
            "max_source_length": 80,
            "max_target_length": 4,
            "max_eval_samples": 40,
            "max_predict_samples": 300,
        }
    },
    "methods": {
        "lora": {"kind": "lora", "targets": ["v", "o", "wi_0", "wi_1", "wo"], "learning_rate": 4e-3},
        "prompt": {"kind": "prompt", "length": 10, "optim": "adafactor", "learning_rate": 0.2},
    },
    "train_sizes": [480],
    "seeds": [0, 1],
    "training": {"max_steps": 30, "eval_steps": 30, "load_best_model_at_end": False},
}


def main() -> None:
    """Do the study with the overrides of the command line, and use what came out of it."""
    result = tuneoff.run(STUDY, out="results/in_python", overrides=sys.argv[1:])
    for sentence in result.conclusions:
        print(sentence)
    print(result.summary[["method", "eval_accuracy", "stored"]])

    # any run by its id; the folder of the study alone stands for a run of what the decision recommends
    lora = result.runs.query("method == 'lora' and seed == 0")["run_id"].item()
    tuned = tuneoff.load_method(f"results/in_python/{lora}")
    rows = [{"text": "I would not call the guide friendly."}, {"text": "The view was brilliant."}]
    print(tuneoff.predict(tuned, rows))


if __name__ == "__main__":
    main()
