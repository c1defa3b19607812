from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pendulum
import pytest

from airflow_provider_we360.errors import NoDayInInterval, We360ConfigError
from airflow_provider_we360.types import Window
from airflow_provider_we360.window import RunFacts, is_running, resolve_window

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
def test_the_first_source_that_is_there_decides(absent: int, expected: Window) -> None:
    facts = RunFacts(**dict(list(EVERYTHING.items())[absent:]))  # type: ignore[arg-type]

    assert expected == resolve_window(facts, timezone=INDIA)


def test_arguments_beat_all_that_airflow_knows() -> None:
    facts = RunFacts(**EVERYTHING)  # type: ignore[arg-type]

    assert days("2026-01-01") == resolve_window(
        facts, window_start="2026-01-01", window_end="2026-01-01", timezone=INDIA
    )


@pytest.mark.parametrize("absent", [None, "", "None", "  ", " None "])
def test_an_argument_that_rendered_to_nothing_is_not_given(absent: object) -> None:
    facts = RunFacts(logical_date=at("2026-04-02T06:30Z"))

    assert days("2026-04-01") == resolve_window(
        facts, window_start=absent, window_end=absent, timezone=INDIA
    )


def test_a_run_of_which_nothing_is_known_asks_for_a_window_by_name() -> None:
    with pytest.raises(We360ConfigError, match="window_start, window_end"):
        resolve_window(NOTHING_KNOWN, timezone=INDIA)


# Arguments


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-04-01", "2026-04-03"),
        ("20260401", "20260403"),
        (" 2026-04-01 ", "2026-04-03\n"),
        (dt.date(2026, 4, 1), dt.date(2026, 4, 3)),
        (pendulum.date(2026, 4, 1), "2026-04-03"),
    ],
)
def test_two_dates_are_both_inclusive(start: object, end: object) -> None:
    assert days("2026-04-01", "2026-04-03") == explicit(start, end)


def test_the_window_holds_plain_dates_whatever_came_in() -> None:
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
def test_two_datetimes_are_the_days_that_end_between_them_and_naive_ones_are_local(
    start: object, end: object
) -> None:
    assert days("2026-04-01") == explicit(start, end)


def test_an_interval_holds_the_end_of_a_day_at_its_own_end_but_not_at_its_start() -> None:
    assert days("2026-04-01", "2026-04-02") == explicit(
        "2026-04-01T00:00:00", "2026-04-03T00:00:00"
    )
    with pytest.raises(NoDayInInterval):
        explicit("2026-04-01T00:00:00", "2026-04-01T23:59:59.999999")


def test_an_interval_of_arguments_without_a_days_end_says_how_to_ask_for_whole_days() -> None:
    with pytest.raises(NoDayInInterval, match="window_start and window_end as dates"):
        explicit("2026-04-01T00:00:00", "2026-04-01T23:59:59")


def test_one_instant_twice_is_refused_for_it_is_the_interval_of_a_plain_cron() -> None:
    with pytest.raises(We360ConfigError, match="same instant"):
        explicit("2026-04-01T02:00:00+00:00", "2026-04-01T07:30:00+05:30")


@pytest.mark.parametrize(
    ("start", "end", "named"),
    [
        ("2026-04-01", None, "^window_end: not given"),
        ("None", "2026-04-01", "^window_start: not given"),
        ("2026-04-01", "2026-04-02T00:00:00", "^window_start, window_end: one is a date"),
        ("2026-04-01T00:00:00", dt.date(2026, 4, 2), "^window_start, window_end: one is a date"),
        ("2026-04-02", "2026-04-01", "^window_start: 2026-04-02 lies after"),
        (
            "2026-04-02T00:00:00",
            "2026-04-01T00:00:00",
            "^window_start: the interval runs backwards",
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
        (20260401, "2026-04-01", "^window_start: expected a date or a datetime, got int"),
        ("2026-04-01", dt.time(1), "^window_end: expected a date or a datetime, got time"),
    ],
)
def test_arguments_that_make_no_window_are_refused_by_name(
    start: object, end: object, named: str
) -> None:
    with pytest.raises(We360ConfigError, match=named):
        explicit(start, end)


def test_a_refusal_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="window_end"):
        explicit("2026-04-01", "")


