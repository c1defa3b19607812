from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pendulum
import pytest

from airflow_provider_we360.errors import NoDayInInterval, We360ConfigError
from airflow_provider_we360.types import Window
from airflow_provider_we360.window import (
    RunFacts,
    check_has_begun,
    is_running,
    resolve_window,
)

INDIA = "Asia/Kolkata"
NOTHING_KNOWN = RunFacts()


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def days(first: str, last: str | None = None) -> Window:
    return day(first), day(last or first)


def interval(start: str, end: str) -> RunFacts:
    return RunFacts(data_interval=(at(start), at(end)))


def explicit(start: object, end: object, timezone: str = INDIA) -> Window:
    return resolve_window(NOTHING_KNOWN, window_start=start, window_end=end, timezone=timezone)


# The order of the five sources

EVERYTHING = {
    "partition_date": day("2026-02-02"),
    "data_interval": (at("2026-03-02T18:30Z"), at("2026-03-03T18:30Z")),
    "event_windows": (["2026-04-04", "2026-04-05"],),
    "logical_date": at("2026-05-06T06:30Z"),
    "run_after": at("2026-06-07T06:30Z"),
    "started_at": at("2026-07-08T06:30Z"),
}


@pytest.mark.parametrize(
    ("absent", "expected"),
    [
        (0, days("2026-02-02")),
        (1, days("2026-03-03")),
        (2, days("2026-04-04", "2026-04-05")),
        (3, days("2026-05-05")),
        (4, days("2026-06-06")),
        (5, days("2026-07-07")),
    ],
)
def test_first_present_source_decides(absent: int, expected: Window) -> None:
    facts = RunFacts(**dict(list(EVERYTHING.items())[absent:]))  # type: ignore[arg-type]

    assert expected == resolve_window(facts, timezone=INDIA)


def test_arguments_override_airflow_context() -> None:
    facts = RunFacts(**EVERYTHING)  # type: ignore[arg-type]

    assert days("2026-01-01") == resolve_window(
        facts, window_start="2026-01-01", window_end="2026-01-01", timezone=INDIA
    )


@pytest.mark.parametrize("absent", [None, "", "None", "  ", " None "])
def test_argument_rendered_to_nothing_is_not_given(absent: object) -> None:
    facts = RunFacts(logical_date=at("2026-04-02T06:30Z"))

    assert days("2026-04-01") == resolve_window(
        facts, window_start=absent, window_end=absent, timezone=INDIA
    )


def test_run_without_dates_names_window_arguments() -> None:
    with pytest.raises(We360ConfigError, match="window_start, window_end"):
        resolve_window(NOTHING_KNOWN, timezone=INDIA)


# Arguments


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-04-01", "2026-04-03"),
        ("20260401", "20260403"),
        (20260401, 20260403),
        (" 2026-04-01 ", "2026-04-03\n"),
        (dt.date(2026, 4, 1), dt.date(2026, 4, 3)),
        (pendulum.date(2026, 4, 1), "2026-04-03"),
    ],
)
def test_two_dates_are_inclusive(start: object, end: object) -> None:
    assert days("2026-04-01", "2026-04-03") == explicit(start, end)


def test_window_holds_plain_dates() -> None:
    first, last = explicit(pendulum.date(2026, 4, 1), pendulum.date(2026, 4, 1))

    assert {dt.date} == {type(first), type(last)}


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-31T18:30:00+00:00", "2026-04-01T18:30:00+00:00"),
        ("2026-03-31 18:30:00+00:00", "2026-04-01 18:30:00+00:00"),
        ("2026-03-31T18:30:00Z", "2026-04-02T00:00:00+05:30"),
        ("2026-04-01T00:00:00", "2026-04-02T00:00:00"),
        ("20260401T000000", "20260402T000000"),
        (dt.datetime(2026, 4, 1), dt.datetime(2026, 4, 2)),
        (pendulum.datetime(2026, 4, 1, tz=INDIA), pendulum.datetime(2026, 4, 1, 18, 30)),
        (pendulum.naive(2026, 4, 1), str(pendulum.datetime(2026, 4, 2, tz=INDIA))),
        ("2026-04-01T02:00:00+05:30", "2026-04-02T02:00:00+05:30"),
    ],
)
def test_two_datetimes_select_days_ending_between(start: object, end: object) -> None:
    assert days("2026-04-01") == explicit(start, end)


