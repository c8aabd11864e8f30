"""API Gateway, Lambda and SQS on one machine, from a SAM template and without Docker."""