def test_a_refusal_does_not_repeat_an_address_that_came_as_a_window() -> None:
    with pytest.raises(We360ConfigError) as caught:
        explicit("asha@example.com", "2026-04-01")

    assert "asha" not in str(caught.value)


# Partitions


def test_a_partition_that_is_a_day_is_never_converted() -> None:
    for timezone in ("Asia/Kolkata", "America/New_York", "Pacific/Apia"):
        assert days("2011-12-30") == resolve_window(
            RunFacts(partition_date=day("2011-12-30")), timezone=timezone
        )


def test_the_partition_that_airflow_3_hands_over_as_an_instant_in_utc_is_the_day_its_key_names() -> (
    None
):
    midnight_in_india = pendulum.datetime(2026, 3, 31, 18, 30)
    facts = RunFacts(partition_date=midnight_in_india, partition_key="2026-04-01T00:00:00")

    assert days("2026-04-01") == resolve_window(facts, timezone=INDIA)
    assert days("2026-04-01") == resolve_window(facts, timezone="America/New_York")


@pytest.mark.parametrize(
    "key", ["2026-04-01", "20260401", "2026-04-01T05", "2026-04-01T00:00:00+00:00"]
)
def test_a_key_that_is_a_date_names_the_partition(key: str) -> None:
    assert days("2026-04-01") == resolve_window(
        RunFacts(partition_key=key), timezone="America/New_York"
    )


@pytest.mark.parametrize(
    "instant", ["2026-04-01T00:00Z", "2026-03-31T18:30Z", "2026-04-01T00:00+05:30"]
)
def test_a_partition_without_a_key_is_the_day_whose_midnight_it_is(instant: str) -> None:
    assert days("2026-04-01") == resolve_window(
        RunFacts(partition_date=at(instant)), timezone=INDIA
    )


def test_a_partition_that_is_no_midnight_and_has_no_key_is_refused() -> None:
    with pytest.raises(We360ConfigError, match=r"^partition_date: "):
        resolve_window(RunFacts(partition_date=at("2026-04-01T06:00Z")), timezone=INDIA)


@pytest.mark.parametrize("key", ["2026-04", "2026-03-30 (W14)", "2026-Q2"])
def test_a_partition_of_a_week_or_a_month_is_refused_rather_than_loaded_as_its_first_day(
    key: str,
) -> None:
    with pytest.raises(We360ConfigError, match=r"^partition_key: "):
        resolve_window(
            RunFacts(partition_date=at("2026-04-01T00:00Z"), partition_key=key), timezone=INDIA
        )


def test_a_partition_key_that_is_no_time_leaves_the_choice_to_the_next_source() -> None:
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
def test_a_data_interval_means_the_days_that_end_in_it(
    start: str, end: str, expected: Window
) -> None:
    assert expected == resolve_window(interval(start, end), timezone=INDIA)


def test_an_hour_in_the_middle_of_a_day_has_nothing_to_load() -> None:
    with pytest.raises(NoDayInInterval, match="Asia/Kolkata ends after 2026-04-01 12:30:00"):
        resolve_window(interval("2026-04-01T07:00Z", "2026-04-01T08:00Z"), timezone=INDIA)


def test_a_data_interval_without_width_counts_as_absent() -> None:
    facts = RunFacts(
        data_interval=(at("2026-04-01T20:30Z"), at("2026-04-02T02:00+05:30")),
        logical_date=at("2026-04-01T20:30Z"),
    )

    assert days("2026-04-01") == resolve_window(facts, timezone=INDIA)


