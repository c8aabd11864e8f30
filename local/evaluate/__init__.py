"""Recall of the running service over LoCoMo-format conversations."""
