"""Write the table of answers into the documentation."""

from __future__ import annotations

from keycloak.page import PAGE, with_answers

PAGE.write_text(with_answers(PAGE.read_text()))
print(f"written: {PAGE}")
