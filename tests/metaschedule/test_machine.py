"""One space carries layer, machine and rules into MetaSchedule; the page runs as printed."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

import vtacsp
from vtacsp import HardwareError, Rule, SpaceError
from vtacsp.rules.symbols import h_nthread, oc_nthread

pytest.importorskip("tvm.s_tir.meta_schedule", reason="needs the extra tvm: pip install '.[tvm]'")

from tests.support.tir import HARDWARE, LAYERS
from vtacsp import metaschedule as vms

SMALL = HARDWARE.replace(LOG_ACC_BUFF_SIZE=12)
LAYER = LAYERS["conv"]
RULE = Rule.of("no_threads", (oc_nthread == 1) & (h_nthread == 1), "threads are used")
PAGE = Path(__file__).parents[2] / "docs" / "metaschedule.md"


def test_everything_is_of_the_machine_of_the_space(tmp_path):
    space = vtacsp.compile(LAYER, SMALL, [RULE])
    assert 0 < len(space) < len(vtacsp.compile(LAYER, SMALL)) < len(vtacsp.compile(LAYER))
    assert vms.problem_of(vms.prim_func(space)) == (LAYER, SMALL)
    result = vms.tune(space, work_dir=tmp_path, trials=1000)
    records = result.database.get_all_tuning_records()
    seen = {space.knob_space.index(vms.config_of(record.trace)) for record in records}
    assert len(seen) == space.programs()
    assert seen <= set(space.indices.tolist())
    assert result.cycles == vtacsp.Simulator(space).cycles(result.config)
    assert vms.best(result.database, space).config == result.config
    with pytest.raises(SpaceError, match=rf"of conv on {HARDWARE.model} that"):
        vms.best(result.database, LAYER)


def test_a_second_machine_is_an_error_that_shows_both(tmp_path):
    space = vtacsp.compile(LAYER, SMALL)
    for use in (
        vms.prim_func,
        lambda *given: vms.tune(*given, work_dir=tmp_path),
        lambda *given: vms.best(None, *given),
    ):
        with pytest.raises(HardwareError, match=f"{SMALL.model}, .* {HARDWARE.model}"):
            use(space, HARDWARE)


def test_what_is_right_in_turns_only_is_not_tuned(tmp_path):
    with pytest.raises(SpaceError, match="stack_only"):
        vms.tune(vtacsp.compile(LAYER, SMALL, stack_only=True), work_dir=tmp_path)


def test_the_page_runs_as_printed_in_order(tmp_path, monkeypatch):
    """With fewer trials."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    names: dict[str, object] = {}
    assert len(blocks) == 2
    for block in blocks:
        assert "64" in block
        exec(block.replace("64", "4").replace("batch=16", "batch=4"), names)
        logging.getLogger("tvm.s_tir.meta_schedule").setLevel(logging.ERROR)
    assert len(names["database"].get_all_tuning_records()) == 8
    assert vms.best(names["database"], names["space"]).cycles <= names["result"].cycles
