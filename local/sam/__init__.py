"""The service under `sam local`: its functions run in Lambda's own image, everything else on this machine."""
