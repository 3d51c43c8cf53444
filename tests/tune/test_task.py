"""Targets: the machine and the device that AutoTVM's histories tell apart, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.strategies import machines
from vtacsp import PYNQ, RTL, HardwareError, VTAConfig, suite
from vtacsp.tune import Task, device_of, hardware_of, target_of

C10 = next(w for w in suite("resnet18") if w.name == "resnet18.C10")
VTA = "ext_dev -keys=vta,cpu -device=vta -model=sim_1x16_i8w8a32_15_15_18_17"

BOARDS = st.from_regex(r"[A-Za-z0-9._+-]+", fullmatch=True)
WIDTHS = st.sampled_from([(3, 3, 5), (4, 3, 5), (3, 4, 5), (5, 5, 5)])


@st.composite
def described(draw):
    """A legal machine of any TARGET and width of values, as a description has it."""
    machine, (inp, wgt, acc) = draw(machines()), draw(WIDTHS)
    values = {**machine.to_dict(), "TARGET": draw(BOARDS)}
    values |= {"LOG_INP_WIDTH": inp, "LOG_WGT_WIDTH": wgt, "LOG_ACC_WIDTH": acc}
    try:
        return VTAConfig.from_dict(values)
    except HardwareError:
        return VTAConfig.from_dict({**machine.to_dict(), "TARGET": values["TARGET"]})


@given(described(), st.text(st.characters()))
def test_a_machine_and_a_device_are_read_from_the_target_that_names_them(machine, device):
    target = target_of(machine, device)
    task = Task(target, "conv2d_packed.vta", ())
    assert VTAConfig.from_model(machine.model) == hardware_of(target) == machine
    assert task.model == machine.model
    assert task.device == ("" if device in ("", "simulator rtl") else device)
    assert task.on(device) == task
    assert task.on("") == task.on("simulator rtl")
    assert hardware_of(task.on("").target) == machine
    # what TVM can parse: options without spaces, one sign of equality each
    assert all(word.count("=") == 1 for word in target.split()[1:])


@given(described(), described())
def test_two_machines_share_a_name_only_when_they_are_one(one, other):
    assert (one.model == other.model) == (one == other)


@given(st.text(), st.text())
def test_two_devices_never_share_a_target_nor_a_key(one, other):
    def keys(device):
        words = dict(word.split("=") for word in target_of(VTAConfig(), device).split()[1:])
        return {*words["-keys"].split(","), words["-model"]}

    plain = {"", "simulator rtl"}
    if one == other or {one, other} <= plain:
        assert target_of(VTAConfig(), one) == target_of(VTAConfig(), other)
    else:
        assert not keys(one) & keys(other)


def test_the_simulated_rtl_and_what_says_nothing_are_of_vtas_own_target():
    assert target_of(VTAConfig()) == target_of(VTAConfig(), device_of(RTL)) == VTA
    assert Task.of(C10, VTAConfig()).target == VTA
    estimate = Task.of(C10, VTAConfig(), device_of(PYNQ))
    assert estimate.device == "simulator rtl memory_latency=40 write_latency=20"
    assert "vta," not in estimate.target
    assert "-device" not in estimate.target
    assert not estimate.matches(Task.of(C10, VTAConfig()))


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("llvm", "target 'llvm' has no -model= that names a VTA machine"),
        ("ext_dev -keys=vta,cpu -device=vta", "has no -model="),
        ("cuda -model=unknown", "'unknown' does not name a VTA machine, as sim_1x16_i8w8a32_"),
        ("ext_dev -model=sim_1x16_i8w8a32_15_15_18", "does not name a VTA machine"),
        ("ext_dev -model=sim_3x16_i8w8a32_15_15_18_17", "2^LOG_BATCH is 3, no power of 2"),
        ("ext_dev -model=sim_1x0_i8w8a32_15_15_18_17", "2^LOG_BLOCK is 0, no power of 2"),
        ("ext_dev -model=sim_1x16_i8w9a32_15_15_18_17", "2^LOG_WGT_WIDTH is 9, no power of 2"),
        (
            "ext_dev -model=sim_1x16_i8w8a32_15_15_18_99",
            "sim_1x16_i8w8a32_15_15_18_99: LOG_ACC_BUFF_SIZE is 99, allowed are 0 to 31",
        ),
        ("ext_dev -model=sim_1x16_i8w8a32_0_15_18_17", "LOG_UOP_BUFF_SIZE is 0"),
        ("ext_dev -model=sim_1x16_i8w8a32_15_15_18_" + "9" * 5000, "does not name a VTA machine"),
    ],
)
def test_a_target_of_no_machine_is_one_clear_error(target, complaint):
    with pytest.raises(HardwareError) as failure:
        hardware_of(target)
    assert complaint in str(failure.value)
    assert "\n" not in str(failure.value)
    assert len(str(failure.value)) < 400


@pytest.mark.parametrize("name", ["", "my board", "a=b", "a@b", "a,b"])
def test_a_board_that_a_target_cannot_name_is_refused(name):
    with pytest.raises(HardwareError, match=r"TARGET (is|must be)"):
        target_of(VTAConfig(target=name))
