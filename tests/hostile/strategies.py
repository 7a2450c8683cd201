"""Hypothesis strategies of hostile inputs; a failing example shrinks to a small seed, whose name makes it again."""

from hypothesis import strategies as st

from tests.hostile.generators import SYNTAX_OF, Input, make

SEEDS = st.integers(0, 2**32)


def inputs(*generators: str) -> st.SearchStrategy[Input]:
    """Return inputs of some generators."""
    return st.builds(lambda generator, seed: make(f"{generator}/{seed}"), st.sampled_from(generators), SEEDS)


def files() -> st.SearchStrategy[bytes]:
    """Return DICOM files that are wrong in structure or in their code stream."""
    return inputs("dicom", *SYNTAX_OF).map(lambda some: some.body)


def store_bodies() -> st.SearchStrategy[tuple[bytes, bytes]]:
    """Return Content-Type and body of STOW-RS requests."""
    return inputs("stow").map(lambda some: (some.content_type, some.body))


def peers() -> st.SearchStrategy[bytes]:
    """Return what DICOM peers send on one connection."""
    return inputs("dimse").map(lambda some: some.body)
