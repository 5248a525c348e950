"""The log of conversations: every turn, its events and what they led to."""

from lmos_grpc.conversation.turn_log import Begun, TurnLog, TurnPage

__all__ = ["Begun", "TurnLog", "TurnPage"]
