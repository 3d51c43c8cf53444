"""The import graph of vtacsp, read from its code, and its layers.

``python -m tests.support.imports docs/imports.svg`` draws it; a test keeps the drawing current.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from html import escape
from pathlib import Path

from tests.support import ROOT

LAYERS: dict[str, str] = {
    "ground": "vtacsp|errors|causes|names|files|arrays|jit|workers|uninterrupted|glossary|moved|"
    "version|stopping",
    "expr": "expr.*",
    "rules: words": "rules|rules.rule|rules.symbols",
    "machine": "machine.*",
    "epilogue: steps": "epilogue|epilogue.steps|epilogue.footprint",
    "operators: work": "operators|operators.*|alu|alu.workload|alu.axes|alu.windows|alu.filling",
    "program": "program.*",
    "operators: programs": "operators.builder|operators.?.program|operators.?.tiling|"
    "epilogue.program|alu.program",
    "operators: numbers": "operators.convolve|operators.?.reference",
    "functional": "functional.*",
    "timing: engine": "machine.design|timing.model|timing.plan|timing.engine|timing.breakdown|"
    "timing.trace|timing.cut_short",
    "rules: mechanisms": "rules.*|epilogue.rules",
    "operators: rules": "operators.nest|operators.catalogue|operators.rule_page|operators.?.nest|"
    "operators.?.rules|operators.?.overflow|operators.?.bound|alu.nest|alu.rules|alu.bound",
    "space": "space.*",
    "timing: layers": "timing.*",
    "free": "free.*",
    "tune": "tune.*",
    "embedding": "embedding.*",
    "network": "network.*",
    "calibrate": "calibrate.*",
    "bundle": "bundle.*",
    "audit": "audit.*",
    "codesign": "codesign.*",
    "report": "report.*",
    "study": "study.*",
    "metaschedule": "metaschedule.*|operators.tir|operators.?.tir",
    "autotvm": "autotvm.*",
    "cli": "cli.*|__main__",
}
"""The layers, from the ground up: a module imports its own layer and those before it.

The modules of a layer are patterns: ``x.*`` is a package and all that is in it, ``?`` the folder of
an operator.  A module is in the layer with the longest pattern that fits.
"""

SPLIT = {
    "machine": "`design` is about a machine and the bus, which is a constant of the timing model",
    "alu": (
        "what the operators of the ALU share, in the same parts as the folder of an operator has"
    ),
    "rules": (
        "`rule` and `symbols` are words, which the legality of a machine is written in too; the "
        "mechanisms are sentences about configurations"
    ),
    "epilogue": (
        "a workload has an epilogue, so that its steps are below the operators; its program is "
        "made of the mechanisms in `program/`, its rules of those in `rules/`"
    ),
    "operators": (
        "a folder has all that an operator is: what a program is made for (below `program/`), the "
        "program, what it computes, and the rules, which know nothing of each other"
    ),
    "timing": (
        "the engine times a program and knows no space; `Simulator` takes configurations of one"
    ),
}
"""Why a folder is in several layers."""

INDEPENDENT = (
    "program.*|operators.builder|operators.?.program|operators.?.tiling|epilogue.program|"
    "functional.*|timing.engine|timing.plan|timing.model|operators.?.reference|operators.convolve|"
    "alu.program|free.emit|free.walk|free.dependences|free.micro_ops|free.multiply|free.table|"
    "free.tiles|free.transfers|free.epilogue|free.window_tiles|free.window_walk"
)
"""The second oracle: what makes, executes and times a program."""

RULES = (
    "rules.*|operators.nest|operators.?.nest|operators.?.rules|operators.?.overflow|"
    "operators.catalogue|epilogue.rules|space.*|alu.nest|alu.rules|free.rules|free.schedule_fields|"
    "free.demand|free.kernel_demand|free.window_rules|free.window_demand"
)
"""The first oracle: what says whether a configuration is feasible."""

WORDS = "rules|rules.rule|rules.symbols"
"""Of the first, what both may have: a machine is refused in these words when it is described,
before there is any configuration (``machine.legality``)."""

PACKAGE = ROOT / "vtacsp"


def fits(module: str, patterns: str) -> int:
    """How much of a module's name a pattern says, 0 when none fits."""
    name = module.removeprefix("vtacsp.")
    return max((len(p) for p in patterns.split("|") if _pattern(p).fullmatch(name)), default=0)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    parts = re.escape(text).replace(r"\?", r"[a-z0-9_]+")
    return re.compile(re.sub(r"\\\.\\\*$", r"(\\..+)?", parts))


def layer_of(module: str) -> str:
    """The layer of a module; raises :class:`LookupError` for one that is in none."""
    found = max(LAYERS, key=lambda layer: fits(module, LAYERS[layer]))
    if not fits(module, LAYERS[found]):
        raise LookupError(f"{module} is in no layer: say in tests/support/imports.py in which")
    return found


