"""What an audit finds: kinds, how bad they are, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["ERROR", "KINDS", "NOTE", "Finding"]

ERROR = "error"
"""The severity of a defect of the program.

>>> [kind for kind, (severity, _) in KINDS.items() if severity == ERROR][:3]
['deadlock', 'queue_deadlock', 'race']
"""

NOTE = "note"
"""The severity of what cannot change the program's result on VTA's own design.

>>> Finding("tokens_left", "left over: 1 in store->compute").severity == NOTE
True
"""

KINDS: dict[str, tuple[str, str]] = {
    "deadlock": (ERROR, "modules wait for tokens that nothing pushes"),
    "queue_deadlock": (ERROR, "with queues of finite length the program does not come to its end"),
    "race": (ERROR, "no token orders two accesses, and a value that is stored depends on it"),
    "dram_race": (ERROR, "no token orders a store and a load of the same DRAM"),
    "unwritten": (ERROR, "a stored value depends on what nothing has written"),
    "stale_output": (ERROR, "stored, but GEMM or ALU did not write it last: the RTL stores OUT"),
    "early_finish": (ERROR, "FINISH does not wait for a store: the host may read too early"),
    "sram_bounds": (ERROR, "an element outside of the scratchpad"),
    "dram_bounds": (ERROR, "an address outside of the buffer"),
    "image_bounds": (ERROR, "a load of micro-ops outside of their image"),
    "token_overflow": (ERROR, "a token counter may have to hold more than 255"),
    "no_operation": (ERROR, "an instruction, memory type or ALU operation that does not exist"),
    "no_finish": (ERROR, "the stream does not end with FINISH"),
    "zero_extent": (ERROR, "no iterations, micro-ops or rows: the RTL counts on past zero"),
    "store_padding": (ERROR, "a store with padding"),
    "micro_op_shape": (ERROR, "a load of micro-ops with padding or rows: designs differ there"),
    "instruction_bits": (ERROR, "instructions of this machine are longer than 128 bits"),
    "not_stored": (ERROR, "output that no instruction stores"),
    "wrong_result": (ERROR, "the numbers are not those of the layer"),
    "unordered": (NOTE, "no token orders two accesses, but no stored value depends on it"),
    "unwritten_unused": (NOTE, "read before it was written, but no stored value depends on it"),
    "tokens_left": (NOTE, "tokens are left for the program that runs next"),
    "micro_op_hazard": (NOTE, "a micro-op writes the accumulator of one of the two before it"),
    "beat_counter": (NOTE, "one load fills the scratchpad: the RTL may end it early"),
    "no_queue": (NOTE, "a flag for a queue that the module does not have"),
    "unused_bits": (NOTE, "bits are set that no field has"),
    "address_bits": (NOTE, "an address beyond 4 GiB, which a 32-bit port does not reach"),
}
"""Kind -> how bad it is, what it means.

>>> KINDS["race"]
('error', 'no token orders two accesses, and a value that is stored depends on it')
"""


@dataclass(frozen=True)
class Finding:
    """Something about an instruction (None: about the program).

    ``other`` is the instruction on the other side of an access, ``memory`` and ``element`` the
    first element, ``count`` how many accesses are alike.

    >>> finding = Finding("sram_bounds", "it uses ACC element 2,048", instruction=7)
    >>> finding.severity, finding.instruction
    ('error', 7)
    """

    kind: str
    text: str
    instruction: int | None = None
    other: int | None = None
    memory: str | None = None
    element: int | None = None
    count: int = 1

    @property
    def severity(self) -> str:
        """:data:`ERROR` or :data:`NOTE`."""
        return KINDS[self.kind][0]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "instruction": self.instruction,
            "other": self.other,
            "memory": self.memory,
            "element": self.element,
            "count": self.count,
            "text": self.text,
        }
