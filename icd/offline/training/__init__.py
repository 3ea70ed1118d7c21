"""Fine-tuning a student on its traces: configuration, masks, losses, objectives, the run, stopping and export.

The trainers are TRL's. This module and `config` load nothing heavy; the others import PyTorch (extra ``train``).
"""
