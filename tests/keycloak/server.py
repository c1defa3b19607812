"""What a test says to a login server and to its administrator, whichever of the two servers it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import httpx

from simulator.config import LOGIN, PASSWORD

REALM = "ind-prod"
CUSTOMER = "acme-demo"
OTHER_CUSTOMER = "other-co"
ROBOT = "robot"
"""A client that has a service account: a user who never logs in."""
WRONG = "not-the-Passw0rd"


class Server(ABC):
    """A login server with the realm ``ind-prod``, one user and two customers (clients).

    Calls are written by hand and know nothing of the provider. A field that is None is left out, a list is sent twice.
    """

    name: ClassVar[str]
    base_url: str
    realm: str
    """The realm that calls go to."""
    http: httpx.Client
    user: ClassVar[str] = LOGIN
    password: ClassVar[str] = PASSWORD

    # calls

    def url(self, call: str) -> str:
        return f"{self.base_url}/realms/{self.realm}/protocol/openid-connect/{call}"

    def post(self, call: str, headers: dict[str, str] | None = None, **form: Any) -> httpx.Response:
        fields = {"client_id": CUSTOMER, **form}
        return self.http.post(
            self.url(call),
            data={name: value for name, value in fields.items() if value is not None},
            headers=headers,
        )

    def login(self, **form: Any) -> httpx.Response:
        return self.post(
            "token", **{"grant_type": "password", "username": LOGIN, "password": PASSWORD, **form}
        )

    def refresh(self, refresh_token: str | list[str] | None, **form: Any) -> httpx.Response:
        return self.post(
            "token", **{"grant_type": "refresh_token", "refresh_token": refresh_token, **form}
        )

    def logout(self, refresh_token: str | None, **form: Any) -> httpx.Response:
        return self.post("logout", refresh_token=refresh_token, **form)

    def revoke(self, token: str | list[str] | None, **form: Any) -> httpx.Response:
        return self.post("revoke", token=token, **form)

    def tokens(self, **form: Any) -> dict[str, Any]:
        """What a login that must succeed brings."""
        return _granted(self.login(**form))

    def refreshed(self, refresh_token: str) -> dict[str, Any]:
        """What a refresh that must succeed brings."""
        return _granted(self.refresh(refresh_token))

    # the administrator

    @abstractmethod
    def clear(self) -> None:
        """As at the beginning: offline sessions of 30 days, tokens of 10 hours, no rotation, no brute-force detection,
        one enabled user without sessions.
        """

    @abstractmethod
    def set_rotation(self, *, max_reuse: int = 0) -> None: ...
    @abstractmethod
    def set_brute_force(
        self,
        *,
        failure_factor: int = 30,
        wait_s: int = 60,
        quick_ms: int = 0,
        permanent: bool = False,
    ) -> None:
        """On, with Keycloak's defaults for all else; they mind failures within ``quick_ms=1000`` of each other."""

    @abstractmethod
    def set_lifespans(
        self, *, access_s: int | None = None, max_s: int | None = None, idle_s: int | None = None
    ) -> None:
        """Of access tokens; greatest age and idle time of sessions."""

    @abstractmethod
    def set_offline(self, on: bool) -> None:
        """Whether ``offline_access`` is a default scope of the customer."""

    @abstractmethod
    def set_client(self, **changes: bool) -> None:
        """``direct_grants``, ``confidential``, ``consent_required``, ``enabled``."""

    @abstractmethod
    def set_realm_enabled(self, on: bool) -> None: ...
    @abstractmethod
    def set_offline_allowed(self, on: bool) -> None:
        """Whether the user has the role ``offline_access``."""

    @abstractmethod
    def disable_user(self) -> None: ...
    @abstractmethod
    def delete_user(self) -> None: ...
    @abstractmethod
    def require_action(self) -> None:
        """The user must do something in a browser first: choose a new password."""

    @abstractmethod
    def set_up_otp(self) -> None:
        """The user has a second factor."""

    @abstractmethod
    def change_password(self, password: str) -> None: ...
    @abstractmethod
    def push_not_before(self) -> None:
        """Every token issued until now is dead."""

    @abstractmethod
    def end_sessions(self) -> None:
        """All sessions of the user."""

    @abstractmethod
    def sessions(self) -> int:
        """How many sessions the user has with the customer."""

    def lock_user(self, *, permanent: bool = False) -> None:
        """By a wrong password, and for a minute if not for ever."""
        self.set_brute_force(failure_factor=1, permanent=permanent)
        self.fail_login()

    def fail_login(self) -> httpx.Response:
        """A login with a wrong password, which has been counted when this returns."""
        return self.login(password=WRONG)

    @abstractmethod
    def slow_logins(self) -> None:
        """From now on a login takes long enough for another to overlap with it."""

    @abstractmethod
    def now(self) -> float:
        """The server's clock."""

    @abstractmethod
    def pass_time(self, seconds: float) -> None:
        """Returns when so many seconds have passed on the server's clock."""

    def begin_a_second(self) -> None:
        """Returns at the start of a second: what is done at once then carries one and the same time."""
        self.pass_time(1.02 - self.now() % 1)


def _granted(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return dict(answer.json())
