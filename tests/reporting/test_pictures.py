"""Charts are drawn by a process of its own, whose end takes nothing along."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from helpers import fabricated as made
from tuneoff.reporting.charts import Picture, pictures
from tuneoff.reporting.charts.pictures import _WORTH_A_PROCESS, LONGEST_TEXT, _split, readable
from tuneoff.reporting.charts.style import View


def _chart(text: str = "a") -> View:
    encoding = {"y": {"field": "name", "type": "nominal"}, "x": {"value": 10}}
    return {"data": {"values": [{"name": text}]}, "mark": "point", "encoding": encoding, "title": text}


@pytest.mark.usefixtures("drawing")
def test_a_chart_that_cannot_be_drawn_costs_no_other() -> None:
    first, bad, last = pictures([_chart(), {"mark": "no such mark"}, _chart("[b] \x1b \ud800")])
    assert bad is None
    for one in (first, last):
        assert one is not None and one.png.startswith(b"\x89PNG")
        assert ElementTree.fromstring(one.svg).tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.usefixtures("drawing")
def test_several_processes_draw_many_charts_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    names = [f"chart {number}" for number in range(2 * _WORTH_A_PROCESS + 1)]
    drawn = pictures([_chart(name) for name in names])
    assert len(drawn) == len(names)
    for name, one in zip(names, drawn, strict=True):
        assert one is not None and f">{name}<" in one.svg.decode()


def test_whole_pictures_are_kept_of_an_output_that_ends_in_the_midst() -> None:
    def framed(*files: bytes) -> bytes:
        return b"".join(len(file).to_bytes(8, "big") + file for file in files)

    whole = framed(b"<svg/>", b"one") + framed(b"", b"") + framed(b"<svg></svg>", b"three")
    first, last = Picture(b"<svg/>", b"one"), Picture(b"<svg></svg>", b"three")
    assert _split(whole) == [first, None, last]
    assert _split(whole[:-1]) == [first, None]
    assert _split(whole + framed(b"<svg/>")) == [first, None, last]
    assert _split(whole + b"\0\0") == [first, None, last]
    assert _split(b"") == []


def test_texts_of_a_chart_are_visible_short_and_still_apart() -> None:
    long, other = readable(["x" * 5000 + "1", "x" * 5000 + "2"])
    assert long != other
    assert max(len(long), len(other)) < LONGEST_TEXT + 20
    assert readable(_chart("\u202e"))["title"] == r"\u202e"
    assert readable({"a": (1, None, True)}) == {"a": [1, None, True]}


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
def test_a_report_under_a_limit_of_address_space_lacks_charts_and_says_so(tmp_path: Path) -> None:
    methods = {name: made.METHODS[name] for name in ("zero_shot", "full")}
    made.write_folder(tmp_path, made.a_study(methods=methods, seeds=[0]))
    limited = f'ulimit -v 8000000 && exec "{sys.executable}" -m tuneoff report "$0"'
    done = subprocess.run(["sh", "-c", limited, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    line = "1 of 1 charts could not be drawn and are missing."
    assert line in done.stdout
    for name in ("report.md", "report.html"):
        assert line in (tmp_path / "report" / name).read_text(encoding="utf-8")
    assert "![" not in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert list((tmp_path / "report" / "plots").iterdir()) == []
