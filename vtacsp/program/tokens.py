"""Dependency tokens: where the compiler makes one module wait for another.

Source: ``CoProcInstDepDetector`` of TVM's ``coproc_sync.cc``.  Neighbouring scopes of
different modules get a push and a pop; so do the end and the beginning of a loop body, and
what a loop needs before its first and leaves after its last iteration is matched around it.

Independent of rules and nests on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vtacsp.machine.instructions import Module
from vtacsp.program.loops import Loop, Scope, Statement, Token

__all__ = ["inject_tokens"]

Edge = tuple[Module, Module]


@dataclass
class _State:
    """A scope or loop as its neighbours see it: the modules at both ends, open tokens."""

    node: Scope | Loop
    enters: Module
    leaves: Module
    pops: list[Edge] = field(default_factory=list)
    pushes: list[Edge] = field(default_factory=list)


class _Injector:
    def __init__(self) -> None:
        self.before: dict[int, list[Token]] = {}
        self.after: dict[int, list[Token]] = {}

    def plan(self, nodes: list[Statement]) -> None:
        ends = self._sequence(nodes)
        if ends is not None:
            first, last = ends
            self._add(self.before, first, [Token(True, *edge) for edge in first.pops])
            self._add(self.after, last, [Token(False, *edge) for edge in last.pushes])

    def rewrite(self, nodes: list[Statement]) -> list[Statement]:
        """The tree with its tokens; those of a scope stay inside of it."""
        result: list[Statement] = []
        for node in nodes:
            before, after = self.before.get(id(node), []), self.after.get(id(node), [])
            if isinstance(node, Scope):
                result.append(Scope(node.stage, [*before, *node.body, *after]))
            elif isinstance(node, Loop):
                loop = Loop(node.variable, self.rewrite(node.body))
                result.extend([*before, loop, *after])
            else:
                result.append(node)
        return result

    def _sequence(self, nodes: list[Statement]) -> tuple[_State, _State] | None:
        first: _State | None = None
        last: _State | None = None
        for node in nodes:
            state = self._visit(node)
            if state is None:
                continue
            if last is None:
                first = state
            else:
                self._sync(last, state)
            last = state
        return None if first is None or last is None else (first, last)

    def _visit(self, node: Statement) -> _State | None:
        if isinstance(node, Scope):
            return _State(node, node.stage, node.stage)
        if not isinstance(node, Loop):
            return None
        ends = self._sequence(node.body)
        if ends is None:
            return None
        first, last = ends
        pushes, pops = self._sync(last, first)  # from one iteration to the next
        return _State(node, first.enters, last.leaves, pops, pushes)

    def _sync(self, prev: _State, succ: _State) -> tuple[list[Edge], list[Edge]]:
        """Tokens between two neighbours; returns those that stay open when they are one loop."""
        after: list[Token] = []
        before: list[Token] = []
        pushes, pops = list(prev.pushes), list(succ.pops)
        edge = (prev.leaves, succ.enters)
        if prev.leaves != succ.enters:
            if edge not in prev.pushes:
                pushes.append(edge)
                after.append(Token(True, *edge))
            if edge not in succ.pops:
                pops.append(edge)
                before.append(Token(False, *edge))
        # a token that only one side knows is matched on that side
        after += [Token(False, *e) for e in pushes if e not in pops]
        before += [Token(True, *e) for e in pops if e not in pushes]
        self._add(self.after, prev, after)
        self._add(self.before, succ, before)
        return [e for e in pushes if e in pops], [e for e in pops if e in pushes]

    def _add(self, table: dict[int, list[Token]], state: _State, tokens: list[Token]) -> None:
        if tokens:
            table.setdefault(id(state.node), []).extend(tokens)


def inject_tokens(nodes: list[Statement]) -> list[Statement]:
    """The nest with its dependency tokens."""
    injector = _Injector()
    injector.plan(nodes)
    return injector.rewrite(nodes)
