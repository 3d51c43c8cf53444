"""The symbols that rules are written in: knobs, workload sizes, hardware parameters."""

from __future__ import annotations

from vtacsp.expr import Int, Symbol, named, pow2

__all__ = ["ALL_SYMBOLS", "depth"]

ALL_SYMBOLS: dict[str, Symbol] = {}
"""The words of the rules, by name: knobs, sizes of the layer and of the machine.

>>> ALL_SYMBOLS["tile_h"].meaning
'output rows per tile'
>>> rule = Rule.of("no_threads", ALL_SYMBOLS["oc_nthread"] == 1, "virtual threads are used")
>>> all(config["oc_nthread"] == 1 for config in compile(vtacsp.suite("resnet18")[9], rules=[rule]))
True
"""


def _symbol(name: str, meaning: str) -> Symbol:
    ALL_SYMBOLS[name] = Symbol(name, meaning)
    return ALL_SYMBOLS[name]


# knobs: the inner factor of a split, the value of a thread knob
tile_b = _symbol("tile_b", "batch rows per tile (blocks); applied by dense only")
tile_h = _symbol("tile_h", "output rows per tile")
tile_w = _symbol("tile_w", "output columns per tile")
tile_ci = _symbol("tile_ci", "input channel blocks per tile")
tile_co = _symbol("tile_co", "output channel blocks per tile")
oc_nthread = _symbol("oc_nthread", "virtual threads over output channels")
h_nthread = _symbol("h_nthread", "virtual threads over output rows")

# workload, channels and batch in blocks
N = _symbol("N", "batch blocks")
CI = _symbol("CI", "input channel blocks (per group)")
CO = _symbol("CO", "output channel blocks")
G = _symbol("G", "groups")
H = _symbol("H", "input height")
W = _symbol("W", "input width")
OH = _symbol("OH", "output height")
OW = _symbol("OW", "output width")
KH = _symbol("KH", "kernel height")
KW = _symbol("KW", "kernel width")
SH = _symbol("SH", "vertical stride")
SW = _symbol("SW", "horizontal stride")
PH = _symbol("PH", "vertical padding")
PW = _symbol("PW", "horizontal padding")

# what the workload's epilogue is made of
BIAS = _symbol("BIAS", "1 when the epilogue takes one value per output channel")
STAGES = _symbol("STAGES", "ALU stages of the epilogue, copies included, the store not")
PASSES = _symbol("PASSES", "ALU operations of the epilogue where it works in place")
PAIRS = _symbol("PAIRS", "those of them with two operands")
PASS_CODE = _symbol(
    "PASS_CODE",
    "digits to base 5, first operation last: 1 a constant, 2 a tensor, 3 a value per channel, "
    "4 the value itself",
)
TENSORS = _symbol("TENSORS", "tensors of the output's shape that the epilogue loads")
CHANNELS = _symbol("CHANNELS", "operands of one value per output channel")
NARROWS = _symbol("NARROWS", "tensors of 8-bit values, which cannot be loaded")
LEFT_TENSORS = _symbol("LEFT_TENSORS", "TENSORS that are a left operand: loaded first")
LEFT_CHANNELS = _symbol("LEFT_CHANNELS", "CHANNELS that are a left operand: loaded first")
NEAR_TILES = _symbol("NEAR_TILES", "tile-sized slots of operands, tile_h x tile_w at most 16")
NEAR_CHANNELS = _symbol("NEAR_CHANNELS", "channel-sized slots, tile_h x tile_w at most 16")
FAR_TILES = _symbol("FAR_TILES", "tile-sized slots of operands, tile_h x tile_w above 16")
FAR_CHANNELS = _symbol("FAR_CHANNELS", "channel-sized slots, tile_h x tile_w above 16")
PAIR_AT = _symbol("PAIR_AT", "the first stage with two operands, 99 when there is none")
CAST_AT = _symbol("CAST_AT", "the first stage that is a cast, 99 when there is none")
SUB_AT = _symbol("SUB_AT", "the first stage that is a subtraction, 99 when there is none")
CUT = _symbol("CUT", "1 when a constant changes as it is cut to the ALU's immediate")
STORES = _symbol("STORES", "1 when the last step is the cast that the store does")
STORES_RIGHT = _symbol("STORES_RIGHT", "0 when that cast is to another width than the output's")

# hardware, log2 as in vta_config.json
LOG_INP_WIDTH = _symbol("LOG_INP_WIDTH", "log2 of bits of an input value")
LOG_WGT_WIDTH = _symbol("LOG_WGT_WIDTH", "log2 of bits of a weight")
LOG_ACC_WIDTH = _symbol("LOG_ACC_WIDTH", "log2 of bits of an accumulator")
LOG_BATCH = _symbol("LOG_BATCH", "log2 of the rows of the tensor intrinsic")
LOG_BLOCK = _symbol("LOG_BLOCK", "log2 of the channels of the tensor intrinsic")
LOG_UOP_BUFF_SIZE = _symbol("LOG_UOP_BUFF_SIZE", "log2 of bytes of the micro-op scratchpad")
LOG_INP_BUFF_SIZE = _symbol("LOG_INP_BUFF_SIZE", "log2 of bytes of the input scratchpad")
LOG_WGT_BUFF_SIZE = _symbol("LOG_WGT_BUFF_SIZE", "log2 of bytes of the weight scratchpad")
LOG_ACC_BUFF_SIZE = _symbol("LOG_ACC_BUFF_SIZE", "log2 of bytes of the accumulator scratchpad")

BATCH = named("BATCH", pow2(LOG_BATCH))

# log2 of the depth of a scratchpad in elements: bytes * 8 / bits of an element
uop_bits = named("log2_uop_depth", LOG_UOP_BUFF_SIZE + 3 - 5)
inp_bits = named("log2_inp_depth", LOG_INP_BUFF_SIZE + 3 - (LOG_BATCH + LOG_BLOCK + LOG_INP_WIDTH))
wgt_bits = named("log2_wgt_depth", LOG_WGT_BUFF_SIZE + 3 - (LOG_BLOCK + LOG_BLOCK + LOG_WGT_WIDTH))
acc_bits = named("log2_acc_depth", LOG_ACC_BUFF_SIZE + 3 - (LOG_BATCH + LOG_BLOCK + LOG_ACC_WIDTH))

_DEPTHS = {
    "uop": named("uop_depth", pow2(uop_bits)),
    "inp": named("inp_depth", pow2(inp_bits)),
    "wgt": named("wgt_depth", pow2(wgt_bits)),
    "acc": named("acc_depth", pow2(acc_bits)),
}


def depth(buffer: str) -> Int:
    """Elements that a scratchpad holds, as an expression over the hardware symbols."""
    return _DEPTHS[buffer]