def test_interval_is_open_at_start_and_closed_at_end() -> None:
    assert days("2026-04-01", "2026-04-02") == explicit(
        "2026-04-01T00:00:00", "2026-04-03T00:00:00"
    )
    with pytest.raises(NoDayInInterval):
        explicit("2026-04-01T00:00:00", "2026-04-01T23:59:59.999999")


def test_interval_without_day_end_suggests_dates() -> None:
    with pytest.raises(NoDayInInterval, match="window_start and window_end as dates"):
        explicit("2026-04-01T00:00:00", "2026-04-01T23:59:59")


def test_zero_length_interval_argument_is_refused() -> None:
    with pytest.raises(We360ConfigError, match="same instant"):
        explicit("2026-04-01T02:00:00+00:00", "2026-04-01T07:30:00+05:30")


@pytest.mark.parametrize(
    ("start", "end", "named"),
    [
        ("2026-04-01", None, "^window_end: not given"),
        ("None", "2026-04-01", "^window_start: not given"),
        ("2026-04-01", "2026-04-02T00:00:00", "^window_start, window_end: one is a date"),
        ("2026-04-01T00:00:00", dt.date(2026, 4, 2), "^window_start, window_end: one is a date"),
        ("2026-04-02", "2026-04-01", "^window_start: 2026-04-02 is after"),
        (
            "2026-04-02T00:00:00",
            "2026-04-01T00:00:00",
            "^window_start: the interval ends before it starts",
        ),
        ("2026-02-29", "2026-03-01", "^window_start: cannot read '2026-02-29'"),
        ("2026-04-01", "yesterday", "^window_end: cannot read 'yesterday'"),
        ("{{ ds }}", "2026-04-01", "^window_start: cannot read"),
        ("2026-W14-3", "2026-04-01", "^window_start: cannot read"),
        ("2026-04", "2026-04-01", "^window_start: cannot read"),
        ("2026-04-01T", "2026-04-01", "^window_start: cannot read"),
        ("2026-04-01x00:00", "2026-04-01", "^window_start: cannot read"),
        ("2026-04-01T25:00", "2026-04-01", "^window_start: cannot read"),
        ("2026-04-01T00:00:00 05:30", "2026-04-01", "^window_start: cannot read"),
        ("\uff12\uff10\uff12\uff16-04-01", "2026-04-01", "^window_start: cannot read"),
        (True, "2026-04-01", "^window_start: expected a date or a datetime, got bool"),
        (20260401.0, "2026-04-01", "^window_start: expected a date or a datetime, got float"),
        (20261301, "2026-04-01", "^window_start: the number 20261301 is not a date.*{{ ds }}"),
        (1775001600, "2026-04-01", "^window_start: the number 1775001600 is not a date"),
        ("2026-04-01", dt.time(1), "^window_end: expected a date or a datetime, got time"),
    ],
)
def test_invalid_window_arguments_are_named(start: object, end: object, named: str) -> None:
    with pytest.raises(We360ConfigError, match=named):
        explicit(start, end)


def test_refusal_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="window_end"):
        explicit("2026-04-01", "")


def test_refusal_hides_an_email_address() -> None:
    with pytest.raises(We360ConfigError) as caught:
        explicit("asha@example.com", "2026-04-01")

    assert "asha" not in str(caught.value)


# Partitions


def test_partition_date_is_not_converted() -> None:
    for timezone in ("Asia/Kolkata", "America/New_York", "Pacific/Apia"):
        assert days("2011-12-30") == resolve_window(
            RunFacts(partition_date=day("2011-12-30")), timezone=timezone
        )


def test_partition_instant_is_the_day_of_its_key() -> None:
    midnight_in_india = pendulum.datetime(2026, 3, 31, 18, 30)
    facts = RunFacts(partition_date=midnight_in_india, partition_key="2026-04-01T00:00:00")

    assert days("2026-04-01") == resolve_window(facts, timezone=INDIA)
    assert days("2026-04-01") == resolve_window(facts, timezone="America/New_York")


