"""Protobuf to domain and back, for what several rooms speak: cards, instances, turns, decisions, events, failures.

Readers are strict where a wrong value would do harm and skip what they do not know.
"""
