"""VTA's cycles, register by register: the witness that the cycle engine is compared with.

Written from the Chisel sources of tvm-vta (``hardware/chisel/src/main/scala``) alone.  A class is a
module of the hardware, its attributes are registers, its properties are wires that depend on
registers only, and ``tick`` is the clock edge.  A tick reads its own registers and its arguments,
never another module, so the order of ticks does not matter.

Data, scratchpad indices and micro-ops are left out: they decide no cycle.  Neither are loops of
extent 0 and rows without data, which no program has.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from vtacsp import VTAConfig
from vtacsp.machine.instructions import INSTRUCTION

__all__ = ["HangError", "Stepped", "step"]

BURST = 1 << 8  # F1Config: lenBits
INSTRUCTION_BYTES = 16
TAGS = 16  # VMEParams: RequestQueueDepth
READ_QUEUE = 256  # the memory of the measurements
ENTRIES = 512  # CoreConfig: instQueueEntries
TOKENS = 255  # Semaphore: counterBits = 8
CLIENTS = ("fetch", "uop", "inp", "wgt", "acc")  # Core: io.vme.rd(0..4)
HANG = 5_000  # cycles without progress, more than any latency here times all tags


class Bus(NamedTuple):
    """Bytes of a beat (F1Config: dataBits) and of the longest burst."""

    beat: int

    @property
    def page(self) -> int:
        return BURST * self.beat


class HangError(AssertionError):
    """The hardware waits forever, or one of its own assertions fails."""


class Instruction(NamedTuple):
    """The fields that decide cycles; ``kind`` is a memory, gemm, alu or finish."""

    number: int
    module: str
    kind: str
    sync: bool
    pops: tuple[bool, bool]  # from the module before, after
    pushes: tuple[bool, bool]
    dram: int
    y: int
    x: int
    stride: int
    top: int
    bottom: int
    left: int
    right: int
    uops: tuple[int, int]
    loops: tuple[int, int]
    immediate: bool


class Request(NamedTuple):
    """A read or write command, ``beats`` from byte ``address``."""

    number: int  # of the instruction, -1: fetch
    address: int
    beats: int


class Stepped(NamedTuple):
    """Cycles from launch to finish; start and end of instructions; reads; what was met."""

    cycles: int
    start: list[int]
    done: list[int]
    fetches: list[list[int]]
    reads: list[list[int]]
    events: set[str]


def decode(number: int, record: np.void) -> Instruction:
    """Decode.scala, for records instead of bits."""
    opcode = int(record["opcode"])
    memory = ("uop", "wgt", "inp", "acc", "out")[int(record["memory_type"])]
    kind = {0: memory, 1: "out", 2: "gemm", 3: "finish", 4: "alu"}[opcode]
    module = {"inp": "load", "wgt": "load", "out": "store"}.get(kind, "compute")

    def ints(*names: str) -> list[int]:
        return [int(record[name]) for name in names]

    return Instruction(
        number,
        module,
        kind,
        opcode in (0, 1) and int(record["x_size"]) == 0,
        (bool(record["pop_prev_dep"]), bool(record["pop_next_dep"])),
        (bool(record["push_prev_dep"]), bool(record["push_next_dep"])),
        *ints("dram_base", "y_size", "x_size", "x_stride"),
        *ints("y_pad_0", "y_pad_1", "x_pad_0", "x_pad_1"),
        (int(record["uop_bgn"]), int(record["uop_end"])),
        (int(record["iter_out"]), int(record["iter_in"])),
        bool(record["use_imm"]),
    )


class Queue:
    """chisel3.util.Queue; SyncQueue asserts that it behaves like one."""

    def __init__(self, entries: int) -> None:
        self.entries, self.items = entries, deque()

    @property
    def ready(self):
        return len(self.items) < self.entries

    @property
    def head(self):
        return self.items[0] if self.items else None

    def tick(self, enq, deq: bool) -> None:
        if deq:
            self.items.popleft()
        if enq is not None:
            self.items.append(enq)


class Semaphore:
    """Semaphore.scala."""

    def __init__(self, count: int = 0) -> None:
        self.count = count

    def tick(self, post: bool, wait: bool) -> None:
        if post and not wait:
            self.count = min(self.count + 1, TOKENS)
        elif wait and not post:
            self.count = max(self.count - 1, 0)


class Memory:
    """What answers the AXI port in the measurements: in order, one beat per cycle."""

    def __init__(self, latency: int, write_latency: int) -> None:
        self.latency, self.write_latency = latency, write_latency
        self.cycle = 0
        self.reads: deque[list[int]] = deque()  # tag, beats left, cycle of the first at the least
        self.response = 0  # cycles until the response to a write, 1: now

    @property
    def read_ready(self) -> bool:
        return len(self.reads) < READ_QUEUE

    @property
    def beat(self):
        """Tag of the beat on the bus, and whether it is the last one of its burst."""
        if self.reads and self.reads[0][2] <= self.cycle:
            return self.reads[0][0], self.reads[0][1] == 1
        return None

    def tick(self, tag, request, last_write: bool) -> None:
        if self.beat:
            self.reads[0][1] -= 1
            if not self.reads[0][1]:
                self.reads.popleft()
        if request:
            self.reads.append([tag, request.beats, self.cycle + self.latency])
        self.response = self.write_latency if last_write else max(self.response - 1, 0)
        self.cycle += 1


class MemoryEngine:
    """VME.scala: a queue of one command per reader, tags, and the one writer."""

    def __init__(self) -> None:
        self.queues = [Queue(1) for _ in CLIENTS]  # VMEcmd_Qs
        self.free = [True] * TAGS  # availableEntries
        self.owner = [0] * TAGS  # vmeTag_array
        self.data = None  # client of the beat before (localTag_out, RegNext of r.valid)
        self.write_state, self.write_beats, self.written = "idle", 0, 0

    def grant(self, beat, ready: bool):
        """Client and tag of the command that goes out in this cycle, if any."""
        client = next((i for i, queue in enumerate(self.queues) if queue.head), None)
        freeing = beat is not None and beat[1]
        if client is None or freeing or not ready or not any(self.free):
            return None
        return client, self.free.index(True)

    @property
    def last_write(self) -> bool:
        return self.write_state == "data" and self.written == self.write_beats - 1

    def tick(self, sent, beat, grant, write, write_data: bool, ack: bool) -> None:
        self.data = self.owner[beat[0]] if beat else None
        if beat and beat[1]:
            self.free[beat[0]] = True
        if grant:
            client, tag = grant
            self.free[tag], self.owner[tag] = False, client
        for i, queue in enumerate(self.queues):
            queue.tick(sent[i], grant is not None and grant[0] == i)
        if self.write_state == "idle":
            self.written = 0
            if write:
                self.write_state, self.write_beats = "address", write.beats
        elif self.write_state == "address":
            self.write_state = "data"
        elif self.write_state == "data":
            if write_data:
                self.write_state = "response" if self.last_write else "data"
                self.written += 1
        elif ack:
            self.write_state = "idle"


class Fetch:
    """FetchVME64.scala."""

    most = BURST // 2  # instructions of a burst

    def __init__(self, program: list[Instruction], bus: Bus) -> None:
        if bus.beat != 8:
            raise HangError("the design has no fetch module for this bus")
        self.page = bus.page
        self.program = program
        self.launched = False
        self.state = "idle"
        self.address = self.beats = self.rest = 0  # raddr, rlen + 1, xrem + 1
        self.queue = Queue(BURST // 2)  # inst_q
        self.arrived = 0

    @property
    def size(self) -> int:
        return self.beats // 2

    @property
    def command(self):
        return Request(-1, self.address, self.beats) if self.state == "command" else None

    @property
    def dispatch(self):
        return self.queue.head if self.state == "drain" else None

    def tick(self, sent: bool, data: bool, dispatched: bool) -> None:
        empty = not self.queue.items
        enq = None
        if self.state == "idle":
            if not self.launched:  # pulse
                self.state, self.rest = "command", 2 * len(self.program)
                self._next_burst()
        elif self.state == "command":
            if sent:
                self.state = "low"
        elif self.state == "low":
            if data:
                self.state = "high"
        elif self.state == "high":
            if data:
                full = len(self.queue.items) == self.beats // 2 - 1
                self.state = "drain" if full else "low"
                enq = self.program[self.arrived]
                self.arrived += 1
        elif empty:
            if self.rest:
                self.address += self.page
                self.state = "command"
                self._next_burst()
            else:
                self.state = "idle"
        self.launched = True
        self.queue.tick(enq, dispatched)

    def _next_burst(self) -> None:
        self.beats = min(self.rest, BURST)
        self.rest -= self.beats


class FetchWide:
    """FetchWideVME.scala: a buffer of ``BURST`` instructions, and a queue of two behind it."""

    most = BURST

    def __init__(self, program: list[Instruction], bus: Bus) -> None:
        self.program, self.bus = program, bus
        self.launched = False
        self.state = self.before = "idle"  # state, and RegNext of it
        self.size = self.rest = 0  # elemNb, xrem: instructions
        self.address = 0  # of the burst
        self.sent = True  # commandsDone
        self.in_flight = 0  # clInFlight: beats
        self.data = False  # pipeDelayQueueDeqV
        self.arrived = self.taken = self.next = 0
        self.pipe = Queue(2)  # readInstrPipe

    @property
    def _start(self) -> bool:
        """vmeStart."""
        return not self.launched or (self.state == "read" and self.before == "drain")

    @property
    def _beats(self) -> int:
        return -(-self.size * INSTRUCTION_BYTES // self.bus.beat)

    @property
    def command(self):
        if self.state != "read" or self._start or self.sent:
            return None
        return Request(-1, self.address, self._beats)

    @property
    def dispatch(self):
        return self.pipe.head

    def tick(self, sent: bool, data: bool, dispatched: bool) -> None:
        buffered = self.arrived - self.taken  # queueCount
        enq = self.program[self.next] if self.state == "drain" and buffered else None
        if not self.pipe.ready:
            enq = None
        start, state = self._start, self.state
        if start:
            self.sent = False
        elif sent:
            self.sent = True
        if not self.launched:
            self.state, self.rest = "read", len(self.program)
            self._next_burst()
        elif state == "read":
            if self.sent and not sent and not start and self.in_flight == 0:
                self.state = "drain"
        elif state == "drain" and buffered == 0:
            self.address += self.size * INSTRUCTION_BYTES
            self.state = "read" if self.rest else "idle"
            self._next_burst()
        if self.data:
            self.arrived = min(self.arrived + self.bus.beat // INSTRUCTION_BYTES, self.size)
        self.in_flight += (self._beats if sent else 0) - self.data
        if enq:
            self.taken += 1
            self.next += 1
        self.before, self.data, self.launched = state, data, True
        self.pipe.tick(enq, dispatched)

    def _next_burst(self) -> None:
        self.size = min(self.rest, BURST)
        self.rest -= self.size
        self.arrived = self.taken = 0


class Commands:
    """GenVMECmd (TensorLoadNarrowVME.scala) and GenVMECmdWide (TensorLoadWideVME.scala).

    The two differ in rows that do not start on a beat, which the narrow one cannot have.
    """

    def __init__(self, element_bytes: int, bus: Bus) -> None:
        self.element, self.bus = element_bytes, bus
        self.done = True  # commandsDone
        self.row = 0  # srcRowIdx, dramLineIdx
        self.place = 0  # currentRowIdx: rows of the padded tile passed
        self.sent = 0  # blocksReadNb, clReadIdx: beats of the row requested
        self.begin = 0  # rdCmdExtAddrRowBegin, rdLineElemBeginAddr
        self.address = 0  # rdCmdExtAddr, rdLineAddr

    def _row_beats(self, ins: Instruction) -> int:
        beat = self.bus.beat
        return -(-(self.begin % beat + ins.x * self.element) // beat)

    def length(self, ins: Instruction) -> int:
        """readLen, rdLen: the first burst of a row ends at a page boundary at the latest."""
        beat, page = self.bus.beat, self.bus.page
        most = BURST - self.begin % page // beat if self.sent == 0 else BURST
        return min(self._row_beats(ins) - self.sent, most)

    def command(self, ins, busy: bool):
        if not busy or self.done or not ins.top <= self.place < ins.top + ins.y:
            return None
        request = Request(ins.number, self.address, self.length(ins))
        beat, page = self.bus.beat, self.bus.page
        if request.address % page + request.beats * beat > page:
            raise HangError("DRAM page alignment failure")
        return request

    def tick(self, ins, start: bool, busy: bool, sent: bool) -> None:
        if start:
            self.done, self.row, self.place, self.sent = False, 0, 0, 0
            self.begin = ins.dram * self.element
            self.address = self.begin // self.bus.beat * self.bus.beat
            return
        if busy and self.place < ins.top:
            self.place += 1
        if not sent:
            return
        beats = self.length(ins)
        if self.sent + beats < self._row_beats(ins):
            self.sent += beats
            self.address += beats * self.bus.beat
        elif self.row == ins.y - 1:
            self.sent += beats
            self.address += beats * self.bus.beat
            self.done = True
        else:  # stride
            self.row += 1
            self.place += 1
            self.sent = 0
            self.begin += ins.stride * self.element
            self.address = self.begin // self.bus.beat * self.bus.beat


class ZeroPadding:
    """ZeroPadding (TensorLoadNarrowVME.scala): one zero tensor per cycle without data."""

    def __init__(self) -> None:
        self.state = "idle"
        self.row = self.column = 0

    @staticmethod
    def _sides(ins: Instruction) -> str:
        """State for the rows of data."""
        if ins.left and ins.right:
            return "both"
        if ins.left or ins.right:
            return "left" if ins.left else "right"
        return "skip" if ins.bottom else "idle"

    def tick(self, ins, start: bool, can_write: bool) -> None:
        if start:
            self.row = self.column = 0
            self.state = "top" if ins.top else self._sides(ins)
            if self.state == "right":
                self.column = ins.x
            return
        if self.state == "idle" or not (can_write or self.state == "skip"):
            return
        width = ins.left + ins.x + ins.right
        last = ins.left - 1 if self.state == "left" else width - 1
        line_end = self.state == "skip" or self.column == last
        if not line_end:
            jump = self.state == "both" and self.column == ins.left - 1
            self.column += ins.x + 1 if jump else 1
            return
        if self.state == "top" and self.row == ins.top - 1:
            self.state = self._sides(ins)
        elif self.state == "bottom":
            if self.row == ins.top + ins.y + ins.bottom - 1:
                self.state = "idle"
        elif self.state != "top" and self.row == ins.top + ins.y - 1:
            self.state = "bottom" if ins.bottom else "idle"
        self.row += 1
        self.column = ins.x if self.state == "right" else 0


class TensorLoad:
    """TensorLoadNarrowVME.scala and TensorLoadWideVME.scala."""

    def __init__(self, element_bytes: int, depth: int, bus: Bus) -> None:
        self.narrow = element_bytes > bus.beat
        beats = depth * element_bytes // bus.beat
        # blocksInFlight cannot count a whole scratchpad, clInFlight can
        self.counter = 1 << (max(beats, 1) - 1).bit_length() + (not self.narrow)
        self.busy = False
        self.in_flight = 0
        self.data = False  # vmeDataValidPipe
        self.padding_start = None  # the narrow design stages start and inst
        self.commands = Commands(element_bytes, bus)
        self.padding = ZeroPadding()
        self.events: set[str] = set()

    @property
    def done(self) -> bool:
        padded = self.padding.state == "idle"
        return self.busy and self.in_flight == 0 and self.commands.done and padded

    def tick(self, ins, start: bool, sent: bool, data: bool) -> None:
        if not (start or self.busy or data or self.data):
            return
        done = self.done
        fire = self.data if self.narrow else data
        if self.busy and self.padding.state != "idle":
            self.events.add("padding waits for data" if fire else "padding")
        if self.narrow:
            self.padding.tick(ins, self.padding_start is not None, not fire)
            self.padding_start = ins if start else None
        else:
            self.padding.tick(ins, start, not fire)
        if start:
            self.in_flight = 0
        elif self.busy:
            requested = self.commands.length(ins) if sent else 0
            self.in_flight += requested - fire
            if not 0 <= self.in_flight < self.counter:
                raise HangError("the count of beats in flight wraps")
        self.commands.tick(ins, start, self.busy, sent)
        self.data = data
        self.busy = start or (self.busy and not done)


class MicroOps:
    """TensorGemm.scala and TensorAlu.scala: index generator, and four modules_of behind it."""

    def __init__(self) -> None:
        self.state = "idle"
        self.running = self.stutter = False
        self.outer = self.inner = self.uop = 0
        self.in_flight = 0
        self.modules_of = [False] * 4  # uop, tensors, multiply, add; valid_r1 to valid_r4

    @property
    def done(self) -> bool:
        return self.state == "wait" and self.in_flight == 0

    def tick(self, ins, start: bool) -> None:
        if self.state == "idle" and not start:
            return
        advance = ins is not None and (ins.kind == "gemm" or ins.immediate or self.stutter)
        valid, last, out = self.running and advance, False, self.modules_of[-1]
        if not self.running:
            self.outer = self.inner = 0
            self.uop = ins.uops[0] if ins else 0
        elif advance:
            last = self._count(ins)
        if self.state == "idle" and start:
            self.state = "run"
        elif self.state == "run" and last:
            self.state = "wait"
        elif self.done:
            self.state = "idle"
        self.in_flight += valid - out
        self.modules_of = [valid, *self.modules_of[:-1]]
        self.stutter = self.running and not advance
        self.running = start or (self.running and not last)

    def _count(self, ins: Instruction) -> bool:
        """Next micro-op; whether this one was the last."""
        begin, end = ins.uops
        if self.uop != end - 1:
            self.uop += 1
            return False
        self.uop = begin
        if self.inner != ins.loops[1] - 1:
            self.inner += 1
            return False
        if self.outer != ins.loops[0] - 1:
            self.outer, self.inner = self.outer + 1, 0
            return False
        return True


class StoreNarrow:
    """TensorStoreNarrowVME.scala."""

    def __init__(self, batch: int, block: int, bus: Bus) -> None:
        self.bus = bus
        self.row_beats = block // bus.beat  # numMemBlock
        if not self.row_beats:
            raise HangError("the design requires a row of a tensor to be at least a beat")
        self.batch, self.element = batch, batch * block
        self.state = "idle"
        self.address = self.row_address = 0  # waddr_cur, waddr_nxt
        self.beats = self.sent = self.rest = self.step = 0  # xlen + 1, xcnt, xrem, xfer_bytes
        self.row = 0  # ycnt
        self.tag = 0

    def command(self, ins):
        if self.state != "command":
            return None
        return Request(ins.number, self.address, self.beats)

    @property
    def data(self) -> bool:
        return self.state == "data"

    def done(self, ins, ack: bool) -> bool:
        return self.state == "ack" and ack and not self.rest and self.row == ins.y - 1

    def _burst(self, address: int, beats: int) -> None:
        """Command for the next beats: up to the page boundary."""
        self.address, self.step = address, self.bus.page - address % self.bus.page
        self.beats = min(beats, self.step // self.bus.beat)
        self.rest = beats - self.beats

    def tick(self, ins, start: bool, ready: bool, data_ready: bool, ack: bool) -> None:
        row_beats = ins.x * self.batch * self.row_beats if ins else 0
        end_of_row = self.tag == self.row_beats - 1
        fire = self.state == "data" and data_ready
        if self.state == "command" or end_of_row:
            self.tag = 0
        elif fire:
            self.tag += 1
        if self.state == "idle":
            self.row = 0
            if start:
                self.state, self.row_address = "command", ins.dram * self.element
                self._burst(self.row_address, row_beats)
        elif self.state == "command":
            self.sent = 0
            if ready:
                self.state = "data"
        elif self.state == "data":
            if fire:
                self.sent += 1
                if self.sent == self.beats:
                    self.state = "ack"
                elif end_of_row:
                    self.state = "read"
        elif self.state == "read":
            self.state = "data"
        elif ack:
            if self.rest:
                self.state = "command"
                self._burst(self.address + self.step, self.rest)
            elif self.row == ins.y - 1:
                self.state = "idle"
            else:
                self.state = "command"
                self.row += 1
                self.row_address += ins.stride * self.element
                self._burst(self.row_address, row_beats)


class StoreWide:
    """TensorStoreWideVME.scala."""

    def __init__(self, batch: int, block: int, bus: Bus) -> None:
        self.state = "idle"
        self.commands = Commands(batch * block, bus)
        self.beats = self.sent = 0  # readLenReg, xcnt

    def command(self, ins):
        return self.commands.command(ins, busy=True) if self.state == "command" else None

    @property
    def data(self) -> bool:
        return self.state == "data"

    def done(self, ins, ack: bool) -> bool:
        return self.state == "ack" and ack and self.commands.done

    def tick(self, ins, start: bool, ready: bool, data_ready: bool, ack: bool) -> None:
        beats = self.commands.length(ins) if self.state == "command" else 0
        self.commands.tick(ins, start, self.state != "idle", self.state == "command")
        if self.state == "idle":
            if start:
                self.state = "command"
        elif self.state == "command":
            if not ready:
                raise HangError("the design moves on although its command was not taken")
            self.state, self.beats, self.sent = "data", beats, 0
        elif self.state == "data":
            if data_ready:
                self.sent += 1
                if self.sent == self.beats:
                    self.state = "ack"
        elif ack:
            self.state = "idle" if self.commands.done else "command"


class Control:
    """Load.scala, Compute.scala, Store.scala: queue, tokens and the state of one instruction."""

    def __init__(self, before: Semaphore | None, after: Semaphore | None) -> None:
        self.semaphores = (before, after)
        self.queue = Queue(ENTRIES)
        self.state = "idle"

    def _pops(self, ins: Instruction) -> list[Semaphore]:
        pairs = zip(ins.pops, self.semaphores, strict=True)
        return [semaphore for pop, semaphore in pairs if pop and semaphore]

    @property
    def begins(self):
        """The instruction that starts in this cycle."""
        ins = self.queue.head
        if self.state != "idle" or ins is None or any(not s.count for s in self._pops(ins)):
            return None
        return ins

    def ends(self, done: bool):
        """The instruction that ends in this cycle."""
        over = self.state == "sync" or (self.state == "run" and done)
        return self.queue.head if over else None

    def tick(self, enq, begins, ends, posts: tuple[bool, bool]) -> None:
        pops = self._pops(begins) if begins else []
        for semaphore, post in zip(self.semaphores, posts, strict=True):
            if semaphore:
                semaphore.tick(post, semaphore in pops)
        if begins:
            self.state = "sync" if begins.sync else "run"
        elif ends:
            self.state = "idle"
        self.queue.tick(enq, ends is not None)


class Machine:
    """Core.scala and VTAShell.scala: the modules and the wires between them."""

    def __init__(self, program, hardware: VTAConfig, latency, write_latency, waits, bus) -> None:
        batch, block = hardware.batch, hardware.block
        size = {"uop": 4, "inp": batch * block, "wgt": block * block, "acc": 4 * batch * block}
        self.memory = Memory(latency, write_latency)
        self.engine = MemoryEngine()
        self.fetch = (FetchWide if bus.beat >= INSTRUCTION_BYTES else Fetch)(program, bus)
        self.loads = {
            name: TensorLoad(size[name], hardware.depth(name), bus) for name in CLIENTS[1:]
        }
        self.micro_ops = {"gemm": MicroOps(), "alu": MicroOps()}
        self.micro_ops_start = None  # RegNext of the start of GEMM and ALU
        self.store = (StoreNarrow if batch * block > bus.beat else StoreWide)(batch, block, bus)
        self.controls = {
            "load": Control(None, Semaphore()),
            "compute": Control(Semaphore(), Semaphore(int(waits))),
            "store": Control(Semaphore(), None),
        }
        self.start, self.done = [-1] * len(program), [-1] * len(program)
        self.finish = None
        self.fetches: list[list[int]] = []
        self.dispatched = 0
        self.reads: list[list[int]] = []
        self.waiting: dict[int, list[int]] = {}  # by tag
        self.events: set[str] = set()

    def cycle(self, now: int) -> bool:
        """One cycle; whether anything moved."""
        # wires: no register changes here
        memory, engine, fetch, store = self.memory, self.engine, self.fetch, self.store
        heads = {name: control.queue.head for name, control in self.controls.items()}
        begins = {name: control.begins for name, control in self.controls.items()}
        head_of = {n: heads["load" if n in ("inp", "wgt") else "compute"] for n in self.loads}
        commands = [fetch.command]
        for name, load in self.loads.items():
            commands.append(load.commands.command(head_of[name], load.busy))
        sent = [c if q.ready else None for c, q in zip(commands, engine.queues, strict=True)]
        beat = memory.beat
        grant = engine.grant(beat, memory.read_ready)
        granted = engine.queues[grant[0]].head if grant else None
        ack = engine.write_state == "response" and memory.response == 1
        write = store.command(heads["store"])
        write_ready = engine.write_state == "idle"
        write_data = engine.write_state == "data" and store.data

        ends = {}
        for name, control in self.controls.items():
            ins = heads[name]
            if ins is None:
                ends[name] = None
            elif ins.kind in self.loads:
                ends[name] = control.ends(self.loads[ins.kind].done)
            elif ins.kind in self.micro_ops:
                ends[name] = control.ends(self.micro_ops[ins.kind].done)
            else:
                ends[name] = control.ends(ins.kind == "finish" or store.done(ins, ack))

        pushes = {name: ins.pushes if ins else (False, False) for name, ins in ends.items()}
        posts = {
            "load": (False, pushes["compute"][0]),
            "compute": (pushes["load"][1], pushes["store"][0]),
            "store": (pushes["compute"][1], False),
        }
        dispatched = fetch.dispatch
        if dispatched and not self.controls[dispatched.module].queue.ready:
            dispatched = None

        self._log(now, begins, ends, beat, grant, granted, dispatched)
        moved = (beat, grant, ack, write, write_data, dispatched, *begins.values(), *ends.values())
        units = (*self.micro_ops.values(), *(load.padding for load in self.loads.values()))

        # registers: every module gets the wires
        memory.tick(grant and grant[1], granted, write_data and engine.last_write)
        client = engine.data
        engine.tick(sent, beat, grant, write, write_data, ack)
        fetch.tick(sent[0] is not None, client == 0, dispatched is not None)
        for number, (name, load) in enumerate(self.loads.items(), 1):
            ins = begins["load" if name in ("inp", "wgt") else "compute"]
            start = ins is not None and ins.kind == name and not ins.sync
            load.tick(head_of[name], start, sent[number] is not None, client == number)
        for name, unit in self.micro_ops.items():
            ins = heads["compute"]
            mine = ins if ins is not None and ins.kind == name else None
            unit.tick(mine, self.micro_ops_start == name)
        ins = begins["compute"]
        self.micro_ops_start = ins.kind if ins and ins.kind in self.micro_ops else None
        ins = begins["store"]
        store.tick(heads["store"], ins is not None and not ins.sync, write_ready, write_data, ack)
        for name, control in self.controls.items():
            enq = dispatched if dispatched and dispatched.module == name else None
            control.tick(enq, begins[name], ends[name], posts[name])
        return any(moved) or any(unit.state != "idle" for unit in units)

    def _log(self, now, begins, ends, beat, grant, granted, dispatched) -> None:
        for ins in filter(None, begins.values()):
            self.start[ins.number] = now
        for ins in filter(None, ends.values()):
            self.done[ins.number] = now
            if ins.kind == "finish":
                self.finish = now
        if grant:
            self.waiting[grant[1]] = [granted.number, now, -1, -1]
            self.reads.append(self.waiting[grant[1]])
            if granted.number < 0:
                self.fetches.append([now, -1, -1, self.fetch.size])
        if beat:
            record = self.waiting[beat[0]]
            record[2] = now if record[2] < 0 else record[2]
            record[3] = now
            if record[0] < 0:
                self.fetches[-1][1] = now
        if dispatched:
            self.fetches[self.dispatched // self.fetch.most][2] = now
            self.dispatched += 1
        queued = sum(bool(queue.items) for queue in self.engine.queues)
        if queued > 1:
            self.events.add("port contested")
        if queued and not any(self.engine.free):
            self.events.add("tags used up")
        if beat and len(self.memory.reads) > 1:
            self.events.add("memory busy")
        if self.fetch.dispatch and not dispatched:
            self.events.add("queue full")
        if any(any(ins.pops) for ins in begins.values() if ins):
            self.events.add("tokens")


def step(
    instructions: np.ndarray,
    hardware: VTAConfig,
    latency: int = 16,
    write_latency: int = 1,
    waits: bool = False,
    bus: int = 8,
) -> Stepped:
    """Step one launch until FINISH has finished and every instruction is done."""
    assert instructions.dtype == INSTRUCTION
    program = [decode(number, record) for number, record in enumerate(instructions)]
    machine = Machine(program, hardware, latency, write_latency, waits, Bus(bus))
    now = idle = 0
    while min(machine.done) < 0:
        idle = 0 if machine.cycle(now) else idle + 1
        if idle > HANG:
            raise HangError(f"nothing moves after cycle {now - idle}")
        now += 1
    events = machine.events.union(*(load.events for load in machine.loads.values()))
    return Stepped(
        machine.finish, machine.start, machine.done, machine.fetches, machine.reads, events
    )