@pytest.mark.parametrize(
    "key", ["2026-04-01", "20260401", "2026-04-01T05", "2026-04-01T00:00:00+00:00"]
)
def test_partition_key_that_is_a_date_is_used(key: str) -> None:
    assert days("2026-04-01") == resolve_window(
        RunFacts(partition_key=key), timezone="America/New_York"
    )


@pytest.mark.parametrize(
    "instant", ["2026-04-01T00:00Z", "2026-03-31T18:30Z", "2026-04-01T00:00+05:30"]
)
def test_partition_instant_without_key_is_its_midnight_day(instant: str) -> None:
    assert days("2026-04-01") == resolve_window(
        RunFacts(partition_date=at(instant)), timezone=INDIA
    )


def test_partition_instant_off_midnight_is_refused() -> None:
    with pytest.raises(We360ConfigError, match=r"^partition_date: "):
        resolve_window(RunFacts(partition_date=at("2026-04-01T06:00Z")), timezone=INDIA)


@pytest.mark.parametrize("key", ["2026-04", "2026-03-30 (W14)", "2026-Q2"])
def test_weekly_and_monthly_partitions_are_refused(
    key: str,
) -> None:
    with pytest.raises(We360ConfigError, match=r"^partition_key: "):
        resolve_window(
            RunFacts(partition_date=at("2026-04-01T00:00Z"), partition_key=key), timezone=INDIA
        )


def test_partition_key_without_date_is_ignored() -> None:
    facts = RunFacts(partition_key="emea", run_after=at("2026-04-02T06:30Z"))

    assert days("2026-04-01") == resolve_window(facts, timezone=INDIA)


# Data intervals


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-03-31T20:30Z", "2026-04-01T20:30Z", days("2026-04-01")),  # a tick at 02:00 in India
        ("2026-04-01T06:30Z", "2026-04-02T06:30Z", days("2026-04-01")),  # noon in India
        (
            "2026-04-01T00:00Z",
            "2026-04-02T00:00Z",
            days("2026-04-01", "2026-04-01"),
        ),  # @daily in UTC
        ("2026-03-31T18:30Z", "2026-04-30T18:30Z", days("2026-04-01", "2026-04-30")),  # a month
        (
            "2026-04-01T18:00Z",
            "2026-04-01T19:00Z",
            days("2026-04-01"),
        ),  # the hour that holds midnight
        ("2024-02-28T18:30Z", "2024-02-29T18:30Z", days("2024-02-29")),  # a leap day
    ],
)
def test_data_interval_selects_days_ending_in_it(start: str, end: str, expected: Window) -> None:
    assert expected == resolve_window(interval(start, end), timezone=INDIA)


def test_hour_within_a_day_has_nothing_to_load() -> None:
    with pytest.raises(NoDayInInterval, match="Asia/Kolkata ends between 2026-04-01 12:30:00"):
        resolve_window(interval("2026-04-01T07:00Z", "2026-04-01T08:00Z"), timezone=INDIA)


def test_zero_length_data_interval_is_absent() -> None:
    facts = RunFacts(
        data_interval=(at("2026-04-01T20:30Z"), at("2026-04-02T02:00+05:30")),
        logical_date=at("2026-04-01T20:30Z"),
    )

    assert days("2026-04-01") == resolve_window(facts, timezone=INDIA)


def test_repeated_wall_clock_hour_is_an_interval() -> None:
    """Python calls the two equal, as they differ only in ``fold``."""
    first = dt.datetime(2026, 11, 1, 0, tzinfo=ZoneInfo("America/Havana"))

    facts = RunFacts(data_interval=(first - dt.timedelta(hours=1), first.replace(fold=1)))
    assert days("2026-10-31") == resolve_window(facts, timezone="America/Havana")
    facts = RunFacts(data_interval=(first, first.replace(fold=1)))
    with pytest.raises(NoDayInInterval):
        resolve_window(facts, timezone="America/Havana")


