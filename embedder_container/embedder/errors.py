"""The errors of the embedder, by what the caller can do about them.

EmbedderError
├── PrepareError          preparing a model failed; the message is one line for a person
├── ModelFolderError      a prepared folder is missing, cut or altered; names the file
├── InvalidInputError     the request is wrong; names the field (``param``) and the fix
├── NotFoundError         the request names a model or a path that is not served
├── TooLargeError         the request's body is over the limit
├── OverloadedError       the queue is full; says when to try again
├── DeadlineError         the request's own deadline has passed
└── InferenceError        the model failed on this text
"""

from __future__ import annotations


class EmbedderError(Exception):
    """Base of every error that this package raises on purpose."""


class PrepareError(EmbedderError):
    """A model could not be fetched, converted or verified."""


class ModelFolderError(EmbedderError):
    """A prepared model folder cannot be used."""


class InvalidInputError(EmbedderError):
    """The request breaks the contract in the field ``param``."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class NotFoundError(InvalidInputError):
    """The request names something that does not exist here."""


class TooLargeError(InvalidInputError):
    """The body is larger than the service accepts."""


class OverloadedError(EmbedderError):
    """The queue is full; ``retry_after`` is in whole seconds, from the measured rate."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"The queue is full. Try again in {retry_after} s.")
        self.retry_after = retry_after


class DeadlineError(EmbedderError):
    """The deadline given with the request passed before its texts were computed."""


class InferenceError(EmbedderError):
    """The model raised on this text; the others of its batch are not affected."""
