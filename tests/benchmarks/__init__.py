"""Speed of the package side by side with other engines, all under the same rules.

``python -m tests.benchmarks`` measures and writes ``docs/benchmarks.md``.
"""
