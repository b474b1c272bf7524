"""The house rules that an import can break."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SLACK = {"slack_bolt", "slack_sdk"}
SQL = {"sqlalchemy", "alembic", "sqlite3"}
MODEL = {"torch", "transformers", "tokenizers", "safetensors"}
FORBIDDEN = {
    "retriever": {"bot", "reader"} | SLACK | MODEL,
    "migrations": {"bot", "reader"} | SLACK | MODEL,
}
#: What the reader stands on, as its docstring says, and what single modules need beside it.
READER = {"reader", "numpy", "huggingface_hub"} | MODEL | (sys.stdlib_module_names - SQL)
READER_MORE = {"reader/matching.py": {"Stemmer"}, "reader/curve.py": {"matplotlib"}}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """The top-level packages that a module imports anywhere, under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_dependencies_run_one_way(package: str) -> None:
    found = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(package)
        for name in imports(path)
        if name in FORBIDDEN[package]
    }
    assert modules(package)
    assert not found


def test_the_reader_stands_alone() -> None:
    paths = {str(path.relative_to(ROOT)): path for path in modules("reader")}
    found = {name: set(imports(path)) - READER for name, path in paths.items()}
    assert {name: more for name, more in found.items() if more} == READER_MORE


def test_only_the_slack_part_of_the_bot_knows_slack() -> None:
    found = {
        str(path.relative_to(ROOT))
        for path in modules("bot")
        if SLACK & set(imports(path)) and "slack" not in path.relative_to(ROOT).parts
    }
    assert not found


def test_only_settings_read_the_environment() -> None:
    found = {
        str(path.relative_to(ROOT))
        for package in ("bot", "retriever", "reader", "migrations")
        for path in modules(package)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    }
    assert found == {"bot/settings.py"}


@pytest.mark.parametrize(
    "module",
    [
        "bot",
        "bot.cli.main",
        "bot.slack.app",
        "retriever.search",
        "reader",
        "reader.reader",
        "reader.pipeline",
    ],
)
def test_importing_loads_no_network(module: str) -> None:
    code = f"import sys, {module}; print({{'torch', 'transformers'}} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "set()"


def test_the_source_distribution_holds_what_its_tests_import() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = set(project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
    own = {
        f"/{name}" for path in modules("tests") for name in imports(path) if (ROOT / name).is_dir()
    }
    assert {"/bench", "/bot", "/tests"} <= own
    assert own <= included
