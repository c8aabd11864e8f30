"""Makes the tables, buckets, parameters, secrets and streams of a template in moto, by its CloudFormation."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import escape

from local.emulator.moto.client import MotoClient, MotoError
from local.emulator.specs import BucketEventSpec, Place, StoreSpec

__all__ = ["EVENT_QUEUE", "make_stores", "watch_buckets"]

#: moto's own queue for what happens in buckets; the emulator reads it.
EVENT_QUEUE = "emulator-bucket-events"
_CLOUDFORMATION, _SQS = "2010-05-15", "AmazonSQS."
_SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - a type of resource
_MESSAGE = re.compile(r"<Message>(.*?)</Message>", re.DOTALL)


async def make_stores(client: MotoClient, stores: Iterable[StoreSpec]) -> list[str]:
    """Make everything; return a line for each that moto does not make."""
    problems = []
    for store in stores:
        try:
            await _make(client, store)
        except MotoError as error:
            found = _MESSAGE.search(str(error))
            problems.append(f"{store.logical_id}: moto does not make this {store.kind}: {found[1] if found else error}")
    return problems


async def _make(client: MotoClient, store: StoreSpec) -> None:
    if store.kind == _SECRET:  # which moto's CloudFormation does not know
        members = {"Name": store.properties["Name"], "SecretString": secret_text(store.properties)}
        await client.json("secretsmanager", "secretsmanager.CreateSecret", members)
        return
    template = {"Resources": {store.logical_id: {"Type": store.kind, "Properties": store.properties}}}
    stack = {"StackName": f"local-{store.logical_id}", "TemplateBody": json.dumps(template)}
    await client.form("cloudformation", "CreateStack", _CLOUDFORMATION, **stack)


def secret_text(properties: dict[str, Any]) -> str:
    """Return the value of a secret: its own, or a generated one, by itself or within what the template says."""
    given = properties.get("GenerateSecretString")
    if given is None:
        return str(properties.get("SecretString", ""))
    password = secrets.token_urlsafe(64)[: int(given.get("PasswordLength", 32))]
    if "GenerateStringKey" not in given:
        return password
    return json.dumps({**json.loads(given.get("SecretStringTemplate") or "{}"), given["GenerateStringKey"]: password})


async def watch_buckets(client: MotoClient, events: Iterable[BucketEventSpec], place: Place) -> list[str]:
    """Let moto tell a queue of its own about changes in buckets; return a line for each bucket that it refuses."""
    await client.json("sqs", f"{_SQS}CreateQueue", {"QueueName": EVENT_QUEUE})
    problems = []
    numbered: dict[str, list[tuple[int, BucketEventSpec]]] = {}
    for number, event in enumerate(events):
        numbered.setdefault(event.bucket, []).append((number, event))
    for bucket, listed in numbered.items():
        parts = "".join(_configuration(number, event, place) for number, event in listed)
        body = f"<NotificationConfiguration>{parts}</NotificationConfiguration>"
        try:
            await client.put("s3", f"/{bucket}?notification", body)
        except MotoError as error:
            problems.append(f"bucket {bucket}: moto does not tell of its events: {error}")
    return problems


def _configuration(number: int, event: BucketEventSpec, place: Place) -> str:
    """Return one configuration; its id is the number of the trigger, which moto puts into each event."""
    names = "".join(f"<Event>{escape(name)}</Event>" for name in event.events)
    rules = "".join(
        f"<FilterRule><Name>{name}</Name><Value>{escape(value)}</Value></FilterRule>"
        for name, value in (("prefix", event.prefix), ("suffix", event.suffix))
        if value
    )
    wanted = f"<Filter><S3Key>{rules}</S3Key></Filter>" if rules else ""
    queue = f"<Queue>{place.arn('sqs', EVENT_QUEUE)}</Queue>"
    return f"<QueueConfiguration><Id>{number}</Id>{queue}{names}{wanted}</QueueConfiguration>"
