"""What the sandbox can be: the company, its tenant and the accounts that log in."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

LOGIN = "canary.etl@acme-demo.example.com"
PASSWORD = "canary-Passw0rd-7f3a91"
"""Made up and easy to find: if either appears in a log, an XCom or an exception, that is a leak."""


@dataclass(frozen=True, slots=True)
class Account:
    """One login of the tenant.

    :param sees: the teams and employee IDs whose rows its reports hold: everyone (None) for an
        Admin, teams for a Manager, one person for a Standard User, no one for an empty tuple.
    :param refused: why Keycloak refuses the account, for the simulator of the tests: ``disabled``,
        ``not_set_up``, ``otp`` or ``service_account``; None if it logs in.
    """

    login: str = LOGIN
    password: str = PASSWORD
    sees: tuple[str, ...] | None = None
    refused: str | None = None


@dataclass(frozen=True)
class SandboxConfig:
    """The sandbox's company and tenant."""

    customer_id: str = "acme-demo"
    login: str = LOGIN
    password: str = PASSWORD
    sees: tuple[str, ...] | None = None
    """As in ``Account``, for the first login."""
    more_accounts: tuple[Account, ...] = (
        Account("canary.manager@acme-demo.example.com", sees=("Engineering",)),
        Account("canary.user@acme-demo.example.com", sees=("ACME-1",)),
    )
    employees: int = 50
    seed: int = 360
    timezone: str = "Asia/Kolkata"
    today: dt.date | None = None
    """The local day that it is; None for the clock's."""
    mail_domain: str = "acme-demo.example.com"
    realm: str = "ind-prod"
    access_lifetime_s: int = 36000

    def accounts(self) -> dict[str, Account]:
        """Return all accounts by login in lower case, as Keycloak compares logins."""
        first = Account(self.login, self.password, self.sees)
        return {account.login.lower(): account for account in (first, *self.more_accounts)}
