"""Measures on videos; they know no model."""
