from pathlib import Path

from helpers import fabricated as made
from tuneoff.reporting import charts
from tuneoff.reporting.data import load_report_data
from tuneoff.reporting.ranks import rank_figures, ranks_table
from tuneoff.spec import expand

T5 = {
    "encoder.block.0.layer.0.SelfAttention.q": 4,
    "encoder.block.1.layer.0.SelfAttention.q": 0,
    "decoder.block.0.layer.1.EncDecAttention.v": 3,
}
LLAMA = {"model.layers.0.self_attn.q_proj": 2, "model.layers.0.mlp.up_proj": 1}


def test_ranks_are_means_over_runs_by_layer_and_place() -> None:
    data = charts.ranks_data([T5, T5 | {"encoder.block.1.layer.0.SelfAttention.q": 1}])
    assert data.to_dict("records") == [
        {"layer": 0, "place": "encoder.SelfAttention.q", "rank": 4},
        {"layer": 1, "place": "encoder.SelfAttention.q", "rank": 0.5},
        {"layer": 0, "place": "decoder.EncDecAttention.v", "rank": 3},
    ]


def test_a_place_is_named_without_what_all_layers_share() -> None:
    assert list(charts.ranks_data([LLAMA])["place"]) == ["self_attn.q_proj", "mlp.up_proj"]
    one = {"model.layers.0.self_attn.q_proj": 2, "model.layers.1.self_attn.q_proj": 2}
    assert set(charts.ranks_data([one])["place"]) == {"q_proj"}


def test_each_field_of_the_chart_has_its_rank() -> None:
    view = charts.draw_ranks(charts.ranks_data([T5]), title="ranks")
    texts = [(row["place"], row["layer"], row["text"]) for row in view["data"]["values"]]
    assert texts == [
        ("encoder.SelfAttention.q", 0, "4"),
        ("encoder.SelfAttention.q", 1, "0"),
        ("decoder.EncDecAttention.v", 0, "3"),
    ]


def test_the_report_has_the_ranks_of_the_methods_that_chose_some(tmp_path: Path) -> None:
    study = made.a_study(methods={"zero_shot": {"kind": "none"}, "ours": {"kind": "adalora"}}, seeds=[0, 1])
    ranks = [{}, T5, T5]
    records = [made.a_record(run, ranks=own) for run, own in zip(expand(study), ranks, strict=True)]
    data = load_report_data(made.write_folder(tmp_path, study, records=records))
    assert ranks_table(data).rows == (
        ("ours", "sst2", "full", "encoder.SelfAttention.q", "2.00", "4, 0"),
        ("ours", "sst2", "full", "decoder.EncDecAttention.v", "3.00", "3"),
    )
    (figure,) = rank_figures(data)
    assert figure.caption == "sst2: ranks of ours"


def test_without_such_a_method_there_is_nothing_of_ranks(tmp_path: Path) -> None:
    study = made.a_study()
    data = load_report_data(made.write_folder(tmp_path, study))
    assert not ranks_table(data).rows
    assert not list(rank_figures(data))


def test_a_field_is_one_color_more_or_less_opaque_as_the_page_cannot_mix_colors_of_its_theme() -> None:
    view = charts.draw_ranks(charts.ranks_data([T5]), title="ranks")
    (fields,) = (one for one in view["layer"] if one["mark"]["type"] == "rect")
    assert fields["encoding"]["fillOpacity"]["scale"]["range"] == [0, 1]
    assert "color" not in fields["encoding"]
