"""The tiny inputs on which released functions of several methods were run; 2 samples, 3 classes."""

from __future__ import annotations

import torch

LOGITS = torch.tensor([[[2.0, 0, -1], [0.5, 1, 0]], [[0.0, 1, 0], [1, 1, -1]]], dtype=torch.float64)
"""Logits (2, 2, 3) of two modalities."""

FEATURES = torch.tensor(
    [[[1.0, 0, 2, 0], [0, 1, 0, 1]], [[0.5, 0.5, 0, 0], [0, 0, 3, 0]]], dtype=torch.float64
)
"""Features (2, 2, 4) of two modalities."""

TARGET = torch.tensor([0, 1])
"""Classes (2,)."""