@pytest.mark.parametrize(
    ("start", "end"),
    [("2026-04-02T00:00Z", "2026-04-01T00:00Z"), ("2026-04-01T00:00", "2026-04-02T00:00")],
)
def test_reversed_or_naive_data_interval_is_refused(start: str, end: str) -> None:
    with pytest.raises(We360ConfigError, match=r"^data_interval: "):
        resolve_window(interval(start, end), timezone=INDIA)


# Days that are not of 24 hours


@pytest.mark.parametrize(
    ("timezone", "start", "end", "expected"),
    [
        (
            "America/New_York",
            "2026-03-08T05:00Z",
            "2026-03-09T04:00Z",
            days("2026-03-08"),
        ),  # 23 hours
        (
            "America/New_York",
            "2026-11-01T04:00Z",
            "2026-11-02T05:00Z",
            days("2026-11-01"),
        ),  # 25 hours
        ("Asia/Kathmandu", "2026-03-31T18:15Z", "2026-04-01T18:15Z", days("2026-04-01")),
        (
            "Australia/Lord_Howe",
            "2026-04-04T13:00Z",
            "2026-04-05T13:30Z",
            days("2026-04-05"),
        ),  # half an hour back
        (
            "America/Sao_Paulo",
            "2018-11-03T03:00Z",
            "2018-11-04T03:00Z",
            days("2018-11-03"),
        ),  # 00:00 is skipped
        ("America/Sao_Paulo", "2018-11-04T03:00Z", "2018-11-05T02:00Z", days("2018-11-04")),
        (
            "America/Sao_Paulo",
            "2018-02-17T02:00Z",
            "2018-02-18T03:00Z",
            days("2018-02-17"),
        ),  # 23:00 comes twice
        ("Asia/Beirut", "2026-03-27T22:00Z", "2026-03-28T22:00Z", days("2026-03-28")),
        ("Africa/Cairo", "2026-04-22T22:00Z", "2026-04-23T22:00Z", days("2026-04-23")),
        (
            "America/Havana",
            "2026-10-31T04:00Z",
            "2026-11-01T04:00Z",
            days("2026-10-31"),
        ),  # 00:00 comes twice: the first
        (
            "America/St_Johns",
            "2010-11-06T02:30Z",
            "2010-11-07T02:30Z",
            days("2010-11-06"),
        ),  # 00:01 goes back to 23:01
        (
            "America/Toronto",
            "1919-03-30T05:00Z",
            "1919-03-31T04:30Z",
            days("1919-03-30"),
        ),  # 23:30 goes on to 00:30
        (
            "Pacific/Apia",
            "2011-12-29T10:00Z",
            "2011-12-30T10:00Z",
            days("2011-12-29"),
        ),  # 30 December never was
        ("Pacific/Apia", "2011-12-30T10:00Z", "2011-12-31T10:00Z", days("2011-12-31")),
        (
            "Pacific/Apia",
            "2011-12-29T10:00Z",
            "2011-12-31T10:00Z",
            days("2011-12-29", "2011-12-31"),
        ),
    ],
)
def test_day_ends_at_first_instant_of_next_date(
    timezone: str, start: str, end: str, expected: Window
) -> None:
    assert expected == resolve_window(interval(start, end), timezone=timezone)
    with pytest.raises(NoDayInInterval):
        resolve_window(
            RunFacts(data_interval=(at(start), at(start) + dt.timedelta(microseconds=1))),
            timezone=timezone,
        )
    if expected[0] == expected[1]:
        with pytest.raises(NoDayInInterval):
            resolve_window(
                RunFacts(data_interval=(at(start), at(end) - dt.timedelta(microseconds=1))),
                timezone=timezone,
            )


def test_repeated_date_does_not_end_twice() -> None:
    """In St. John's, a minute after midnight clocks went back by an hour, into the day before."""
    with pytest.raises(NoDayInInterval):
        resolve_window(
            interval("2010-11-07T02:40Z", "2010-11-07T03:40Z"), timezone="America/St_Johns"
        )


