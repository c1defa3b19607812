"""The pages of Airflow's UI that a user of the provider meets, by what is written on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

STANDARD, EXTRA, ELSEWHERE = "Standard Fields", "Extra Fields", "Network and other deployments"
SECONDS = 1000.0
"""Playwright counts in milliseconds."""


@dataclass(frozen=True)
class Field:
    """A field of the form, as it is shown."""

    label: str
    placeholder: str
    help: str
    required: bool


@dataclass(frozen=True)
class Verdict:
    """What Airflow shows when a Connection has been tested."""

    title: str
    words: str
    shown: Locator


class Form:
    """The dialog *Add Connection*."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.dialog = page.get_by_role("dialog")
        self.save_button = self.dialog.get_by_role("button", name="Save")

    def name(self, conn_id: str) -> None:
        self.dialog.get_by_label("Connection ID").fill(conn_id)

    def choose_type(self, name: str) -> None:
        """As a person does: type its beginning, take it from the list."""
        self.dialog.get_by_role("combobox", name="Connection Type").click()
        self._page.keyboard.type(name[:3])
        self._page.get_by_role("option", name=name, exact=True).click()
        self.heading(STANDARD).wait_for()

    def heading(self, section: str) -> Locator:
        """The line that opens and closes a section."""
        return self.dialog.get_by_role("button", name=section, exact=True)

    def open(self, section: str) -> Locator:
        """The section's fields; the form shows one section at a time."""
        from playwright.sync_api import expect

        heading = self.heading(section)
        if heading.get_attribute("aria-expanded") != "true":
            heading.click()
        expect(heading).to_have_attribute("aria-expanded", "true")
        opened = self.dialog.locator(f"[id='{heading.get_attribute('aria-controls')}']")
        expect(opened.get_by_role("group").first).to_be_visible()
        return opened

    def fields(self, section: str) -> list[Field]:
        """The section's fields from top to bottom."""
        groups = self.open(section).locator("[data-scope=field][data-part=root]").all()
        return [self._field(group) for group in groups]

    @staticmethod
    def _field(group: Locator) -> Field:
        label = group.locator("label[data-part=label]").inner_text()
        box = group.locator("input:not([type=hidden]), textarea").first
        helped = group.locator("[data-part=helper-text]")
        return Field(
            label=label.removesuffix("*").strip(),
            placeholder=box.get_attribute("placeholder") or "",
            help=helped.inner_text() if helped.count() else "",
            required=label.rstrip().endswith("*"),
        )

    def fill(
        self,
        standard: Mapping[str, str],
        extra: Mapping[str, str],
        elsewhere: Mapping[str, str | bool],
    ) -> None:
        """Enter values: of standard fields by label, of the others by their names in Extra."""
        self.open(STANDARD)
        for label, value in standard.items():
            self.dialog.get_by_label(label, exact=True).fill(value)
        if extra:
            self._fill_own(self.open(EXTRA), extra)
        if elsewhere:
            self._fill_own(self.open(ELSEWHERE), elsewhere)

    @staticmethod
    def _fill_own(opened: Locator, values: Mapping[str, str | bool] | Mapping[str, str]) -> None:
        for name, value in values.items():
            field = opened.locator(f"[name='element_{name}']")
            if isinstance(value, str):
                field.fill(value)
            elif field.is_checked() != value:
                opened.locator(f"[id='switch:element_{name}']").click()

    def save(self) -> None:
        self.save_button.click()
        self.dialog.wait_for(state="hidden")


class Pages:
    """Airflow in one tab."""

    def __init__(self, page: Page, url: str) -> None:
        self._page = page
        self._url = url
        page.set_default_timeout(120 * SECONDS)

    def add_connection(self) -> Form:
        self._page.goto(f"{self._url}/connections", timeout=180 * SECONDS)
        self._page.get_by_role("button", name="Add Connection").click()
        return Form(self._page)

    def edit_connection(self, conn_id: str) -> Form:
        self._page.goto(f"{self._url}/connections", timeout=180 * SECONDS)
        self._page.get_by_role("row", name=conn_id).get_by_role(
            "button", name="Edit Connection"
        ).click()
        return Form(self._page)

    def test_connection(self, conn_id: str) -> Verdict:
        """Press *Test Connection* in the list; what Airflow says to it."""
        self._page.get_by_role("row", name=conn_id).get_by_role(
            "button", name="Test Connection"
        ).click()
        shown = self._page.get_by_role("status").filter(
            has_text=re.compile("Test Connection (Successful|Failed)")
        )
        shown.wait_for(timeout=180 * SECONDS)
        shown.hover()  # what is pointed at stays
        title, words = (
            shown.locator(f"[data-part={part}]").inner_text() for part in ("title", "description")
        )
        return Verdict(title, words, shown)

    def open_trigger(self, dag_id: str) -> Locator:
        """The dialog that asks for a run's parameters."""
        self._page.goto(f"{self._url}/dags/{dag_id}", timeout=180 * SECONDS)
        self._page.get_by_role("button", name="Trigger Dag").click()
        dialog = self._page.get_by_role("dialog")
        dialog.get_by_text("Run Parameters").wait_for()
        return dialog

    def trigger(self, dialog: Locator) -> None:
        """Press its button; Airflow then shows the run."""
        dialog.get_by_role("button", name="Trigger", exact=True).click()
        self._page.wait_for_url("**/runs/manual__*")

    def open_task(self, task_id: str) -> Locator:
        """From a run to the log of one of its tasks."""
        self._page.get_by_role("row", name=task_id).get_by_role("link", name=task_id).click()
        self._page.wait_for_url(f"**/tasks/{task_id}")
        self._page.mouse.move(0, 0)  # no tooltip over it
        return self._page.get_by_test_id("virtual-scroll-container")

    def wait_until_green(self) -> None:
        """The run or task that is shown has ended well; else it fails with the state that is shown."""
        from playwright.sync_api import expect

        state = self._page.get_by_test_id("header-card").get_by_test_id("state-badge")
        expect(state).to_have_text(re.compile("Success|Failed"), timeout=300 * SECONDS)
        expect(state).to_have_text("Success")

    @property
    def whole(self) -> Locator:
        """All that is on the screen."""
        return self._page.locator("body")

    def resize(self, width: int, height: int) -> None:
        """For a picture that is no larger than what it shows."""
        self._page.set_viewport_size({"width": width, "height": height})
