"""What a test sends to a login server and its administrator: one interface for both servers."""

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

    Calls are hand-written and share nothing with the provider. A field that is None is left out; a
    list is sent once for each value.
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
        """Log in and return the answer, which must be a success."""
        return _granted(self.login(**form))

    def refreshed(self, refresh_token: str) -> dict[str, Any]:
        """Refresh and return the answer, which must be a success."""
        return _granted(self.refresh(refresh_token))

    # the administrator

    @abstractmethod
    def clear(self) -> None:
        """Restore the initial state.

        Offline sessions of 30 days, tokens of 10 hours, no rotation, no brute-force detection, one
        enabled user without sessions.
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
        """Switch detection on. Keycloak's own ``quick_ms`` of 1000 would count quick failures."""

    @abstractmethod
    def set_lifespans(
        self, *, access_s: int | None = None, max_s: int | None = None, idle_s: int | None = None
    ) -> None:
        """Set the life of access tokens, and the maximum age and idle time of sessions."""

    @abstractmethod
    def set_offline(self, on: bool) -> None:
        """Make ``offline_access`` a default scope of the customer, or an optional one."""

    @abstractmethod
    def set_client(self, **changes: bool) -> None:
        """Set ``direct_grants``, ``confidential``, ``consent_required`` or ``enabled``."""

    @abstractmethod
    def set_realm_enabled(self, on: bool) -> None: ...
    @abstractmethod
    def set_offline_allowed(self, on: bool) -> None:
        """Give the user the role ``offline_access``, or take it."""

    @abstractmethod
    def disable_user(self) -> None: ...
    @abstractmethod
    def delete_user(self) -> None: ...
    @abstractmethod
    def require_action(self) -> None:
        """Require a step in a browser first: the user must choose a new password."""

    @abstractmethod
    def set_up_otp(self) -> None:
        """Give the user a second factor."""

    @abstractmethod
    def change_password(self, password: str) -> None: ...
    @abstractmethod
    def push_not_before(self) -> None:
        """Refuse every token issued until now."""

    @abstractmethod
    def end_sessions(self) -> None:
        """End all sessions of the user."""

    @abstractmethod
    def sessions(self) -> int:
        """Return how many sessions the user has with the customer."""

    def lock_user(self, *, permanent: bool = False) -> None:
        """Lock the user by a wrong password, for a minute or for ever."""
        self.set_brute_force(failure_factor=1, permanent=permanent)
        self.fail_login()

    def fail_login(self) -> httpx.Response:
        """Log in with a wrong password, and return when it has been counted."""
        return self.login(password=WRONG)

    @abstractmethod
    def slow_logins(self) -> None:
        """Make logins slow enough to overlap."""

    @abstractmethod
    def now(self) -> float:
        """Return the time of the server's clock."""

    @abstractmethod
    def pass_time(self, seconds: float) -> None:
        """Return when that many seconds have passed on the server's clock."""

    def begin_a_second(self) -> None:
        """Return at the start of a second: what follows at once carries one time."""
        self.pass_time(1.02 - self.now() % 1)


def _granted(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return dict(answer.json())
