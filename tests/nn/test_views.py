"""A plain network seen in what several tasks share."""

from __future__ import annotations

import pytest
import torch

from metarl.nn.views import Part, seen

SHARED = {"weight": torch.arange(12.0).reshape(3, 4), "bias": torch.tensor([1.0, 2.0, 3.0])}


def test_a_part_takes_columns_in_order_and_adds_one():
    view = {
        "whole": Part("weight"),
        "some": Part("weight", columns=(2, 0)),
        "moved": Part("bias", plus=("weight", 3)),
    }
    found = seen(view, SHARED)
    assert found["whole"] is SHARED["weight"]
    assert found["some"].tolist() == [[2.0, 0.0], [6.0, 4.0], [10.0, 8.0]]
    assert found["moved"].tolist() == [1.0 + 3.0, 2.0 + 7.0, 3.0 + 11.0]


def test_gradients_reach_what_is_shared_there_and_only_there():
    leaves = {name: x.clone().requires_grad_() for name, x in SHARED.items()}
    view = {"some": Part("weight", columns=(1,)), "moved": Part("bias", plus=("weight", 3))}
    sum(x.sum() for x in seen(view, leaves).values()).backward()
    assert leaves["weight"].grad.tolist() == [[0.0, 1.0, 0.0, 1.0]] * 3
    assert leaves["bias"].grad.tolist() == [1.0, 1.0, 1.0]


def test_what_is_not_there_is_an_error():
    with pytest.raises(KeyError):
        seen({"x": Part("nothing")}, SHARED)
    with pytest.raises((IndexError, RuntimeError)):
        seen({"x": Part("weight", columns=(4,))}, SHARED)


def test_a_stack_puts_rows_where_their_columns_stand():
    shared = {
        "a": torch.tensor([[1.0, 2.0]]),
        "b": torch.tensor([[3.0], [4.0]]),
        "c": torch.zeros(1),
    }
    leaves = {name: x.requires_grad_() for name, x in shared.items()}
    weight = (Part("a", at=(2, 0)), Part("b", columns=(0,), at=(1,)))
    found = seen({"weight": weight, "bias": (Part("c"), Part("c"))}, leaves)
    assert found["weight"].tolist() == [[2.0, 0.0, 1.0], [0.0, 3.0, 0.0], [0.0, 4.0, 0.0]]
    assert found["bias"].tolist() == [0.0, 0.0]
    found["weight"].sum().backward()
    assert leaves["a"].grad.tolist() == [[1.0, 1.0]]
    with pytest.raises(IndexError, match="missing"):
        seen({"weight": (Part("a", at=(0, 10**12)),)}, shared)