def test_skipped_midnight_is_first_instant_of_its_date() -> None:
    assert days("2018-11-03") == explicit(
        "2018-11-03T00:00:00", "2018-11-04T00:00:00", "America/Sao_Paulo"
    )
    assert days("2018-11-04") == explicit(
        "2018-11-04T00:00:00", "2018-11-05T00:00:00", "America/Sao_Paulo"
    )


# Asset events


def test_events_give_the_span_of_their_windows() -> None:
    facts = RunFacts(
        event_windows=(
            ["2026-04-03", "2026-04-03"],
            None,
            ("2026-04-01", "2026-04-02"),
            ["2026-04-02"] * 2,
        )
    )

    assert days("2026-04-01", "2026-04-03") == resolve_window(facts, timezone=INDIA)


def test_events_without_windows_are_ignored() -> None:
    facts = RunFacts(event_windows=(None, None), run_after=at("2026-04-02T06:30Z"))

    assert days("2026-04-01") == resolve_window(facts, timezone=INDIA)


@pytest.mark.parametrize(
    "raw",
    [
        [],
        ["2026-04-01"],
        ["2026-04-01", "2026-04-02", "2026-04-03"],
        ["2026-04-02", "2026-04-01"],
        ["2026-04-01", None],
        ["2026-04-01", "2026-04-02T00:00:00"],
        ["2026-04-01", "soon"],
        [1, 2],
        "2026-04-01",
        {"first": "2026-04-01"},
        "",
        0,
    ],
)
def test_unreadable_event_window_is_named(raw: object) -> None:
    facts = RunFacts(
        event_windows=(["2026-04-01", "2026-04-01"], raw), run_after=at("2026-04-02T06:30Z")
    )

    with pytest.raises(We360ConfigError, match=r"^extra\['window'\] of a triggering asset event: "):
        resolve_window(facts, timezone=INDIA)


def test_arguments_override_unreadable_event_window() -> None:
    facts = RunFacts(event_windows=("broken",))

    assert days("2026-04-01") == resolve_window(
        facts, window_start="2026-04-01", window_end="2026-04-01", timezone=INDIA
    )


# Yesterday


@pytest.mark.parametrize(
    ("timezone", "now", "expected"),
    [
        (INDIA, "2026-04-01T18:29:59Z", days("2026-03-31")),
        (INDIA, "2026-04-01T18:30:00Z", days("2026-04-01")),
        ("America/New_York", "2026-04-02T03:59:59Z", days("2026-03-31")),
        (INDIA, "2024-03-01T06:30Z", days("2024-02-29")),
        ("Asia/Beirut", "2026-03-29T09:00Z", days("2026-03-28")),
        ("Pacific/Apia", "2011-12-31T00:00Z", days("2011-12-29")),
        ("America/Toronto", "1919-03-31T12:00Z", days("1919-03-30")),
        ("America/Havana", "2026-11-01T12:00Z", days("2026-10-31")),
    ],
)
def test_yesterday_is_local_day_before_the_run(timezone: str, now: str, expected: Window) -> None:
    assert expected == resolve_window(RunFacts(started_at=at(now)), timezone=timezone)


# Lookback and time zone


@pytest.mark.parametrize(
    ("lookback", "first"),
    [
        (0, "2026-03-01"),
        (1, "2026-02-28"),
        ("7", "2026-02-22"),
        (" 35 ", "2026-01-25"),
        (None, "2026-03-01"),
        ("", "2026-03-01"),
        ("None", "2026-03-01"),
    ],
)
def test_lookback_moves_only_the_first_day(lookback: object, first: str) -> None:
    assert days(first, "2026-03-02") == resolve_window(
        NOTHING_KNOWN,
        window_start="2026-03-01",
        window_end="2026-03-02",
        timezone=INDIA,
        lookback_days=lookback,
    )


@pytest.mark.parametrize(
    "lookback",
    [
        True,
        False,
        -1,
        "-1",
        1.0,
        "1.5",
        "seven",
        "\u0667",
        10**7,
        10**30,
        "9999999",
    ],
)
def test_invalid_lookback_is_named(lookback: object) -> None:
    with pytest.raises(We360ConfigError, match=r"^lookback_days: "):
        resolve_window(
            NOTHING_KNOWN,
            window_start="2026-03-01",
            window_end="2026-03-02",
            timezone=INDIA,
            lookback_days=lookback,
        )


