"""Prints the messages of the queue."""

from titles import titled


def handler(event, context):
    """Take a batch of messages."""
    for record in event["Records"]:
        print("took", titled(record["body"]))
    return {"batchItemFailures": []}
