"""When it is loaded, makes the clients that kill tests use, so that no forked process parses what they need again."""

from __future__ import annotations

import boto3

from tests.quick_botocore import parse_descriptions_once

parse_descriptions_once()
for _service in ("dynamodb", "sqs"):
    boto3.client(
        _service,
        endpoint_url="http://127.0.0.1:1",
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    ).close()
