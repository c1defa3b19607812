"""The table of situations and answers in the documentation, written from the cases.

``cd tests && ../.venv/bin/python -m keycloak`` writes it; a test compares the page with the cases.
"""

from __future__ import annotations

from pathlib import Path

from keycloak.cases import CASES, Call, Case
from keycloak.jvm import VERSION

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-against-keycloak.md"
BEGIN, END = "<!-- answers: written by tests/keycloak/page.py -->", "<!-- end of answers -->"
HEADINGS: dict[Call, str] = {
    "login": "Login: `POST .../token`, `grant_type=password`",
    "refresh": "Refresh: `POST .../token`, `grant_type=refresh_token`",
    "logout": "Logout: `POST .../logout`",
    "revoke": "Revocation: `POST .../revoke`",
}


def answers() -> str:
    """Return the part between the two marks, in Markdown."""
    parts = [f"As Keycloak {VERSION} gave them; {len(CASES)} situations."]
    for call, heading in HEADINGS.items():
        rows = [_row(case) for case in CASES if case.call == call]
        reader = call in {"login", "refresh"}
        header = [
            "situation",
            "status",
            "`error`",
            "`error_description`",
            "sessions left",
            *["the provider raises"] * reader,
        ]
        lines = [header, ["---"] * len(header), *(row[: len(header)] for row in rows)]
        parts += [f"### {heading}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    return "\n\n".join(parts)


def _row(case: Case) -> list[str]:
    left = "" if case.left is None else str(case.left)
    means = _code(case.means.__name__) if case.means else "nothing"
    return [
        case.situation,
        str(case.status),
        _code(case.error),
        _code(case.description),
        left,
        means,
    ]


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def with_answers(page: str) -> str:
    """Return the page with a new table."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{answers()}\n\n{END}{rest.partition(END)[2]}"
