"""Errors of SQS, with the names that clients know them by."""

from __future__ import annotations


class SqsError(Exception):
    """A refused call: `code` is the JSON protocol's name, `query_code` that of the older protocol."""

    code = "InvalidParameterValue"
    query_code = "InvalidParameterValue"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class QueueDoesNotExistError(SqsError):
    """There is no such queue."""

    code = "QueueDoesNotExist"
    query_code = "AWS.SimpleQueueService.NonExistentQueue"

    def __init__(self) -> None:
        super().__init__("The specified queue does not exist.")


class QueueNameExistsError(SqsError):
    """The queue exists with other attributes."""

    code = "QueueNameExists"
    query_code = "QueueAlreadyExists"


class InvalidParameterError(SqsError):
    """A parameter has a value that SQS does not accept."""


class MissingParameterError(SqsError):
    """A parameter that the queue needs is missing."""

    code = query_code = "MissingParameter"


class InvalidReceiptHandleError(SqsError):
    """The receipt handle was not made by this queue."""

    code = query_code = "ReceiptHandleIsInvalid"


class InvalidAttributeNameError(SqsError):
    """The attribute is unknown."""

    code = query_code = "InvalidAttributeName"


class EmptyBatchError(SqsError):
    """A batch without entries."""

    code = "EmptyBatchRequest"
    query_code = "AWS.SimpleQueueService.EmptyBatchRequest"


class TooManyEntriesError(SqsError):
    """A batch of more than ten entries."""

    code = "TooManyEntriesInBatchRequest"
    query_code = "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"


class EntryIdsNotDistinctError(SqsError):
    """Two entries of a batch share an id."""

    code = "BatchEntryIdsNotDistinct"
    query_code = "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"


class BatchTooLongError(SqsError):
    """The bodies of a batch are too long together."""

    code = "BatchRequestTooLong"
    query_code = "AWS.SimpleQueueService.BatchRequestTooLong"


class SerializationError(SqsError):
    """A member of the call has another type than SQS names."""

    code = query_code = "SerializationException"


class UnsupportedOperationError(SqsError):
    """The call is not emulated."""

    code = query_code = "UnsupportedOperation"
