"""The tasks of this repository: ``nox --list`` names them.

``nox -s tests -- tests/expr -x`` hands what is behind ``--`` to pytest.  Every session has an
environment of its own, kept between runs; with ``--no-venv`` it runs in the one that there is, as
``.ci/run`` does.
"""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "types", "docs", "tests"]
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"

EXTRAS = nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]


def install(session: nox.Session, *packages: str, vtacsp: str = "") -> None:
    """Packages, and vtacsp with these extras where the session has an environment of its own."""
    if session.virtualenv.venv_backend == "none":
        session.run("python", "-m", "pip", "install", "-q", *packages)
    else:
        session.install(*packages, *(["-e", vtacsp] if vtacsp else []))


@nox.session
def lint(session: nox.Session) -> None:
    """Style: ruff, and whether everything is formatted."""
    install(session, "ruff>=0.6")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types: mypy, strict, over the package."""
    install(session, "mypy>=1.10", vtacsp=".")
    session.run("mypy", "vtacsp")


@nox.session
def docs(session: nox.Session) -> None:
    """The pages, and the reference from the docstrings, in ``site/``: no link may be broken."""
    install(session, *EXTRAS["docs"])
    session.run("python", "-m", "mkdocs", "build", "--strict", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, on all cores."""
    install(session, "pip", vtacsp=".[test]")
    session.run("python", "-m", "pytest", "-q", *(session.posargs or ["-n", "auto"]))


@nox.session
def coverage(session: nox.Session) -> None:
    """Which lines and branches the tests reach; what numba compiles is not counted."""
    install(session, "coverage>=7.10", vtacsp=".[test]")
    session.run("python", "-m", "coverage", "erase")
    session.run("python", "-m", "coverage", "run", "-m", "pytest", "-q", *session.posargs)
    session.run("python", "-m", "coverage", "combine")
    session.run("python", "-m", "coverage", "report")


@nox.session
def durations(session: nox.Session) -> None:
    """The slowest tests, into their page."""
    install(session, "pip", vtacsp=".[test]")
    arguments = ["-q", "--durations=20", *(session.posargs or ["-n", "auto"])]
    with open("durations.txt", "w", encoding="utf-8") as file:
        session.run("python", "-m", "pytest", *arguments, stdout=file)
    session.run("python", "-m", "tests.support.durations", "durations.txt")


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks of the spaces, as ``docs/benchmarks.md`` shows them."""
    install(session, "pip", vtacsp=".[test]")
    session.run("python", "-m", "tests.benchmarks", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Thousands of broken programs: the audit has to find every one that computes something else.

    ``nox -s mutants -- 90 1``: mutants of each program, and the seed.
    """
    install(session, "pip", vtacsp=".[test]")
    session.run("python", "-m", "tests.support.audited", *(session.posargs or ["90", "1"]))