@cache
def modules() -> dict[str, Path]:
    """Name and file of every module."""
    return {
        ".".join(("vtacsp", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in sorted(PACKAGE.rglob("*.py"))
    }


@cache
def tree(module: str) -> ast.Module:
    """The code of a module."""
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def imports(module: str, *, in_functions: bool = True) -> set[str]:
    """The modules of the package that a module imports."""
    found: set[str] = set()
    for node in _statements(tree(module), in_functions):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "vtacsp"}
        elif node.level:
            raise ValueError(f"{module}: line {node.lineno}: imports are absolute here")
        elif node.module and node.module.split(".")[0] == "vtacsp":
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in modules() else node.module)
    return found - {module}


def _statements(node: ast.AST, in_functions: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.Import | ast.ImportFrom):
            yield part
        function = isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
        types = isinstance(part, ast.If) and "TYPE_CHECKING" in ast.unparse(part.test)
        if in_functions or not (function or types):
            yield from _statements(part, in_functions)


@cache
def graph() -> Mapping[str, frozenset[str]]:
    """Module -> what it imports anywhere, in functions too."""
    return {module: frozenset(imports(module)) for module in modules()}


def reached(start: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    """All that is imported, directly or not."""
    found: set[str] = set()
    front = set(start)
    while front:
        found |= front
        front = {target for module in front for target in edges[module]} - found
    return found


def layer_graph() -> dict[str, set[str]]:
    """Layer -> the layers that it imports."""
    edges: dict[str, set[str]] = {layer: set() for layer in LAYERS}
    for module, targets in graph().items():
        layer = layer_of(module)
        edges[layer] |= {layer_of(target) for target in targets} - {layer}
    return edges


# ---------------------------------------------------------------- the drawing

WIDTH, HEIGHT, GAP_X, GAP_Y = 132, 30, 16, 34


def drawing() -> str:
    """The layers as an SVG picture; an import that follows from others is not drawn."""
    edges = layer_graph()
    direct = {
        layer: {t for t in targets if not any(t in _above(o, edges) for o in targets - {t})}
        for layer, targets in edges.items()
    }
    depth: dict[str, int] = {}
    for layer in LAYERS:
        depth[layer] = 1 + max((depth[t] for t in edges[layer]), default=-1)
    rows: dict[int, list[str]] = {}
    for layer, row in depth.items():
        rows.setdefault(row, []).append(layer)
    most = max(map(len, rows.values()))
    total_x, total_y = most * (WIDTH + GAP_X) + GAP_X, len(rows) * (HEIGHT + GAP_Y) + GAP_Y
    at = {
        layer: (
            (total_x - len(row) * (WIDTH + GAP_X) + GAP_X) / 2 + place * (WIDTH + GAP_X),
            total_y - (number + 1) * (HEIGHT + GAP_Y),
        )
        for number, row in rows.items()
        for place, layer in enumerate(row)
    }
    lines = [_line(at[a], at[b]) for a in LAYERS for b in LAYERS if b in direct[a]]
    boxes = [_box(layer, *at[layer]) for layer in LAYERS]
    return "\n".join([_HEAD.format(x=total_x, y=total_y), *lines, *boxes, "</svg>", ""])


def _above(layer: str, edges: Mapping[str, set[str]]) -> set[str]:
    return reached(edges[layer], edges)


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    x0, y0, x1, y1 = start[0] + WIDTH / 2, start[1] + HEIGHT, end[0] + WIDTH / 2, end[1] - 5
    bend = (y1 - y0) / 2
    return (
        f'<path d="M{x0:.0f} {y0:.0f}C{x0:.0f} {y0 + bend:.0f} {x1:.0f} {y1 - bend:.0f} '
        f'{x1:.0f} {y1:.0f}" marker-end="url(#to)"/>'
    )


def _box(layer: str, x: float, y: float) -> str:
    oracle = {
        "program": "second", "operators: programs": "second", "operators: numbers": "second",
        "functional": "second", "timing: engine": "second", "rules: mechanisms": "first",
        "operators: rules": "first", "space": "first",
    }.get(layer, "")  # fmt: skip
    middle = f'x="{x + WIDTH / 2:.0f}" y="{y + HEIGHT / 2 + 4:.0f}"'
    return (
        f'<rect class="{oracle}" x="{x:.0f}" y="{y:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="4"/>'
        f"<text {middle}>{escape(layer)}</text>"
    )


_HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {x} {y}" role="img">
<title>The layers of vtacsp: each imports those that its lines lead down to</title>
<style>rect{{fill:#f4f4f2;stroke:#8a8a86}}rect.first{{fill:#dbe9f6;stroke:#3b76af}}
rect.second{{fill:#fbe6d4;stroke:#c26a1b}}text{{font:12px sans-serif;text-anchor:middle;fill:#222}}
path{{fill:none;stroke:#8a8a86}}#to path{{fill:#8a8a86;stroke:none}}</style>
<defs><marker id="to" viewBox="0 0 6 6" refX="1" refY="3" markerWidth="6" markerHeight="6"
orient="auto"><path d="M0 0L6 3L0 6z"/></marker></defs>
<rect x="0" y="0" width="{x}" height="{y}" style="fill:#fff;stroke:none"/>"""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(drawing(), encoding="utf-8")
