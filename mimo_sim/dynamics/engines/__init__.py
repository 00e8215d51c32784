"""The engines of single runs: one file for each way to train."""
