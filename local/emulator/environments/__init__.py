"""Execution environments: processes, pools, variables and logs."""
