"""Whatever bytes come over an AudioSocket, the reader gives frames or waits for more, and holds little."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lmos_grpc.channels.audiosocket.frame import Frame, FrameReader

FRAMES = st.builds(Frame, st.integers(0, 255), st.binary(max_size=700))


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.binary(max_size=600), max_size=12))
def test_any_bytes_are_frames_or_the_beginning_of_one(chunks: list[bytes]) -> None:
    reader = FrameReader()
    frames = [frame for chunk in chunks for frame in reader.feed(chunk)]
    whole = b"".join(frame.to_bytes() for frame in frames)
    sent = b"".join(chunks)
    assert sent.startswith(whole)
    assert bytes(reader._rest) == sent[len(whole) :]
    assert len(reader._rest) < 3 + 0x10000


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(FRAMES, max_size=8), st.integers(1, 50))
def test_frames_survive_any_cut(frames: list[Frame], step: int) -> None:
    sent = b"".join(frame.to_bytes() for frame in frames)
    reader = FrameReader()
    assert [each for at in range(0, len(sent), step) for each in reader.feed(sent[at : at + step])] == frames
