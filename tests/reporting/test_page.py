"""The HTML page: what it allows itself, what its scripts read, and what it shows without them."""

import base64
import hashlib
import json
import re
from collections import Counter, defaultdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from helpers import fabricated as made
from helpers.answers import write_all, write_baseline
from tuneoff.reporting import write_report
from tuneoff.reporting.data import ReportData, load_report_data
from tuneoff.reporting.decision import PRICES, decision_json, decision_statements
from tuneoff.reporting.evidence import checks_table, comparisons_table, health_table
from tuneoff.reporting.methods import described_methods
from tuneoff.reporting.page import pages
from tuneoff.reporting.page.build import json_for_html
from tuneoff.reporting.sections import document
from tuneoff.reporting.tables import by_task, summary_table
from tuneoff.results import metric_name, read_curve, read_records
from tuneoff.results.layout import StudyFolder
from tuneoff.spec import expand, load_study

pytestmark = pytest.mark.slow

ACCURACIES = {"zero_shot": 0.6, "full": 0.87, "lora": 0.85, "prefix": 0.75, "prompt": 0.7}
STATIC = Path(__file__).parents[2] / "src/tuneoff/reporting/page/static"


class _Page(HTMLParser):
    """What a page consists of: its elements, addresses, inline scripts and styles, and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": []}
        self.ids: list[str] = []
        self.texts: list[str] = []
        self._open: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag in self.inside:
            self.inside[tag].append("")
            self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = None if tag == self._open else self._open

    def handle_data(self, data: str) -> None:
        if self._open:
            self.inside[self._open][-1] += data
        else:
            self.texts.append(data)

    def values(self, name: str) -> list[str]:
        """All values of an attribute."""
        return [attrs[name] or "" for _, attrs in self.elements if name in attrs]

    @property
    def payload(self) -> dict[str, Any]:
        """What the scripts read."""
        return json.loads(self.inside["script"][0])

    @property
    def policy(self) -> dict[str, list[str]]:
        """The sources by directive of the page's Content-Security-Policy."""
        (content,) = [attrs["content"] for _, attrs in self.elements if "http-equiv" in attrs]
        directives = [one.split() for one in (content or "").split(";")]
        return {name: sources for name, *sources in directives}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks with predictions of one, an ablation, three seeds; a run failed and one is missing."""
    folder = tmp_path_factory.mktemp("out")
    study = made.a_study(
        tasks={"sst2": made.SST2, "samsum": made.SAMSUM},
        ablations={"projection": {"of": "prefix", "vary": {"projection": [512, None]}}},
    )
    runs = made.by_name(study)
    failed = runs["samsum", "prompt", "full", 2]
    missing = runs["samsum", "lora", "full", 1]
    records = [
        made.a_failure(run, message="no </script> space") if run == failed else made.a_record(run)
        for run in expand(study)
        if run != missing
    ]
    made.write_folder(folder, study, records=records)
    own = tuple(one for one in read_records(folder) if one.spec.task_name == "sst2")
    write_all(folder, own, ACCURACIES | {"prefix-projection=none": 0.72})
    write_baseline(folder, study, "sst2", "tfidf", 0.72)
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> _Page:
    return _Page((folder / "report" / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def data(folder: Path) -> ReportData:
    return load_report_data(folder)


def test_the_policy_allows_the_scripts_and_styles_of_the_page_by_their_hashes_and_nothing_else(
    page: _Page,
) -> None:
    def sources(texts: list[str]) -> list[str]:
        digests = (hashlib.sha256(text.encode()).digest() for text in texts)
        return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]

    assert page.policy == {
        "default-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "script-src": sources(page.inside["script"][1:]),
        "style-src": sources(page.inside["style"]),
    }
    assert "style" not in {name for _, attrs in page.elements for name in attrs}
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]


def test_the_page_leads_to_files_of_the_study_and_loads_nothing(folder: Path, page: _Page) -> None:
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"link", "iframe", "object", "img", "base", "form"}
    assert page.values("src") == []
    links = page.values("href")
    inside = [link[1:].partition("?")[0] for link in links if link.startswith("#")]
    assert set(inside) <= set(page.ids)
    outside = [link for link in links if not link.startswith("#")]
    assert outside and all(link.startswith("../runs/") for link in outside)
    assert all((folder / "report" / unquote(link)).is_file() for link in outside)
    style = page.inside["style"][0]
    assert "url(" not in style and "@import" not in style


def test_no_element_has_the_name_of_another(page: _Page) -> None:
    assert len(set(page.ids)) == len(page.ids)
    regions = [attrs for tag, attrs in page.elements if attrs.get("role") == "region"]
    names = [attrs["aria-label"] for attrs in regions]
    assert {"Comparisons with references: sst2", "Results: samsum"} <= set(names)
    assert len(set(names)) == len(names)
    assert all(attrs["tabindex"] == "0" for attrs in regions)  # the keyboard scrolls them


def test_a_table_of_a_task_begins_with_the_method_and_its_score(data: ReportData) -> None:
    results = {one.caption: one.columns for one in by_task(data, summary_table(data))}
    assert {task: columns[:2] for task, columns in results.items()} == {
        "sst2": ("Method", "accuracy"),
        "samsum": ("Method", "ROUGE-L"),
    }
    (compared,) = by_task(data, comparisons_table(data))
    assert compared.columns[:4] == ("Method", "Reference", "Difference", "95% interval")
    assert [compared.holds_text(place) for place in range(3)] == [True, True, False]
    outcomes = [row[compared.columns.index("Outcome")] for row in compared.rows]
    assert outcomes == [one.outcome for one in data.judgement.comparisons]


def test_the_page_is_small(folder: Path, page: _Page) -> None:
    size = (folder / "report" / "report.html").stat().st_size
    library = max(page.inside["script"], key=len)
    assert "vegaEmbed" in library
    assert size - len(library.encode()) < 400_000
    assert size < 2_000_000


def test_a_reader_without_scripts_has_the_decision_the_tables_and_the_sentences(
    page: _Page, data: ReportData
) -> None:
    told = " ".join(" ".join(page.texts).split())
    (statement,) = decision_statements(data)
    assert "Charts, sorting and filters need JavaScript" in told
    (decision,) = data.judgement.decisions.values()
    headline = f"Use {decision.recommended}" if decision.state == "shown" else f"{decision.recommended} leads"
    assert headline in told
    reason = statement.text.partition("): ")[2].partition(". ")[0].rstrip(".")
    assert reason in told
    for record in data.records:
        assert record.run_id in told
    assert "Hu et al. 2021" in told


def test_many_findings_are_counted_by_check_and_listed_a_click_deeper(folder: Path, data: ReportData) -> None:
    study = data.study
    low = folder.parent / "low"
    made.write_folder(low, study)
    own = tuple(one for one in read_records(low) if one.spec.task_name == "sst2")
    write_all(low, own, defaultdict(lambda: 0.3))
    judged = load_report_data(low)
    counted = {str(row[0]): int(str(row[2])) for row in checks_table(judged).rows}
    expected = Counter[str]()
    for findings in judged.judgement.findings.values():
        expected.update({one.check for one in findings})
    assert counted == expected
    text = pages(judged, document(judged, ()), library="")["report.html"]
    assert f"<summary>All {len(health_table(judged).rows)} findings</summary>" in text


def test_scripts_read_every_run_with_its_curve_its_findings_and_its_files(
    folder: Path, page: _Page, data: ReportData
) -> None:
    runs = page.payload["runs"]
    assert runs.keys() == {record.run_id for record in data.records}
    for record in data.records:
        run = runs[record.run_id]
        fields = dict(run["fields"])
        assert (fields["task"], fields["seed"]) == (record.spec.task_name, str(record.spec.seed))
        for name, value in record.scores.items():
            assert float(fields[f"test {metric_name(name)}"]) == pytest.approx(value, abs=6e-5)
        findings = data.judgement.findings[record.run_id]
        assert [one[:2] for one in run["findings"]] == [[one.level, one.check] for one in findings]
        assert all((folder / "report" / unquote(href)).is_file() for _, href in run["files"])
        points = read_curve(StudyFolder(folder).run(record.run_id))
        scored = [(point.step, point.scores["eval_loss"]) for point in points if point.scores]
        steps, losses = page.payload["curves"][record.run_id]["panels"][1]
        assert steps == [step for step, _ in scored]
        assert losses == pytest.approx([loss for _, loss in scored], rel=1e-4)
    failed = [run for run in runs.values() if run["failure"]]
    assert [run["failure"] for run in failed] == ["OSError: no </script> space"]


def test_every_chart_has_its_place_on_the_page(page: _Page) -> None:
    views = page.payload["views"]
    places = page.values("data-group")
    assert sorted(places) == sorted(views)
    for group in views.values():
        keys = {tuple(one["choices"]) for one in group}
        assert len(keys) == 1  # every chart of a group answers the same questions
        choices = [tuple(one["choices"].values()) for one in group]
        assert len(set(choices)) == len(choices)


def test_the_frontier_can_be_seen_for_every_price_that_is_known(page: _Page, data: ReportData) -> None:
    (own,) = decision_json(data)["sst2"].values()
    assert list(own["frontier"]) == list(PRICES)
    known = {PRICES[name] for name, candidates in own["frontier"].items() if candidates}
    drawn = {one["choices"]["price"] for one in page.payload["views"]["frontier-0"]}
    # the fabricated records say nothing of bytes
    assert drawn == {"trained parameters", "training time", "time per answer"} <= known
    assert "baseline tfidf" in own["frontier"]["trained_parameters"]
    assert "zero_shot" not in own["frontier"]["trained_parameters"]  # worse, and as cheap
    assert "baseline tfidf" not in own["frontier"]["seconds_per_answer"]


def test_the_curves_of_all_methods_of_a_task_are_one_chart(page: _Page) -> None:
    curves = page.payload["views"]["curves"]
    own = [
        one
        for one in curves
        if one["choices"] == {"task": "sst2", "methods": "of the study", "show": "train loss"}
    ]
    (one,) = own
    methods = [page.payload["runs"][run]["method"] for run in one["curves"]["runs"]]
    assert methods == ["full"] * 3 + ["lora"] * 3 + ["prefix"] * 3 + ["prompt"] * 3


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "]]>", "&lt;", "\u2028\u2029", "é\u202e"])
def test_what_scripts_read_cannot_end_their_element(text: str) -> None:
    told = json_for_html({text: text})
    assert not re.search("[<>&\u2028\u2029]", told)
    assert json.loads(told) == {text: text}


def test_the_study_on_the_page_is_the_study(page: _Page, data: ReportData, tmp_path: Path) -> None:
    (text,) = [one for one in page.texts if one.startswith("name: fabricated")]
    again = tmp_path / "study.yaml"
    again.write_text(text, encoding="utf-8")
    assert load_study(str(again)) == data.study


def test_methods_are_described_with_their_settings_counts_and_sources(data: ReportData) -> None:
    methods, conditions = described_methods(data)
    texts = {one.name: one.text for one in methods}
    assert texts["zero_shot"] == "zero_shot is google/flan-t5-small as it is, without training."
    assert texts["lora"] == (
        "lora adds low-rank updates of rank 8 (alpha 16) to the layers that its family has for it. It trains "
        "344,064 parameters (0.447% of the model) with AdamW at a learning rate of 0.001."
    )
    assert "made by an MLP of width 512" in texts["prefix"]
    sources = {one.name: " ".join(one.sources) for one in methods}
    assert "arXiv:2106.09685" in sources["lora"] and "arXiv:1711.05101" in sources["lora"]
    assert "arXiv:2101.00190" in sources["prefix"]
    assert "arXiv:2104.08691" in sources["prompt"] and "arXiv:1804.04235" in sources["prompt"]
    assert conditions.startswith(
        "Every method is trained with 3 seeds on the same rows in the same order, for"
    )


def test_a_stack_and_a_search_are_described(tmp_path: Path) -> None:
    stack = {"kind": "stack", "parts": [{"kind": "lora"}, {"kind": "prompt", "length": 1}]}
    search: dict[str, Any] = {"trials": 2, "seeds": [900]}
    search["spaces"] = {"lora": {"rank": [1, 8, "log"]}, "both": {"prompt.length": [1, 9, "log"]}}
    study = made.a_study(methods={"lora": {"kind": "lora"}, "both": stack}, search=search, seeds=[0])
    made.write_folder(tmp_path, study, records=[])
    methods, _ = described_methods(load_report_data(tmp_path))
    texts = {one.name: one.text for one in methods}
    assert "; it also prepends 1 trained vector to the input" in texts["both"]
    assert texts["lora"].endswith("rank is chosen by the search on validation.")
    assert texts["both"].endswith("prompt.length is chosen by the search on validation.")


def test_no_script_can_end_its_element() -> None:
    for path in STATIC.iterdir():
        assert "</script" not in path.read_text(encoding="utf-8").lower(), path.name


def test_the_library_is_one_whole_script(page: _Page) -> None:
    assert len(page.inside["script"]) == 3  # data, library, the page's own
    assert all(text.strip() for text in page.inside["script"])
