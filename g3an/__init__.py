"""Companion to the appendix of "G3AN: Disentangling Appearance and Motion for Video Generation" (CVPR 2020)."""

__version__ = "0.1.0"
