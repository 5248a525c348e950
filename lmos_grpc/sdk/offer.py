"""What an agent can do, and the code that does it."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lmos_grpc.domain.card import Capability
from lmos_grpc.domain.event import EventBody
from lmos_grpc.sdk.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Answers = AsyncIterator[str | EventBody] | Awaitable[str | EventBody | None]
CapabilityFunction = Callable[[Turn], Answers]

_Method = TypeVar("_Method", bound=Callable[..., Answers])
_MARK = "__lmos_capability__"


@dataclass(frozen=True, slots=True)
class Offer:
    """A capability with the function that answers for it. The default one gets the turns that name none."""

    capability: Capability
    function: CapabilityFunction
    default: bool = False


@dataclass(frozen=True, slots=True)
class _Mark:
    capability: Capability
    default: bool


def capability(
    id: str,  # noqa: A002 # the contract's word
    *,
    version: str,
    description: str = "",
    name: str = "",
    examples: Mapping[str, Sequence[str]] | None = None,
    tags: Sequence[str] = (),
    input_modes: Sequence[str] = (),
    output_modes: Sequence[str] = (),
    input_schema: str = "",
    default: bool = False,
) -> Callable[[_Method], _Method]:
    """Offers a method of an `Agent` subclass as a capability; `Agent.capability` does the same for a function.

    The method takes a `Turn`. It is an async generator that yields text and events, or a coroutine that returns one.
    `examples` maps a language tag to what customers say, and is what routing learns from. `default` marks the
    capability for turns that name none; without a mark it is the first.
    """
    described = Capability(
        id=id,
        version=version,
        description=description,
        name=name,
        examples={locale: tuple(phrases) for locale, phrases in (examples or {}).items()},
        tags=tuple(tags),
        input_modes=tuple(input_modes),
        output_modes=tuple(output_modes),
        input_schema=input_schema,
    )

    def mark(method: _Method) -> _Method:
        if not (inspect.isasyncgenfunction(method) or inspect.iscoroutinefunction(method)):
            raise TypeError(f"the function of capability {id!r} has to be `async def`")
        setattr(method, _MARK, _Mark(described, default))
        return method

    return mark


def offer_of(function: CapabilityFunction) -> Offer:
    """The offer of a function that was marked."""
    mark: _Mark = getattr(function, _MARK)
    return Offer(mark.capability, function, mark.default)


def marked_methods(owner: object) -> Iterator[CapabilityFunction]:
    """The marked methods of an object, bound to it, in the order of the classes that define them."""
    members = (item for kind in reversed(type(owner).__mro__) for item in vars(kind).items())
    names = dict.fromkeys(name for name, member in members if hasattr(member, _MARK))
    yield from (getattr(owner, name) for name in names)
