"""The triggers besides HTTP: queues and schedules."""
