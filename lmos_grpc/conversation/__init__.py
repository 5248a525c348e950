"""The log of conversations: every turn, its events and what they led to."""

from lmos_grpc.conversation.conversation_client import ConversationClient
from lmos_grpc.conversation.memory_turn_log import MemoryTurnLog
from lmos_grpc.conversation.running_turn import RunningTurn
from lmos_grpc.conversation.service import CONVERSATION_SERVICE, add_conversation_service
from lmos_grpc.conversation.sqlite_turn_log import SqliteTurnLog, open_turn_log
from lmos_grpc.conversation.turn_log import Begun, TurnLog, TurnPage

__all__ = [
    "CONVERSATION_SERVICE",
    "Begun",
    "ConversationClient",
    "MemoryTurnLog",
    "RunningTurn",
    "SqliteTurnLog",
    "TurnLog",
    "TurnPage",
    "add_conversation_service",
    "open_turn_log",
]
