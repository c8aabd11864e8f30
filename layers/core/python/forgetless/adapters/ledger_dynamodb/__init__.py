"""The ledger on one DynamoDB table, shared by every function; docs/dynamodb.md has the key design."""

from __future__ import annotations

from forgetless.adapters.ledger_dynamodb.ledger import DynamoLedger

__all__ = ["DynamoLedger"]
