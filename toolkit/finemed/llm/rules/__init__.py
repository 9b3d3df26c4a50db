"""The embedded backend: deterministic, extractive, free; it needs no model, key or network.

It lets anyone dry-run a configuration on real data, and it is the baseline that a language model is measured against.
Questions are built from the passage's own terms, answers are its own sentences, scores come from named features. What
it writes is marked ``extractive`` and is not for training a medical model. docs/rules.md says how good it is.
"""

from finemed.llm.rules.backend import VERSION, Rules

__all__ = ["VERSION", "Rules"]