def test_an_hour_that_the_wall_clock_shows_twice_is_an_interval_with_a_width() -> None:
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
def test_a_data_interval_that_runs_backwards_or_has_no_zone_is_refused(
    start: str, end: str
) -> None:
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
def test_a_day_ends_at_the_first_instant_of_the_next_date(
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


def test_a_date_that_comes_back_for_an_hour_after_its_end_does_not_end_twice() -> None:
    """In St. John's, a minute after midnight clocks went back by an hour, into the day before."""
    with pytest.raises(NoDayInInterval):
        resolve_window(
            interval("2010-11-07T02:40Z", "2010-11-07T03:40Z"), timezone="America/St_Johns"
        )


def test_a_naive_midnight_that_a_zone_skips_is_the_first_instant_of_its_date() -> None:
    assert days("2018-11-03") == explicit(
        "2018-11-03T00:00:00", "2018-11-04T00:00:00", "America/Sao_Paulo"
    )
    assert days("2018-11-04") == explicit(
        "2018-11-04T00:00:00", "2018-11-05T00:00:00", "America/Sao_Paulo"
    )


# Asset events


def test_events_mean_the_hull_of_their_windows_and_those_without_one_are_passed_over() -> None:
    facts = RunFacts(
        event_windows=(
            ["2026-04-03", "2026-04-03"],
            None,
            ("2026-04-01", "2026-04-02"),
            ["2026-04-02"] * 2,
        )
    )

    assert days("2026-04-01", "2026-04-03") == resolve_window(facts, timezone=INDIA)


def test_events_that_all_lack_a_window_leave_the_choice_to_yesterday() -> None:
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
def test_an_events_window_that_cannot_be_read_is_refused_and_says_whose_it_is(raw: object) -> None:
    facts = RunFacts(
        event_windows=(["2026-04-01", "2026-04-01"], raw), run_after=at("2026-04-02T06:30Z")
    )

    with pytest.raises(We360ConfigError, match=r"^extra\['window'\] of a triggering asset event: "):
        resolve_window(facts, timezone=INDIA)


def test_arguments_help_past_an_events_window_that_cannot_be_read() -> None:
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
def test_yesterday_is_the_local_day_before_the_one_on_which_the_run_stands(
    timezone: str, now: str, expected: Window
) -> None:
    assert expected == resolve_window(RunFacts(started_at=at(now)), timezone=timezone)


# Lookback and time zone


@pytest.mark.parametrize(
    ("lookback", "first"),
    [(0, "2026-03-01"), (1, "2026-02-28"), ("7", "2026-02-22"), (" 35 ", "2026-01-25")],
)
def test_lookback_moves_the_first_day_back_and_leaves_the_last(
    lookback: object, first: str
) -> None:
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
        "",
        "None",
        None,
        1.0,
        "1.5",
        "seven",
        "\u0667",
        10**7,
        10**30,
        "9999999",
    ],
)
def test_a_lookback_that_is_no_count_of_days_is_refused_by_name(lookback: object) -> None:
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
    ],
)
def test_an_unknown_time_zone_is_refused_by_name(timezone: object) -> None:
    with pytest.raises(We360ConfigError, match=r"^timezone: "):
        resolve_window(
            NOTHING_KNOWN, window_start="2026-03-01", window_end="2026-03-02", timezone=timezone
        )  # type: ignore[arg-type]


def test_a_wrong_argument_is_told_even_where_there_is_nothing_to_load() -> None:
    with pytest.raises(We360ConfigError, match="lookback_days"):
        resolve_window(
            interval("2026-04-01T07:00Z", "2026-04-01T08:00Z"), timezone=INDIA, lookback_days=-1
        )


# The edges of the calendar


def test_dates_of_the_first_and_the_last_year_are_taken_as_they_are() -> None:
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
def test_an_instant_at_the_edge_of_the_calendar_is_refused_and_not_a_crash(
    edge: dt.datetime, timezone: str
) -> None:
    with pytest.raises(We360ConfigError, match=r"^window_start: .* end of the calendar"):
        explicit(edge, "2026-04-01T00:00:00", timezone)


# Is a day still running?


def test_a_window_runs_until_the_first_instant_after_its_last_day() -> None:
    window = days("2026-03-01", "2026-04-01")

    assert is_running(window, now=at("2026-04-01T18:29:59.999999Z"), timezone=INDIA)
    assert not is_running(window, now=at("2026-04-01T18:30:00Z"), timezone=INDIA)
    assert is_running(days("2027-01-01"), now=at("2026-04-01T18:30:00Z"), timezone=INDIA)
