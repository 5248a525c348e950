"""The classes of Riva's messages, which live in a descriptor pool of their own: their package is not ours."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

RECOGNIZE = "/nvidia.riva.asr.RivaSpeechRecognition/Recognize"
SYNTHESIZE = "/nvidia.riva.tts.RivaSpeechSynthesis/Synthesize"
LINEAR_PCM = 1


@cache
def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    shipped = resources.files(__package__).joinpath("riva.binpb").read_bytes()
    for file in FileDescriptorSet.FromString(shipped).file:
        pool.Add(file)
    return pool


def _class(name: str) -> Any:  # Any: a message class that is only known at run time
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"nvidia.riva.{name}"))


RecognizeRequest = _class("RecognizeRequest")
RecognizeResponse = _class("RecognizeResponse")
SynthesizeSpeechRequest = _class("SynthesizeSpeechRequest")
SynthesizeSpeechResponse = _class("SynthesizeSpeechResponse")
