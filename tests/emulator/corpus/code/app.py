"""The code of every function of the corpus."""


def handler(event, context):
    return {"statusCode": 200, "body": "ok"}
