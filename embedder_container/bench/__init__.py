"""Measures the embedding service beside raw ONNX Runtime and other servers, alternating in one run."""
