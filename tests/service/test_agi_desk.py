"""Asterisk's FastAGI, over a real socket."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from lmos_grpc.channels.audiosocket.agi import AgiRequest, set_variable
from lmos_grpc.channels.audiosocket.agi_desk import agi_desk
from lmos_grpc.channels.voice.call_book import CallBook
from lmos_grpc.channels.voice.call_leg import CallEnd, CallResult
from lmos_grpc.domain.live_session import CallInfo


async def ask(address: str, script: str, call_id: str) -> list[str]:
    """Asks as Asterisk does; gives the commands that came back."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = {"agi_network": "yes", "agi_network_script": script, "agi_callerid": "+491234", "agi_dnid": "100"}
    lines = [f"{name}: {value}\n" for name, value in {**head, "agi_arg_1": call_id}.items()]
    writer.write("".join([*lines, "\n"]).encode())
    commands = []
    while line := await asyncio.wait_for(reader.readline(), 5):
        commands.append(line.decode().strip())
        writer.write(b"200 result=1\n")
    writer.close()
    await writer.wait_closed()
    return commands


async def test_who_calls_is_told_before_the_call_comes() -> None:
    book = CallBook()
    async with agi_desk(book, "127.0.0.1:0") as desk:
        assert await ask(desk.address, "begin", "Call-1") == []
    assert book.announced("call-1") == CallInfo("call-1", "+491234", "100")
    assert book.announced("call-1") is None


async def test_how_a_call_ended_is_told_after_it() -> None:
    book = CallBook()
    book.note("call-1", CallResult(CallEnd.TRANSFERRED, "queue-1", 'said "help"\nand left'))
    async with agi_desk(book, "127.0.0.1:0") as desk:
        assert await ask(desk.address, "end", "call-1") == [
            'SET VARIABLE LMOS_END "TRANSFERRED"',
            'SET VARIABLE LMOS_TARGET "queue-1"',
            'SET VARIABLE LMOS_SUMMARY "said \\"help\\" and left"',
        ]
        assert (await ask(desk.address, "end", "call-1"))[0] == 'SET VARIABLE LMOS_END "GAVE_UP"'


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(max_size=300))
def test_no_value_leaves_its_quotes_or_its_line(value: str) -> None:
    command = set_variable("X", value).decode()
    assert command.count("\n") == 1
    inside = command.removeprefix('SET VARIABLE X "').removesuffix('"\n')
    assert '"' not in inside.replace("\\\\", "").replace('\\"', "")


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.binary(max_size=80), max_size=200))
def test_any_lines_are_a_request_or_too_many(lines: list[bytes]) -> None:
    request = AgiRequest()
    taken = [request.take(line) for line in lines]
    assert taken == [number < 128 for number in range(len(lines))]
    assert isinstance(request.call_id + request.script, str)
