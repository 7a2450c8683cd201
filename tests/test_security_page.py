"""Every test that docs/security.md names exists."""

import ast
import re

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("reference", sorted(set(re.findall(r"`(tests/[^`]+)`", PAGE))))
def test_a_named_test_exists(reference: str) -> None:
    path, _, name = reference.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))

    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert any(function.startswith("test") for function in names)
    assert not name or name in names
