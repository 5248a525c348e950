"""Speech engines: what is said from audio, and audio from what is to be said; all of it 8 kHz, 16 bit, one channel."""

__all__: list[str] = []
