"""Whether a call comes from Webex, and is meant for this data source: a signed token says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmos_grpc.errors import EnvironmentFaultError, InvalidConfigurationError, UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = "5397013b-7920-4ffc-807c-e8a3e0a18f43"
ISSUERS = tuple(
    f"https://idbroker{place}.webex.com/idb" for place in ("", "-b-us", "-eu", "-b-eu", "-ca", "-au", "-sg", "-jp")
)
_URL_CLAIM = "com.cisco.datasource.url"
_SCHEMA_CLAIM = "com.cisco.datasource.schema.uuid"
_ALGORITHMS = ["RS256", "RS384", "RS512", "ES256"]
_REQUIRED = ["iss", "aud", "sub", "jti", "exp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JwsRules:
    """`url`: where Webex was told that the data source is. `keys`: the issuers' public keys as a JSON Web Key Set."""

    url: str
    keys: Mapping[str, Any]  # Any: JSON values
    audience: str = ""
    issuers: tuple[str, ...] = ISSUERS
    schema: str = SCHEMA


class JwsCheck:
    """Checks the token in the `authorization` metadata of a call."""

    def __init__(self, rules: JwsRules) -> None:
        try:
            import jwt  # noqa: PLC0415 # needs an extra to be installed
        except ImportError as error:
            raise EnvironmentFaultError(
                "checking the tokens of Webex needs PyJWT: install it with `pip install 'lmos-grpc[byova]'`"
            ) from error
        self._jwt = jwt
        self._rules = rules
        try:
            self._keys = jwt.PyJWKSet.from_dict(dict(rules.keys))
        except jwt.PyJWTError as error:
            raise InvalidConfigurationError(
                f"the keys of the tokens' issuers are no JSON Web Key Set: {error}"
            ) from error

    def require(self, metadata: Mapping[str, str | bytes]) -> None:
        """Checks the token of a call.

        Raises:
            UnauthenticatedError: there is none, or it is not Webex's, or not for here.
        """
        token = str(metadata.get("authorization", "")).removeprefix("Bearer ").strip()
        if not token:
            raise UnauthenticatedError("the call has no token in its `authorization` metadata")
        try:
            claims = self._claims(token)
        except self._jwt.PyJWTError as error:
            raise UnauthenticatedError(f"the token of the call is not good: {error}") from error
        for claim, wanted in ((_URL_CLAIM, self._rules.url), (_SCHEMA_CLAIM, self._rules.schema)):
            if claims.get(claim) != wanted:
                raise UnauthenticatedError(f"the token of the call is for another data source: its {claim} differs")

    def _claims(self, token: str) -> Mapping[str, Any]:  # Any: JSON values
        key_id = self._jwt.get_unverified_header(token).get("kid")
        key = next((each for each in self._keys.keys if each.key_id == key_id), None)
        if key is None:
            raise self._jwt.InvalidKeyError("it is signed with a key that is not known")
        rules = self._rules
        claims: Mapping[str, Any] = self._jwt.decode(
            token,
            key,
            algorithms=_ALGORITHMS,
            audience=rules.audience or None,
            issuer=list(rules.issuers),
            options={"require": _REQUIRED, "verify_aud": bool(rules.audience)},
        )
        return claims
