"""The ledger in one DynamoDB table, which all functions share; docs/dynamodb.md describes the keys."""

from __future__ import annotations

from forgetless.adapters.ledger_dynamodb.ledger import DynamoLedger

__all__ = ["DynamoLedger"]
