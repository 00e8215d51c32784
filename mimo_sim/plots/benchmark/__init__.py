"""Figures of finished benchmark runs: accuracy against modality gap, grids of hyper-parameters, epochs."""
