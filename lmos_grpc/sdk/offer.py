"""What an agent can do, and the code that does it."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Required, TypedDict, TypeVar, Unpack

from lmos_grpc.domain.card import Capability
from lmos_grpc.domain.event import EventBody
from lmos_grpc.sdk.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Answers = AsyncIterator[str | EventBody] | Awaitable[str | EventBody | None]
CapabilityFunction = Callable[[Turn], Answers]

_Method = TypeVar("_Method", bound=Callable[..., Answers])
_MARK = "__lmos_capability__"


class Details(TypedDict, total=False):
    """What is told of a capability beside its id; only the version is required.

    `examples` maps a language tag to what customers say, and is what routing learns from. `default` marks the
    capability for turns that name none; without a mark it is the first.
    """

    version: Required[str]
    description: str
    name: str
    examples: Mapping[str, Sequence[str]]
    tags: Sequence[str]
    input_modes: Sequence[str]
    output_modes: Sequence[str]
    input_schema: str
    default: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """A capability with the function that answers for it."""

    capability: Capability
    function: CapabilityFunction
    default: bool = False


def capability(
    id: str,  # noqa: A002 # the contract's word
    **details: Unpack[Details],
) -> Callable[[_Method], _Method]:
    """Offers a method of an `Agent` subclass as a capability; `Agent.capability` does the same for a function.

    The method takes a `Turn`. It is an async generator that yields text and events, or a coroutine that returns one.
    """

    def mark(method: _Method) -> _Method:
        _require_async(id, method)
        setattr(method, _MARK, (id, details))
        return method

    return mark


def make_offer(capability_id: str, function: CapabilityFunction, details: Details) -> Offer:
    """The offer of a function.

    Raises:
        TypeError: the function is not `async def`.
    """
    _require_async(capability_id, function)
    described = Capability(
        id=capability_id,
        version=details["version"],
        description=details.get("description", ""),
        name=details.get("name", ""),
        examples={locale: tuple(phrases) for locale, phrases in details.get("examples", {}).items()},
        tags=tuple(details.get("tags", ())),
        input_modes=tuple(details.get("input_modes", ())),
        output_modes=tuple(details.get("output_modes", ())),
        input_schema=details.get("input_schema", ""),
    )
    return Offer(described, function, details.get("default", False))


def offers_of_methods(owner: object) -> Iterator[Offer]:
    """The offers of an object's decorated methods, in the order in which its classes define them."""
    members = (item for kind in reversed(type(owner).__mro__) for item in vars(kind).items())
    marks = {name: getattr(member, _MARK) for name, member in members if hasattr(member, _MARK)}
    for name, (capability_id, details) in marks.items():
        yield make_offer(capability_id, getattr(owner, name), details)


def _require_async(capability_id: str, function: Callable[..., Answers]) -> None:
    if not (inspect.isasyncgenfunction(function) or inspect.iscoroutinefunction(function)):
        raise TypeError(f"the function of capability {capability_id!r} has to be `async def`")
