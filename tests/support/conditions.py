"""Random conditions of the expression language over three symbols."""

from __future__ import annotations

from hypothesis import strategies as st

from vtacsp.expr import Symbol, choose, count, if_else, maximum, minimum, pow2, table

DOMAINS = {"a": (1, 2, 3, 6), "b": (0, 1, 4), "c": (2, 5)}
a, b, c = (Symbol(name) for name in DOMAINS)


def zigzag(x, y):
    return (x * 7 + y * 3) % 5


numbers = st.recursive(
    st.sampled_from([a, b, c]) | st.integers(-3, 6).map(lambda n: a * 0 + n),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: p[0] + p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] - p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] * p[1]),
        inner.map(lambda n: n // 3),
        inner.map(lambda n: n % 4),
        st.tuples(inner, inner).map(lambda p: minimum(*p)),
        st.tuples(inner, inner).map(lambda p: maximum(*p)),
        st.tuples(inner, inner).map(lambda p: if_else(p[0] < p[1], p[1], p[0] + 1)),
        st.tuples(inner, inner).map(lambda p: table("zigzag", zigzag, *p)),
        inner.map(lambda n: pow2(n % 5)),
        st.tuples(inner, inner).map(lambda p: count(p[0] == p[1], p[0] <= 2)),
    ),
    max_leaves=6,
)
conditions = st.recursive(
    st.tuples(numbers, numbers, st.sampled_from(["<", "<=", "==", "!=", ">", ">="])).map(
        lambda t: {
            "<": t[0] < t[1],
            "<=": t[0] <= t[1],
            "==": t[0] == t[1],
            "!=": t[0] != t[1],
            ">": t[0] > t[1],
            ">=": t[0] >= t[1],
        }[t[2]]
    ),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: p[0] & p[1]),
        st.tuples(inner, inner).map(lambda p: p[0] | p[1]),
        inner.map(lambda p: ~p),
        st.tuples(inner, inner, inner).map(lambda p: choose(*p)),
        st.tuples(inner, inner).map(lambda p: p[0].implies(p[1])),
    ),
    max_leaves=4,
)