@pytest.mark.parametrize(
    "timezone",
    [
        "",
        "None",
        "INDIA",
        "Asia",
        "asia/kolkata",
        "+05:30",
        "../etc/passwd",
        "/etc/passwd",
        None,
        5.5,
        dt.timezone(dt.timedelta(hours=5, minutes=30)),
        pendulum.FixedTimezone(19800),
    ],
)
def test_unknown_time_zone_is_named(timezone: object) -> None:
    with pytest.raises(We360ConfigError, match=r"^timezone: "):
        resolve_window(
            NOTHING_KNOWN, window_start="2026-03-01", window_end="2026-03-02", timezone=timezone
        )


@pytest.mark.parametrize(
    "timezone",
    [
        ZoneInfo(INDIA),
        pendulum.timezone(INDIA),
        str(pendulum.timezone(INDIA)),
        at("2026-03-01T00:00").replace(tzinfo=ZoneInfo(INDIA)).tzinfo,
    ],
)
def test_time_zone_objects_are_read_by_name(timezone: object) -> None:
    facts = RunFacts(run_after=at("2026-04-01T18:30Z"))

    assert days("2026-04-01") == resolve_window(facts, timezone=timezone)


@pytest.mark.parametrize("timezone", [dt.UTC, pendulum.UTC, "UTC"])
def test_utc_objects_are_read_as_utc(timezone: object) -> None:
    facts = RunFacts(run_after=at("2026-04-01T18:30Z"))

    assert days("2026-03-31") == resolve_window(facts, timezone=timezone)


def test_wrong_argument_is_named_with_nothing_to_load() -> None:
    with pytest.raises(We360ConfigError, match="lookback_days"):
        resolve_window(
            interval("2026-04-01T07:00Z", "2026-04-01T08:00Z"), timezone=INDIA, lookback_days=-1
        )


# The edges of the calendar


def test_first_and_last_calendar_years_are_accepted() -> None:
    assert days("0001-01-01", "9999-12-31") == explicit("0001-01-01", "9999-12-31")
    assert days("9999-01-01") == explicit(
        "9999-01-01T00:00:00", "9999-01-02T00:00:00", "America/New_York"
    )
    assert days("0001-02-01") == explicit(
        "0001-02-01T00:00:00", "0001-02-02T00:00:00", "America/New_York"
    )


@pytest.mark.parametrize("timezone", [INDIA, "America/New_York", "UTC", "Pacific/Kiritimati"])
@pytest.mark.parametrize(
    "edge", [at("0001-01-01T00:00"), at("9999-12-31T23:59"), at("0001-01-01T00:00Z")]
)
def test_instant_at_calendar_edge_is_refused(edge: dt.datetime, timezone: str) -> None:
    with pytest.raises(We360ConfigError, match=r"^window_start: .* end of the calendar"):
        explicit(edge, "2026-04-01T00:00:00", timezone)


# Is a day still running?


def test_window_is_running_until_its_last_day_ends() -> None:
    window = days("2026-03-01", "2026-04-01")

    assert is_running(window, now=at("2026-04-01T18:29:59.999999Z"), timezone=INDIA)
    assert not is_running(window, now=at("2026-04-01T18:30:00Z"), timezone=INDIA)
    assert is_running(days("2027-01-01"), now=at("2026-04-01T18:30:00Z"), timezone=INDIA)


# Has it begun?


def test_window_in_the_future_is_refused() -> None:
    with pytest.raises(We360ConfigError, match=r"^window_start: .* future .*today is 2026-04-01"):
        check_has_begun(days("2026-04-02"), now=at("2026-04-01T18:29Z"), timezone=INDIA)


@pytest.mark.parametrize("first", ["2026-04-01", "2026-04-02"])
def test_window_that_has_begun_is_accepted(first: str) -> None:
    check_has_begun(days(first, "2027-04-01"), now=at("2026-04-01T18:30Z"), timezone=INDIA)
