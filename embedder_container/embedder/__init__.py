"""The embedding service: prepares models and serves them in batches over HTTP; shares no code with Forgetless."""

import os

# From 1.29 on, ONNX Runtime sends usage data to its maker unless this is set before the first import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
