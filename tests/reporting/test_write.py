import csv
import json
import re
import statistics
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest

from helpers import fabricated as made
from tuneoff.errors import StoreError
from tuneoff.reporting import document, latex, write, write_report
from tuneoff.reporting.charts import MOST_SEEDS
from tuneoff.reporting.data import load_report_data
from tuneoff.reporting.figures import curve_figures, curve_groups
from tuneoff.results import read_records
from tuneoff.spec import expand
from tuneoff.stats import SPEEDS

pytestmark = pytest.mark.slow

SEED_COLUMNS = [
    "Trainable %",
    "eval_accuracy",
    "eval_f1",
    "eval_loss",
    "eval_rouge1",
    "eval_rouge2",
    "eval_rougeL",
    "eval_rougeLsum",
    "eval_runtime",
    "eval_samples_per_second",
    "eval_steps_per_second",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks, an ablation, two seeds; one run failed, one diverged, one is missing."""
    study = made.a_study(
        tasks={"sst2": made.SST2, "samsum": made.SAMSUM},
        methods={name: made.METHODS[name] for name in ("zero_shot", "full", "prefix", "prompt")},
        ablations={"prefix_projection": {"of": "prefix", "vary": {"projection": [512, None]}}},
        seeds=[0, 1],
    )
    cells = made.by_name(study)
    bad = {
        cells["sst2", "full", "full", 1].run_id: made.a_failure(cells["sst2", "full", "full", 1]),
        cells["sst2", "prompt", "full", 0].run_id: made.a_failure(
            cells["sst2", "prompt", "full", 0], state="diverged", message="the loss is nan | at step 430"
        ),
    }
    missing = cells["samsum", "prompt", "full", 1]
    records = [bad.get(run.run_id, made.a_record(run)) for run in expand(study) if run != missing]
    place = made.write_folder(tmp_path_factory.mktemp("out"), study, records=records)
    assert write_report(place).report == place / "report" / "report.html"
    return place


def text(folder: Path, name: str = "report.md") -> str:
    return (folder / "report" / name).read_text(encoding="utf-8")


def csv_rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(text(folder, "summary.csv").splitlines()))


def results_table(folder: Path) -> list[list[str]]:
    """Return the lines of the table of results: its header, a rule and its rows."""
    return next(table for table in md_tables(text(folder)) if "Trainable parameters" in table[0])


def md_tables(markdown: str) -> list[list[list[str]]]:
    tables: list[list[list[str]]] = [[]]
    for line in markdown.splitlines():
        if line.startswith("|"):
            tables[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif tables[-1]:
            tables.append([])
    return [table for table in tables if table]


def test_the_csv_has_the_columns_of_the_first_table_with_spread_counts_and_origin(folder: Path) -> None:
    header = text(folder, "summary.csv").splitlines()[0].split(",")
    scores = [*SEED_COLUMNS[1:], "eval_f1_macro"]
    counts = ["n", "trainable_parameters", "stored_parameters", "deployed_parameters", "run_ids"]
    deviations = [f"{name}_std" for name in scores]
    assert header == ["Method", "Task", "Train size", "Trainable %", *scores, *deviations, *counts]


def test_the_table_of_results_has_the_columns_in_their_order(folder: Path) -> None:
    header = results_table(folder)[0]
    scores = ["accuracy", "F1", "loss", "ROUGE-1", "ROUGE-2", "ROUGE-L", "ROUGE-Lsum"]
    speeds = ["test seconds", "answers per second", "batches per second"]
    ends = ["macro F1", "n", "Trainable parameters", "Health"]
    assert header == ["Method", "Task", "Trainable %", *scores, *speeds, *ends]


def test_readers_see_names_of_metrics_and_programs_the_fields_of_records(folder: Path) -> None:
    told = [text(folder), text(folder, "report.html"), latex(load_report_data(folder))]
    fields = {field for record in read_records(folder) for field in record.scores} | {*SPEEDS}
    assert {"eval_accuracy", "eval_rougeL", "eval_loss"} <= fields
    assert [field for field in fields for one in told if field in one] == []
    assert fields <= set(text(folder, "summary.csv").splitlines()[0].split(","))


def test_what_is_zero_is_not_what_was_not_measured(folder: Path) -> None:
    header, _, *rows = results_table(folder)
    first = dict(zip(header, rows[0], strict=True))
    assert first["Method"] == "zero_shot"
    assert (first["Trainable %"], first["Trainable parameters"], first["ROUGE-L"]) == (
        "0",
        "0",
        "\N{EN DASH}",
    )
    section = text(folder).split("\n## Results\n")[1].split("</details>")[0]
    assert "|\n\n\N{EN DASH}: not measured, or not applicable\n" in section


def test_a_row_stands_for_each_method_and_variant_of_each_task_in_study_order(folder: Path) -> None:
    methods = ["zero_shot", "full", "prefix", "prompt", "prefix-projection=none"]
    expected = [(method, task) for task in ("sst2", "samsum") for method in methods]
    assert [(row["Method"], row["Task"]) for row in csv_rows(folder)] == expected
    assert [tuple(row[:2]) for row in results_table(folder)[2:]] == expected


def test_numbers_of_the_csv_can_be_recomputed_from_the_records_of_their_runs(folder: Path) -> None:
    checked = 0
    for row in csv_rows(folder):
        ids = row["run_ids"].split(";")
        records = [
            json.loads((folder / "runs" / one / "record.json").read_text(encoding="utf-8")) for one in ids
        ]
        assert int(row["n"]) == len(records)
        for name in ("eval_accuracy", "eval_rougeL", "eval_loss"):
            values = [record["scores"][name] for record in records if name in record["scores"]]
            if values:
                assert float(row[name]) == pytest.approx(statistics.mean(values))
                checked += 1
            if len(values) > 1:
                assert float(row[f"{name}_std"]) == pytest.approx(statistics.stdev(values), abs=1e-12)
            else:
                assert row[f"{name}_std"] == ""
    assert checked == 20


def test_score_cells_show_mean_and_spread_and_single_runs_only_the_score(folder: Path) -> None:
    header, _, *rows = results_table(folder)
    accuracy, n = header.index("accuracy"), header.index("n")
    by_name = {tuple(row[:2]): row for row in rows}
    runs = [row for row in csv_rows(folder) if row["Method"] == "prefix" and row["Task"] == "sst2"]
    mean, std = float(runs[0]["eval_accuracy"]), float(runs[0]["eval_accuracy_std"])
    assert by_name["prefix", "sst2"][accuracy] == f"{mean:.3f} ± {std:.3f}"
    assert re.fullmatch(r"0\.\d{3}", by_name["full", "sst2"][accuracy])
    assert (by_name["full", "sst2"][n], by_name["prefix", "sst2"][n]) == ("1 of 2", "2")


def test_trainable_percent_is_never_rounded_to_nothing(folder: Path) -> None:
    header, _, *rows = results_table(folder)
    shown = {row[0]: row[header.index("Trainable %")] for row in rows}
    assert shown["zero_shot"] == "0"
    assert shown["full"] == "100"
    assert shown["prompt"] == "0.0133"  # 10,240 of 76,961,152


def test_every_run_of_the_plan_is_listed_and_links_to_its_record(folder: Path) -> None:
    links = re.findall(r"\]\((\.\./runs/[^)]+)\)", text(folder))
    listed = {unquote(link) for link in links}
    records = sorted((folder / "runs").glob("*/record.json"))
    assert listed == {f"../runs/{record.parent.name}/record.json" for record in records}
    assert all((folder / "report" / link).is_file() for link in listed)
    assert text(folder).count("| not run ") == 1


def test_links_have_forward_slashes_and_lead_to_files(folder: Path) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", text(folder))
    assert targets
    assert not [target for target in targets if "\\" in target]
    inside = {target for target in targets if target.startswith("#")}
    assert all((folder / "report" / unquote(target)).is_file() for target in targets if target not in inside)
    headings = re.findall(r"^## (.+)$", text(folder), re.MULTILINE)
    assert inside <= {f"#{heading.lower().replace(' ', '-')}" for heading in headings}


def test_progress_counts_complete_failed_diverged_and_missing_runs(folder: Path) -> None:
    assert "15 of 18 runs are complete; 1 diverged, 1 failed, 1 not run yet." in text(folder)


def test_failed_runs_are_listed_with_state_and_message(folder: Path) -> None:
    section = text(folder).split("## Incomplete runs")[1].split("## ")[0]
    rows = md_tables(section)[0][2:]
    assert [row[1:] for row in rows] == [
        ["diverged", "OSError", "the loss is nan \\| at step 430"],
        ["failed", "OSError", "no space left"],
    ]


@pytest.mark.parametrize("heading", ["Configuration", "Data", "Versions and machine", "Seeds", "Wall time"])
def test_the_circumstances_have_their_sections(folder: Path, heading: str) -> None:
    assert f"\n## {heading}\n" in text(folder)
    assert f"<summary><h2>{heading}</h2></summary>" in text(folder, "report.html")


def test_each_task_has_one_picture_of_all_learning_curves_and_one_of_each_ablation(folder: Path) -> None:
    stems = [f"curve-{task}{end}" for task in ("sst2", "samsum") for end in ("", "-prefix_projection")]
    expected = {f"{stem}.{ending}" for stem in stems for ending in ("png", "svg")}
    assert {path.name for path in (folder / "report" / "plots").glob("curve-*")} == expected


def test_of_many_seeds_the_curves_of_the_first_are_drawn_and_the_picture_says_so(tmp_path: Path) -> None:
    study = made.a_study(methods={"lora": made.METHODS["lora"]}, seeds=list(range(MOST_SEEDS + 1)))
    made.write_folder(tmp_path, study)
    data = load_report_data(tmp_path)
    (group,) = curve_groups(data)
    assert [run.spec.seed for run in group.records] == list(range(MOST_SEEDS))
    (drawing,) = curve_figures(data)
    assert drawing.chart["title"]["subtitle"].endswith(f"; the first {MOST_SEEDS} seeds of each")


def test_each_task_has_a_picture_of_its_ablation(folder: Path) -> None:
    plots = folder / "report" / "plots"
    for task in ("sst2", "samsum"):
        assert (plots / f"ablation-prefix_projection-{task}.png").is_file()
    assert not list(plots.glob("sizes-*"))


def test_the_prompt_the_method_settings_and_the_data_source_are_told(folder: Path) -> None:
    told = text(folder)
    assert "Summarize this dialogue: {dialogue}" in told
    assert "projection=512" in told
    assert "SetFit/sst2" in told
    assert "abababababab " in told


def test_train_sizes_get_rows_charts_and_curves_of_their_own(tmp_path: Path) -> None:
    methods = {name: made.METHODS[name] for name in ("zero_shot", "lora")}
    made.write_folder(tmp_path, made.a_study(methods=methods, train_sizes=[100, "full"], seeds=[0]))
    write_report(tmp_path)
    assert results_table(tmp_path)[0][:4] == ["Method", "Task", "Train size", "Trainable %"]
    assert [(row["Method"], row["Train size"]) for row in csv_rows(tmp_path)] == [
        ("zero_shot", ""),
        ("lora", "100"),
        ("lora", "full"),
    ]
    assert {path.name for path in (tmp_path / "report" / "plots").glob("*.png")} == {
        "curve-sst2-n100.png",
        "curve-sst2-nfull.png",
        "sizes-sst2.png",
    }


def test_a_folder_without_records_gives_a_report_that_says_so(tmp_path: Path) -> None:
    made.write_folder(tmp_path, made.a_study(), records=[])
    write_report(tmp_path)
    assert "0 of 13 runs are complete; 13 not run yet." in text(tmp_path)
    assert "No run is complete" in text(tmp_path)
    assert [row["n"] for row in csv_rows(tmp_path)] == ["0"] * 5


def test_only_failed_runs_give_a_report_without_charts(tmp_path: Path) -> None:
    study = made.a_study(seeds=[0])
    failures = [made.a_failure(run, state="out_of_memory") for run in expand(study)]
    made.write_folder(tmp_path, study, records=failures, curve=lambda run: ())
    write_report(tmp_path)
    assert "0 of 5 runs are complete; 5 out of memory." in text(tmp_path)
    assert list((tmp_path / "report" / "plots").iterdir()) == []


def test_a_diverged_run_keeps_its_curve(tmp_path: Path) -> None:
    study = made.a_study(methods={"full": made.METHODS["full"]}, seeds=[0])
    failures = [made.a_failure(run, state="diverged") for run in expand(study)]
    made.write_folder(tmp_path, study, records=failures, curve=lambda run: made.a_curve(run, diverges=True))
    write_report(tmp_path)
    assert (tmp_path / "report" / "plots" / "curve-sst2.png").is_file()


def test_hostile_text_is_shown_and_never_run(tmp_path: Path) -> None:
    attack = "<script>alert(1)</script>"
    prompt = made.SST2 | {"prompt": f"{attack} {{text}}"}
    variants = {"of": "prompt", "vary": {"init_text": ["<img src=x onerror=alert(2)>"]}}
    study = made.a_study(
        tasks={"sst2": prompt},
        methods={"prompt": made.METHODS["prompt"] | {"init": "text", "init_text": "x"}},
        ablations={"words": variants},
        seeds=[0],
    )
    failures = [made.a_failure(run, message=f"bad\n{attack} | `x`") for run in expand(study)]
    made.write_folder(tmp_path, study, records=failures)
    write_report(tmp_path)
    page, markdown = text(tmp_path, "report.html"), text(tmp_path)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;img src=x onerror=alert(2)&gt;" in page
    assert page.count("<script") == 3  # the page's own
    assert "<script" not in markdown
    assert "<img src=x" not in page + markdown
    assert all((tmp_path / "report" / path).is_file() for path in re.findall(r"\((plots/[^)]+)\)", markdown))


def test_a_second_report_replaces_the_first(tmp_path: Path) -> None:
    study = made.a_study(methods={"zero_shot": made.METHODS["zero_shot"]}, seeds=[0])
    made.write_folder(tmp_path, study, records=[])
    write_report(tmp_path)
    (tmp_path / "report" / "plots" / "old.png").write_bytes(b"")
    made.write_folder(tmp_path, study)
    write_report(tmp_path)
    assert "1 of 1 runs are complete." in text(tmp_path)
    assert not (tmp_path / "report" / "plots" / "old.png").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"study.yaml", "runs", "report", ".report.lock"}


@pytest.mark.usefixtures("drawing")
def test_a_report_takes_the_place_of_a_link_and_leaves_alone_what_it_leads_to(tmp_path: Path) -> None:
    folder = made.write_folder(tmp_path / "out", made.a_study(seeds=[0]))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.html").write_text("mine", encoding="utf-8")
    (folder / "report").symlink_to(tmp_path / "mine")
    write_report(folder)
    assert not (folder / "report").is_symlink()
    assert "<html" in (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert [path.read_text(encoding="utf-8") for path in (tmp_path / "mine").iterdir()] == ["mine"]


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    study = made.a_study(methods={"prompt": made.METHODS["prompt"]}, seeds=[0, 1])
    made.write_folder(tmp_path, study)
    contents = []
    for _ in range(2):
        write_report(tmp_path)
        files = sorted(path for path in (tmp_path / "report").rglob("*") if path.is_file())
        contents.append([(path.name, path.read_bytes()) for path in files])
    assert contents[0] == contents[1]


def test_a_report_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = made.a_study(methods={"zero_shot": made.METHODS["zero_shot"]}, seeds=[0])
    made.write_folder(tmp_path, study)
    write_report(tmp_path)
    before = text(tmp_path)

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device", "report.md")

    monkeypatch.setattr(write, "_write", full_disk)
    with pytest.raises(StoreError, match=r"report\.md.*No space left on device.*free space"):
        write_report(tmp_path)
    assert text(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} == {"study.yaml", "runs", "report", ".report.lock"}


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"study\.yaml"):
        write_report(tmp_path)


def test_of_many_runs_each_is_on_one_page_and_a_file_has_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "MOST_ROWS", 3)
    data = load_report_data(folder)
    texts, _, _ = write.rendered(data, ())
    rows = list(csv.DictReader(texts["runs.csv"].splitlines()))
    assert [row["run_id"] for row in rows] == [record.run_id for record in data.records]
    listed = texts["report.md"].partition("## Runs")[2].partition("\n## ")[0]
    assert f"Rows 1 to 3 of {len(data.plan)}; runs.csv has all." in listed
    assert listed.count("record.json") == 3
    addresses = re.findall(r'<nav class="pages".*?</nav>', texts["report.html"], re.DOTALL)[0]
    pages = re.findall(r'href="(.*?)(?:#runs)?"', addresses)
    assert pages == ["report.html", *(name for name in texts if re.fullmatch(r"runs-\d+\.html", name))]
    on_pages: Counter[str] = Counter()
    for name in pages:
        section = texts[name].partition('<section id="runs">')[2].partition("</section>")[0]
        on_pages.update(re.findall(r"/runs/(.*?)/record\.json", unquote(section)))
        assert addresses in section
        shown = json.loads(
            re.search(r'<script [^>]*type="application/json"[^>]*>(.*?)</script>', texts[name]).group(1)
        )
        assert set(re.findall(r"/runs/(.*?)/record\.json", unquote(section))) <= set(shown["runs"])
        for view in (view for views in shown["views"].values() for view in views if "curves" in view):
            assert set(view["curves"]["runs"]) <= set(shown["runs"])
    assert on_pages == Counter(record.run_id for record in data.records)
