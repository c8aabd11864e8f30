"""The service under `sam local`: its functions in Lambda's own image, everything else on this machine."""
