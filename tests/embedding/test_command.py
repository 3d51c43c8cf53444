"""``vtacsp embed``: rows for people and for programs."""

from __future__ import annotations

import json

from click.testing import CliRunner

from vtacsp.cli import main

LAYERS = [
    {"op": "conv2d", "name": "first", "batch": 1, "in_channels": 3, "height": 9, "width": 9,
     "out_channels": 8, "kernel": [3, 3], "padding": [1, 1]},
    {"op": "dense", "name": "classes", "batch": 1, "in_features": 40, "out_features": 10},
]  # fmt: skip


def embed(tmp_path, layers, *more):
    path = tmp_path / "layers.json"
    path.write_text(json.dumps(layers))
    return CliRunner(env={"COLUMNS": "80"}).invoke(main, ["embed", str(path), *more])


def test_embeddings_are_listed_fastest_first(tmp_path):
    rows = json.loads(embed(tmp_path, LAYERS, "--format", "json").stdout)
    first = [row for row in rows if row["workload"] == "first"]
    assert [row["cycles"] for row in first] == sorted(row["cycles"] for row in first)
    assert {row["kind"] for row in first} == {"fold", "pad"}
    assert (first[0]["kind"], first[0]["slower"], first[0]["op"]) == ("fold", 0, "conv2d")
    assert all(0 < row["waste"] < 1 and row["host_data_bytes"] > 0 for row in first)
    assert len(rows) - len(first) == 2
    plain = json.loads(embed(tmp_path, LAYERS, "--no-fold", "--format", "json").stdout)
    assert [row["kind"] for row in plain].count("pad") == 2 == len(plain) - 1
    table = embed(tmp_path, LAYERS).stdout
    assert max(map(len, table.splitlines()[2:])) <= 80
    assert "in_channels" in table


def test_a_layer_without_embedding_is_refused_or_skipped(tmp_path):
    odd = {"op": "conv2d_transpose", "name": "up", **{k: v for k, v in LAYERS[0].items()
           if k not in ("op", "name")}}  # fmt: skip
    alone = embed(tmp_path, [odd])
    assert alone.exit_code == 2
    assert alone.stderr == (
        "error: up: op is conv2d_transpose, embedded are conv2d, group_conv2d and dense\n"
    )
    both = embed(tmp_path, [odd, LAYERS[1]], "--format", "csv")
    assert both.exit_code == 0
    assert "skipped: up: op is conv2d_transpose" in both.stderr
    assert both.stdout.count("\n") == 3
