"""What a report says about forgetting beside its decision, from losses made up by formula."""

from pathlib import Path

import numpy as np
import pytest

from helpers import fabricated as made
from helpers.answers import write_all
from tuneoff.reporting.data import load_report_data
from tuneoff.reporting.decision import decision_statements, decision_table
from tuneoff.reporting.evidence import forgetting_table
from tuneoff.reporting.latex import latex
from tuneoff.reporting.page.answers import answers
from tuneoff.reporting.tables import summary_csv, summary_table
from tuneoff.results import Forgetting, RunRecord, read_records
from tuneoff.results.forgetting import TextLoss, write_text_losses
from tuneoff.results.format import dump_json, file_checksums
from tuneoff.results.reader import folder_study

METHODS = {name: made.METHODS[name] for name in ("zero_shot", "full", "lora")}
EQUAL = {"zero_shot": 0.5, "full": 0.85, "lora": 0.85}
TEXTS = 40


def _folder(folder: Path, increases: dict[str, float]) -> Path:
    """A study whose full fine-tuning is preferred for its price among two that are as good."""
    comparison = {"margin": 0.1, "prefer": "time"}
    study = made.a_study(methods=METHODS, comparison=comparison, forgetting={"texts": "builtin"})
    made.write_folder(folder, study)
    write_all(folder, read_records(folder), EQUAL)
    inputs = made.inputs_of(study).model_copy(update={"texts": "the texts"})
    (folder / "study.yaml").write_text(folder_study(study, inputs), encoding="utf-8")
    for record in read_records(folder):
        _measure(folder, record, increases.get(record.spec.method_name, 0.0))
    return folder


def _measure(folder: Path, record: RunRecord, increase: float) -> None:
    random = np.random.default_rng(record.spec.seed + len(record.spec.method_name))
    noise = random.normal(0, 0.01, TEXTS) if increase else np.zeros(TEXTS)
    losses = [TextLoss(row, 20 + row, 3.0, 3.0 + increase + float(noise[row])) for row in range(TEXTS)]
    place = folder / "runs" / record.run_id
    (place / "record.json").unlink()
    write_text_losses(place / "forgetting.parquet", losses)
    tokens = sum(one.tokens for one in losses)
    after = sum(one.tokens * one.after for one in losses) / tokens
    found = Forgetting(
        objective="continuation",
        before=3.0,
        after=after,
        texts=TEXTS,
        tokens=tokens,
        truncated=0,
        digest="the texts",
    )
    changes = {"forgetting": found, "files": file_checksums(place)}
    (place / "record.json").write_text(dump_json(record.model_copy(update=changes)), encoding="utf-8")


@pytest.mark.slow
def test_a_report_says_that_the_recommended_method_forgets_more_than_one_that_is_as_good(tmp_path: Path):
    data = load_report_data(_folder(tmp_path, {"full": 0.3, "lora": 0.3}))
    (decision,) = data.judgement.decisions.values()
    chosen = str(decision.recommended)
    other = "lora" if chosen == "full" else "full"
    assert "forgets more" not in decision_statements(data)[0].text

    more = tmp_path / "more"
    data = load_report_data(_folder(more, {chosen: 0.3, other: 0.1}))
    (statement,) = decision_statements(data)
    told = f"On general text {chosen} forgets more than {other} (by +0.2"
    assert told in statement.text and "with no better score shown for it." in statement.text
    (task,) = answers(data)
    assert task.answers[0].forgetting.startswith(told)

    # in every table of candidates or methods, with its interval
    for table, name in ((decision_table(data), 2), (summary_table(data), 0)):
        column = table.columns.index("Forgetting")
        entries = {str(row[name]).removesuffix(" (recommended)"): str(row[column]) for row in table.rows}
        assert entries["zero_shot"] == "0"
        assert entries[chosen].startswith(("+0.29", "+0.30")) and " (+0." in entries[chosen]
    rows = {str(row[0]): row for row in forgetting_table(data).rows}
    assert rows[other][3] == "3.000" and str(rows[other][4]).startswith(("3.09", "3.10"))
    assert r"& Forgetting \\" in " ".join(latex(data).split())
    assert summary_csv(data)["forgetting"].notna().all()


@pytest.mark.slow
def test_losses_that_were_changed_afterwards_damage_the_run(tmp_path: Path) -> None:
    folder = _folder(tmp_path, {"full": 0.3, "lora": 0.1})
    path = next((folder / "runs").glob("sst2.lora.*/forgetting.parquet"))
    write_text_losses(path, [TextLoss(0, 1, 3.0, 3.0)])
    data = load_report_data(folder)
    assert [one.path.parent for one in data.damaged] == [path.parent]
