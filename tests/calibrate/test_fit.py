"""Calibration: hidden constants are found, what cannot be told is said, every part by another way.

The logs are simulated with constants that the fit does not see, or are what the RTL took.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from tests.support.calibrated import SMALL, programs, record, simulated, tables
from vtacsp import RTL, KnobSpace, TimingModel, build, compile
from vtacsp.calibrate import (
    DEFAULT,
    calibrate,
    load_preset,
    measurements,
    preset_from_dict,
    preset_to_dict,
    propose,
    save_preset,
)
from vtacsp.calibrate.identification import identify, partner
from vtacsp.calibrate.leave_one_out import leave_one_out
from vtacsp.calibrate.regression import Line, Samples, absolute, biweight, scale_of
from vtacsp.errors import CalibrationError, HardwareError, TimingError, WorkloadError
from vtacsp.timing import simulate_timing

SEEDS = 10


# ---------------------------------------------------------------- hidden constants


@pytest.fixture(scope="module")
def blind():
    """Constants drawn by seed, and what was fitted to 57 programs: 1% noise, a tenth outliers."""
    found = []
    for seed in range(SEEDS):
        generator = np.random.default_rng(1000 + seed)
        hidden = {
            "memory_latency": int(generator.integers(10, 150)),
            "write_latency": int(generator.integers(1, 60)),
            "launch_delay": int(generator.integers(500, 20_000)),
            "clock_hz": int(generator.integers(50_000_000, 300_000_000)),
        }
        records = simulated(replace(RTL, **hidden), 0.01, 0.1, seed)
        found.append((hidden, calibrate(measurements(records))))
    return found


@pytest.mark.parametrize(
    ("name", "typical"),
    [("memory_latency", 0.03), ("write_latency", 0.1), ("launch_delay", 0.02), ("clock_hz", 0.01)],
)
def test_hidden_constants_are_found_within_their_intervals(blind, name, typical):
    inside, errors, widths = 0, [], []
    for hidden, calibration in blind:
        one, truth = calibration.estimates[name], hidden[name]
        assert one.status == "fitted"
        inside += one.low <= truth <= one.high
        errors.append(abs(one.value / truth - 1))
        widths.append((one.high - one.low) / truth)
    # of 95% intervals; fewer than 8 of 10 have a probability of 1%, and the seeds are fixed
    assert inside >= 8
    assert np.median(errors) < typical
    assert np.median(widths) < 6 * typical  # and not because everything is inside


def test_outliers_are_named_and_others_are_not(blind):
    for hidden, calibration in blind:
        truth = replace(RTL, **hidden)
        for residual in calibration.residuals:
            cycles = simulate_timing(residual.measurement.program, truth).cycles
            really = residual.measurement.seconds / (cycles / truth.clock_hz) - 1
            if abs(really) > 0.15:
                assert residual.outlier
            elif abs(really) < 0.025:
                assert not residual.outlier
    assert sum(len(calibration.outliers) for _, calibration in blind) > SEEDS


def test_the_fit_predicts_what_it_has_not_seen_and_the_order(blind):
    for _, calibration in blind:
        errors, order = calibration.errors(), calibration.rank_correlation()
        assert errors["after"] < errors["left_out"] * 1.5
        assert errors["left_out"] < 0.015 < errors["before"]
        assert 0.5 < calibration.noise / 0.01 < 2
        assert order["after"] > order["before"] - 0.01
    assert np.mean([c.rank_correlation()["after"] > c.rank_correlation()["before"]
                    for _, c in blind]) > 0.7  # fmt: skip


def test_without_noise_every_constant_is_exact():
    hidden = {"memory_latency": 43, "write_latency": 17, "launch_delay": 3210,
              "clock_hz": 142_857_143, "pipeline_depth": 9, "alu_interval": 2}  # fmt: skip
    records = simulated(replace(RTL, **hidden))
    found = calibrate(measurements(records), tuple(hidden))
    assert {name: getattr(found.timing, name) for name in hidden} == hidden
    assert found.rank == len(hidden)
    assert not found.outliers
    assert found.errors()["after"] < 1e-7
    assert [one.value for one in found.estimates.values()] == [
        getattr(found.timing, name) for name in found.estimates
    ]


@pytest.mark.parametrize("names", [("c-tiny14", "d-small", "dcgan.small", "group.small"),
                                   ("group.small",), ("d-small",)])  # fmt: skip
def test_the_latency_of_the_rtl_is_found(names):
    """Cycles of Verilator with a memory of 64 cycles, at an assumed clock."""
    records = []
    for name in names:
        layer, machine, indices, cycles = tables(64)[name]
        pairs = zip(indices, cycles, strict=True)
        records += [record(layer, machine, i, c / 125e6) for i, c in pairs]
    found = calibrate(measurements(records))
    one = found.estimates["memory_latency"]
    assert (one.value, one.low, one.high, one.status) == (64, 64, 64, "fitted")
    assert found.timing.clock_hz == pytest.approx(125e6, rel=1e-3)
    assert found.timing.write_latency == 1
    assert found.timing.launch_delay == 2
    assert found.errors()["after"] < 1e-3 < found.errors()["before"]


def test_what_is_held_stays_and_what_is_known_helps():
    truth = replace(RTL, memory_latency=80, clock_hz=50_000_000)
    measured = measurements(simulated(truth, 0.01, 0, 3))
    start = replace(RTL, clock_hz=50_000_000)
    known = calibrate(measured, ("memory_latency", "launch_delay"), start)
    free = calibrate(measured)
    assert known.timing.clock_hz == 50_000_000
    assert known.estimates["clock_hz"].status == "held"
    assert known.estimates["clock_hz"].could_be is not None
    both = [c.estimates["memory_latency"] for c in (known, free)]
    assert all(one.low <= 80 <= one.high for one in both)
    assert both[0].standard_error < both[1].standard_error
    only = calibrate(measured, ("memory_latency",), start)  # nothing is solved for
    assert only.estimates["memory_latency"].low <= 80 <= only.estimates["memory_latency"].high


# ---------------------------------------------------------------- what a log does not tell


def test_a_constant_without_effect_is_not_told():
    measured = measurements(simulated(replace(RTL, memory_latency=50), 0.01))
    found = calibrate(measured, ("memory_latency", "alu_pair_interval", "clock_hz"))
    one = found.estimates["alu_pair_interval"]
    assert (one.status, one.value) == ("not told", RTL.alu_pair_interval)
    assert one.reason == "no program of the log changes with it"
    assert found.rank == 2
    assert found.fitted == ["memory_latency", "clock_hz"]
    assert found.estimates["memory_queue"].could_be is None


def test_constants_that_trade_against_each_other_are_not_told_apart():
    """Every store is one burst: a cycle of its command is a cycle of its response."""
    measured = measurements(simulated(replace(RTL, write_latency=20), 0.005))
    alone = calibrate(measured, ("write_latency", "clock_hz"))
    assert alone.fitted == ["write_latency", "clock_hz"]
    both = calibrate(measured, ("write_latency", "write_command", "clock_hz"))
    (lost,) = [one for one in both.estimates.values() if one.status == "not told"]
    assert lost.name in ("write_latency", "write_command")
    assert "cannot be told from write_" in lost.reason
    assert both.rank == 2
    assert both.condition == np.inf
    assert both.to_dict()["condition"] is None
    assert alone.estimates["write_command"].reason == (
        "in these programs it cannot be told from write_latency"
    )


def test_noise_hides_a_short_launch():
    measured = measurements(simulated(replace(RTL, memory_latency=50), 0.05))
    found = calibrate(measured)
    one = found.estimates["launch_delay"]
    assert one.status == "not told"
    assert one.reason.startswith("too noisy: from 1 to ")
    assert found.timing.launch_delay == RTL.launch_delay


def test_few_programs_tell_few_constants():
    found = calibrate(measurements(simulated(replace(RTL, memory_latency=64), some=3)))
    assert len(found.fitted) <= 2
    assert any("too few" in one.reason for one in found.estimates.values())


def test_nothing_told_is_an_error():
    measured = measurements(simulated(RTL, 0.01))
    with pytest.raises(CalibrationError, match="the log tells none of the constants"):
        calibrate(measured, ("memory_queue",))
    with pytest.raises(CalibrationError, match="no timing constant 'latency'"):
        calibrate(measured, ("latency",))
    with pytest.raises(CalibrationError, match="given twice"):
        calibrate(measured, ("clock_hz", "clock_hz"))
    with pytest.raises(CalibrationError, match="no constant"):
        calibrate(measured, ())


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (1e-3, r"clock_hz is .* are their costs seconds\?"),
        (1e-9, "no program takes the costs of the 57 records"),
        (1e-300, "no program takes the costs of the 57 records"),
        (1e300, "no program takes the costs of the 57 records"),
    ],
)
def test_costs_that_are_no_seconds_are_said(factor, message):
    pairs = zip(simulated(RTL), programs(), strict=True)
    records = [record(*p[:3], r.result.costs[0] * factor) for r, p in pairs]
    with pytest.raises(CalibrationError, match=message):
        calibrate(measurements(records))


def test_single_costs_that_cannot_be_count_as_failed():
    records = simulated(RTL)
    strange = [record(*programs()[i][:3], cost) for i, cost in ((0, 1e300), (1, 1e-300), (2, 1e9))]
    measured = measurements([*strange, *records])
    assert (measured.failed, len(measured.rows)) == (3, len(records))
    assert calibrate(measured).timing.memory_latency == RTL.memory_latency


# ---------------------------------------------------------------- records


def test_a_program_is_measured_once_by_the_least_of_all_costs():
    layer, machine, *_ = tables(16)["k1-pad1"]
    layer = replace(layer, batch=2)
    space, indices = KnobSpace.of(layer, machine), compile(layer, machine).indices.tolist()
    by_program = {}
    for index, program in zip(indices, space.program(np.array(indices)).tolist(), strict=True):
        by_program.setdefault(program, []).append(index)
    twins = next(group for group in by_program.values() if len(group) > 1)
    records = [
        record(layer, machine, twins[0], 3e-3, 2e-3),
        record(layer, machine, twins[1], 5e-3, 1.5e-3),
        record(layer, machine, twins[0]),
        *(record(layer, machine, i, 1e-3) for i in by_program if i not in twins),
    ]
    measured = measurements(records)
    (row,) = [row for row in measured.rows if row.index == space.program(np.array(twins))[0]]
    assert (row.seconds, row.records, len(row.costs)) == (1.5e-3, 2, 4)
    assert (measured.failed, measured.records) == (1, len(records))
    assert measured.repeatability == pytest.approx(np.std(row.costs, ddof=1) / np.mean(row.costs))


def test_what_the_stack_does_not_build_is_left_out_and_named():
    layer, machine, *_ = tables(16)["k1-pad1"]
    space = compile(layer, machine)
    causes = space.problem.causes(np.arange(len(space.knob_space)))
    refused = next(i for i, cause in enumerate(causes) if cause.startswith(("dma", "sram")))
    measured = measurements([*simulated(RTL), record(layer, machine, refused, 1.0)])
    (name,) = measured.refused
    assert name.startswith(f"k1-pad1 index {refused}: {causes[refused]}")
    assert len(measured.rows) == len(programs())


def test_layers_say_what_autotvms_own_records_do_not():
    layer, machine, indices, _ = tables(16)["c-tiny14-bias"]
    assert layer.bias
    plain = []
    for index in indices[:12]:
        seconds = simulate_timing(build(layer, machine, index), RTL).seconds
        one = record(layer, machine, index, seconds, device="")
        plain.append(replace(one, task=replace(one.task, bias=None), workload="", line=""))
    guessed, told = measurements(plain), measurements(plain, layers=[layer])
    assert guessed.assumed == ("layer1",)
    assert not guessed.layers[0].bias
    assert told.assumed == ()
    assert told.layers == [layer]
    assert calibrate(told).errors()["after"] < 1e-6 < calibrate(guessed).errors()["after"]
    other = replace(layer, name="other", bias=False)
    with pytest.raises(CalibrationError, match="may be of c-tiny14-bias or other"):
        measurements(plain, layers=[layer, other])
    with pytest.raises(CalibrationError, match="none of the layers given"):
        measurements(plain, layers=[tables(16)["d-small"][0]])


def test_names_keep_layers_apart_and_the_same_layer_together():
    first, second = programs()[0], programs()[-1]
    assert first[0] != second[0]
    records = [record(replace(layer, name="same"), machine, index, 1e-3)
               for layer, machine, index, _ in programs()]  # fmt: skip
    names = [layer.name for layer in measurements(records).layers]
    assert names == ["same", "same-2", "same-3"]
    again = [replace(r, workload="", line="") for r in records]
    assert len(measurements([*records, *again]).rows) == len(programs())


def test_records_that_do_not_go_together_are_refused():
    records = simulated(RTL)
    layer, machine, index, _ = programs()[0]
    smaller = machine.replace(LOG_ACC_BUFF_SIZE=machine.log_acc_buff_size - 1)
    with pytest.raises(CalibrationError, match="of 2 devices: 'board', 'other'; choose one with"):
        measurements([*records, record(layer, machine, index, 1.0, device="other")])
    with pytest.raises(CalibrationError, match=r"of 2 machines: .*--machine"):
        measurements([*records, record(layer, smaller, index, 1.0)])
    with pytest.raises(HardwareError, match=f"--hardware is {smaller.model}"):
        measurements(records, smaller)
    # what the target is called is no property of the machine
    assert measurements(records, machine.replace(TARGET="pynq")).rows
    with pytest.raises(CalibrationError, match="no record"):
        measurements([])
    with pytest.raises(CalibrationError, match="1 program was measured"):
        measurements(records[:1])
    with pytest.raises(CalibrationError, match="all 2 records are of measurements that failed"):
        measurements([record(layer, machine, index)] * 2)
    alien = replace(records[0], task=replace(records[0].task, name="conv2d_nchw.cuda"), line="")
    with pytest.raises(WorkloadError, match=r"is no layer that .* packs"):
        measurements([alien])


# ---------------------------------------------------------------- the parts, by other ways


@pytest.mark.parametrize("noise", [0, 1e-3])
@pytest.mark.parametrize("seed", range(8))
def test_the_line_is_that_of_least_absolute_errors(seed, noise):
    generator = np.random.default_rng(seed)
    clock, delay = generator.uniform(1e7, 1e9), generator.uniform(100, 1e5)
    cycles, launches = generator.uniform(1e3, 1e6, 25), np.ones(25)
    seconds = (cycles + delay) / clock * (1 + noise * generator.standard_normal(25))
    seconds[:3] *= generator.uniform(1.5, 4, 3)
    samples = Samples(seconds, launches)
    line, mean = absolute(Line(1e8, 2.0), cycles, samples)
    # the same as a linear program: an error to both sides per row, and a delay of at least 1
    rows = np.column_stack([cycles, launches]) / seconds[:, None]
    size = rows.max(axis=0)
    bound = np.block([[rows / size, -np.eye(25)], [-rows / size, -np.eye(25)]])
    bound = np.vstack([bound, [1 / size[0], -1 / size[1], *np.zeros(25)]])
    target = np.concatenate([np.ones(25), -np.ones(25), [0.0]])
    best = optimize.linprog([0, 0, *np.ones(25)], bound, target, bounds=[(0, None)] * 27)
    assert mean <= best.fun / 25 * 1.02 + 1e-9
    for _ in range(4):  # as the search does: outliers draw the first line
        line, loss = biweight(line, cycles, samples, scale_of(line.errors(cycles, samples), 2))
    assert line.clock == pytest.approx(clock, rel=1e-6 + 3 * noise)
    assert line.delay == pytest.approx(delay, rel=1e-6 + 50 * noise)
    assert 2.99 < loss < 3.001 + 8 * (noise > 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(6, 12), st.integers(1, 4))
def test_standard_errors_are_those_of_the_normal_equations(seed, rows, columns):
    generator = np.random.default_rng(seed)
    jacobian = generator.standard_normal((rows, columns)) * 10.0 ** generator.integers(
        -6, 6, columns
    )
    if rows <= columns:
        return
    found = identify(jacobian, 0.25, rows - columns)
    covariance = 0.25 * np.linalg.inv(jacobian.T @ jacobian)
    assert found.errors == pytest.approx(np.sqrt(np.diag(covariance)), rel=1e-3)
    assert found.rank == columns
    flat = np.column_stack([jacobian, np.zeros(rows), jacobian[:, 0] * 3])
    names = [*"abcd"[:columns], "flat", "like a"]
    doubled = identify(flat, 0.25, 1)
    assert doubled.rank == columns
    assert np.isinf(doubled.errors[[0, -1, -2]]).all()
    assert np.isfinite(doubled.errors[1:columns]).all()
    assert (partner(doubled, 0, names), partner(doubled, columns + 1, names)) == ("like a", "a")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_leaving_a_program_out_is_a_fit_without_it(seed, free_clock, free_delay):
    generator = np.random.default_rng(seed)
    candidates = [generator.uniform(1e3, 1e5, 8) for _ in range(3)]
    launches, weights = generator.integers(1, 3, 8) * 1.0, generator.uniform(0.1, 1, 8)
    line = Line(1e8, 500.0, free_clock, free_delay)
    seconds = (candidates[0] + 500) / 1e8 * generator.uniform(0.8, 1.2, 8)
    samples = Samples(seconds, launches)
    found = leave_one_out(candidates, line, samples, weights)
    for i in range(8):
        kept = np.arange(8) != i
        results = []
        for cycles in candidates:
            columns = [c for c, free in ((cycles, free_clock), (launches, free_delay)) if free]
            offset = np.zeros(8) if free_clock else cycles / line.clock
            if free_clock and not free_delay:
                columns = [cycles + line.delay * launches]
            if not columns:
                offset = (cycles + line.delay * launches) / line.clock
            matrix = np.column_stack([*columns, np.empty((8, 0))]) / samples.seconds[:, None]
            target = 1 - offset / samples.seconds
            root = np.sqrt(weights)
            solution = np.linalg.lstsq((matrix * root[:, None])[kept], (target * root)[kept])[0]
            rest = matrix @ solution - target
            results.append((float(np.sum((weights * rest**2)[kept])), float(rest[i])))
        assert found[i] == pytest.approx(min(results)[1], rel=1e-6, abs=1e-9)


# ---------------------------------------------------------------- what to measure next


def spaces():
    return [compile(layer, machine) for layer, machine, *_ in map(tables(16).get, SMALL)]


def test_proposals_can_run_are_new_and_greedy():
    records = simulated(replace(RTL, memory_latency=50), 0.01, some=8)
    found = calibrate(measurements(records))
    chosen = propose(5, spaces(), found)
    known = {(r.workload, r.index) for r in records}
    rows = [(row.workload.name, row.index) for row in chosen.rows]
    assert len(set(rows)) == 5
    assert not known & set(rows)
    by_name = {space.workload.name: space for space in spaces()}
    for name, index in rows:
        assert by_name[name].knob_space.config(index) in by_name[name]
    assert list(chosen.now) == ["memory_latency", "write_latency", "clock_hz", "launch_delay"]
    assert all(chosen.then[name] < chosen.now[name] for name in chosen.now)
    # the first of them is better than any other, and more of them are the same ones and more
    assert [row.index for row in propose(2, spaces(), found).rows] == [i for _, i in rows[:2]]
    with pytest.raises(CalibrationError, match="--propose 999: 49 programs"):
        propose(999, spaces(), found)


def test_what_is_proposed_tells_more_than_what_is_drawn():
    """Both are measured: the intervals of a first batch by design and of random ones."""
    truth = replace(RTL, memory_latency=60, write_latency=12, launch_delay=3000)
    chosen = propose(8, spaces(), start=RTL)
    everything = {(layer.name, index): place for place, (layer, _, index, _) in
                  enumerate(programs())}  # fmt: skip
    by_design = [everything[row.workload.name, row.index] for row in chosen.rows]
    records = simulated(truth, 0.01, seed=5)

    def spread(places):
        found = calibrate(measurements([records[place] for place in places]))
        return np.prod([(one.standard_error or 1e9) / one.value for one in
                        found.estimates.values() if one.name in DEFAULT])  # fmt: skip

    generator = np.random.default_rng(0)
    drawn = [generator.choice(len(records), 8, replace=False) for _ in range(5)]
    assert spread(by_design) < np.median([spread(places) for places in drawn]) / 10


def test_the_greedy_choice_has_the_largest_determinant():
    from vtacsp.calibrate.proposal import NOISE, _candidates, _rows
    from vtacsp.calibrate.retimed import Programs

    choices = _candidates(spaces(), set(), 0)
    built = Programs([build(layer, s.hardware, index) for s, layer, index in choices], RTL)
    rows, cycles = _rows(built, ["memory_latency", "clock_hz", "launch_delay"], RTL)
    chosen = propose(3, spaces(), fit=("memory_latency", "clock_hz", "launch_delay"))
    information, taken = np.eye(3), set()
    for row in chosen.rows:
        determinants = [np.linalg.det(information + np.outer(r, r) / NOISE**2) for r in rows]
        best = max(set(range(len(rows))) - taken, key=determinants.__getitem__)
        assert (row.workload, row.index) == choices[best][1:]
        assert row.cycles == cycles[best]
        taken.add(best)
        information += np.outer(rows[best], rows[best]) / NOISE**2


# ---------------------------------------------------------------- presets


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_preset_is_read_as_it_was_written(tmp_path_factory, data):
    values = {
        name: data.draw(st.integers(1, 10**6))
        for name in ("memory_latency", "write_latency", "clock_hz", "launch_delay", "read_requests")
    }
    timing = TimingModel(**values, note="a board")
    path = tmp_path_factory.mktemp("presets") / "board.json"
    save_preset(timing, path)
    assert load_preset(path) == timing
    assert preset_from_dict(preset_to_dict(timing)) == timing
    assert timing.name == replace(load_preset(path), note="other").name


def test_a_preset_may_leave_constants_out_but_has_no_others():
    few = preset_from_dict({"note": "a board", "constants": {"memory_latency": 64}})
    assert few == replace(RTL, memory_latency=64, note="a board")
    for broken, message in (
        ({"note": "x"}, "constants is missing"),
        ({"note": "x", "constants": {}, "clock": 1}, "'clock' is no key of a timing preset"),
        ({"note": "x", "constants": {"latency": 1}}, "no timing constant 'latency'"),
        ({"note": "x", "constants": {"clock_hz": 1e8}}, "clock_hz is 100000000.0, allowed is an"),
        ([], "a timing preset is a JSON object"),
    ):
        with pytest.raises(TimingError, match=message):
            preset_from_dict(broken)


def test_another_start_ends_at_the_same_constants():
    measured = measurements(simulated(replace(RTL, memory_latency=70, write_latency=9), 0.01, 0, 2))
    ends = [
        calibrate(measured, start=replace(RTL, memory_latency=memory, write_latency=write)).timing
        for memory, write in ((1, 100), (300, 1))
    ]
    assert len({(t.memory_latency, t.write_latency, t.clock_hz) for t in ends}) == 1
