"""Laws of windows where midnights are skipped, doubled or moved, against an oracle that reads a clock minute by minute."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pendulum
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_we360.errors import NoDayInInterval, We360Error
from airflow_provider_we360.types import Window
from airflow_provider_we360.window import RunFacts, is_running, resolve_window

MINUTE = dt.timedelta(minutes=1)
ONE_DAY = dt.timedelta(days=1)

ODD_NIGHTS = [
    ("Africa/Cairo", "2026-04-24"),
    ("Africa/Cairo", "2026-10-30"),
    ("America/Havana", "2026-03-08"),
    ("America/Havana", "2026-11-01"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/St_Johns", "2010-03-14"),
    ("America/St_Johns", "2010-11-07"),
    ("Asia/Beirut", "2026-03-29"),
    ("Asia/Beirut", "2026-10-25"),
    ("Asia/Kathmandu", "1986-01-01"),
    ("Asia/Kolkata", "2026-04-01"),
    ("Asia/Pyongyang", "2018-05-05"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Pacific/Apia", "2011-12-30"),
    ("Pacific/Kwajalein", "1993-08-21"),
]
"""Zone and the local date of which a midnight is odd, or near to which clocks move."""

ZONES = sorted(
    name for name in available_timezones() if "/" in name and not name.startswith("Etc/")
)


@lru_cache(maxsize=64)
def calendar(zone: str, first: dt.date, last: dt.date) -> tuple[tuple[dt.date, dt.datetime], ...]:
    """The oracle: the local days between two dates, each with its first instant, found by looking at a clock every minute."""
    seen: dict[dt.date, dt.datetime] = {}
    instant = dt.datetime.combine(first - 2 * ONE_DAY, dt.time.min, dt.UTC)
    until = dt.datetime.combine(last + 3 * ONE_DAY, dt.time.min, dt.UTC)
    tz = ZoneInfo(zone)
    while instant < until:
        seen.setdefault(instant.astimezone(tz).date(), instant)
        instant += MINUTE
    return tuple(sorted(seen.items())[1:])


def ends_between(zone: str, around: dt.date, start: dt.datetime, end: dt.datetime) -> list[dt.date]:
    """The oracle's answer: days that end in (start, end]."""
    days = calendar(zone, around - 4 * ONE_DAY, around + 4 * ONE_DAY)
    return [day for (day, _), (_, ended) in pairwise(days) if start < ended <= end]


@st.composite
def nights(draw: st.DrawFn) -> tuple[str, dt.date]:
    """A zone and a date near to which to look: an odd night, or any."""
    if draw(st.booleans()):
        zone, date = draw(st.sampled_from(ODD_NIGHTS))
        return zone, dt.date.fromisoformat(date)
    return draw(st.sampled_from(ZONES)), draw(st.dates(dt.date(1980, 1, 1), dt.date(2060, 1, 1)))


@st.composite
def cuts(draw: st.DrawFn, least: int = 2) -> tuple[str, dt.date, list[dt.datetime]]:
    """A zone, a date, and instants in order within three days of it, many of them at the very turn of a day."""
    zone, date = draw(nights())
    noon = dt.datetime.combine(date, dt.time(12), dt.UTC)
    turns = [
        turn
        for _, turn in calendar(zone, date - 4 * ONE_DAY, date + 4 * ONE_DAY)
        if abs(turn - noon) < 3 * ONE_DAY
    ]
    anywhere = st.integers(-3 * 1440, 3 * 1440).map(lambda minutes: noon + minutes * MINUTE)
    instants = draw(
        st.lists(st.sampled_from(turns) | anywhere, min_size=least, max_size=8, unique=True)
    )
    return zone, date, sorted(instants)


def of_interval(zone: str, start: dt.datetime, end: dt.datetime) -> Window | None:
    try:
        return resolve_window(RunFacts(data_interval=(start, end)), timezone=zone)
    except NoDayInInterval:
        return None


def local_days(zone: str, around: dt.date, window: Window | None) -> list[dt.date]:
    """The days of a window that the zone really had."""
    days = calendar(zone, around - 4 * ONE_DAY, around + 4 * ONE_DAY)
    return [day for day, _ in days if window and window[0] <= day <= window[1]]


@settings(deadline=None)
@given(cuts())
def test_interval_selects_days_ending_in_it(
    case: tuple[str, dt.date, list[dt.datetime]],
) -> None:
    zone, date, (start, *_, end) = case
    expected = ends_between(zone, date, start, end)

    assert ((expected[0], expected[-1]) if expected else None) == of_interval(zone, start, end)


@settings(deadline=None)
@given(cuts(least=3))
def test_consecutive_intervals_cover_each_day_once(
    case: tuple[str, dt.date, list[dt.datetime]],
) -> None:
    zone, date, instants = case
    parts = [of_interval(zone, start, end) for start, end in pairwise(instants)]

    whole = local_days(zone, date, of_interval(zone, instants[0], instants[-1]))
    assert whole == [day for part in parts for day in local_days(zone, date, part)]
    assert all(first <= last for first, last in filter(None, parts))


@settings(deadline=None)
@given(nights(), st.integers(1, 59))
def test_hourly_dag_loads_each_day_once(night: tuple[str, dt.date], minute: int) -> None:
    zone, date = night
    days = calendar(zone, date - 4 * ONE_DAY, date + 4 * ONE_DAY)
    (day, begin), (_, end) = next(pair for pair in pairwise(days) if pair[0][0] >= date)
    ticks = [
        begin + minute * MINUTE + dt.timedelta(hours=hour)
        for hour in range((end - begin) // dt.timedelta(hours=1) + 1)
    ]
    hours = [of_interval(zone, tick, tick + dt.timedelta(hours=1)) for tick in ticks if tick < end]

    assert [(day, day)] == [window for window in hours if window is not None]


@settings(deadline=None)
@given(cuts(), st.sampled_from(ZONES), st.sampled_from(ZONES))
def test_zone_of_an_instant_does_not_matter(
    case: tuple[str, dt.date, list[dt.datetime]], one: str, other: str
) -> None:
    zone, _, (start, *_, end) = case
    written = start.astimezone(ZoneInfo(one)), pendulum.instance(end).in_timezone(other)

    assert of_interval(zone, start, end) == of_interval(zone, *written)


@settings(deadline=None)
@given(cuts())
def test_interval_arguments_equal_the_data_interval(
    case: tuple[str, dt.date, list[dt.datetime]],
) -> None:
    zone, _, (start, *_, end) = case
    local = [edge.astimezone(ZoneInfo(zone)) for edge in (start, end)]
    pairs = [
        (start, end),
        (start.isoformat(), str(end)),
        local,
        [edge.replace(tzinfo=None) for edge in local],
    ]
    windows: list[Window | None] = []
    for first, last in pairs:
        try:
            windows.append(
                resolve_window(RunFacts(), window_start=first, window_end=last, timezone=zone)
            )
        except NoDayInInterval:
            windows.append(None)

    assert [of_interval(zone, start, end)] * len(pairs) == windows


@settings(deadline=None)
@given(nights(), st.integers(1, 22))  # around midnight a zone can skip the tick itself
def test_daily_ticks_cover_each_day_once(night: tuple[str, dt.date], hour: int) -> None:
    zone, date = night
    days = calendar(zone, date - 4 * ONE_DAY, date + 4 * ONE_DAY)
    ticks = [dt.datetime.combine(day, dt.time(hour, 30), ZoneInfo(zone)) for day, _ in days]
    windows = [resolve_window(RunFacts(run_after=tick), timezone=zone) for tick in ticks[1:]]

    assert [(day, day) for day, _ in days[:-1]] == windows


@given(
    st.dates(),
    st.dates(),
    st.integers(0, 4000),
    st.sampled_from(ZONES),
)
def test_lookback_moves_only_the_first_day(
    one: dt.date, other: dt.date, lookback: int, zone: str
) -> None:
    first, last = sorted((one, other))
    try:
        window = resolve_window(
            RunFacts(), window_start=first, window_end=last, timezone=zone, lookback_days=lookback
        )
    except We360Error:
        assert (first - dt.date.min).days < lookback
    else:
        assert (lookback, last) == ((first - window[0]).days, window[1])


@settings(deadline=None)
@given(nights(), st.integers(-2000, 2000))
def test_window_is_running_until_its_last_day_ends(
    night: tuple[str, dt.date], minutes: int
) -> None:
    zone, date = night
    days = calendar(zone, date - 4 * ONE_DAY, date + 4 * ONE_DAY)
    (day, begin), (_, end) = next(pair for pair in pairwise(days) if pair[0][0] >= date)

    for now in (begin, end - MINUTE, end, end + minutes * MINUTE):
        assert (now < end) == is_running((day, day), now=now, timezone=zone)


EDGES = (
    st.text(max_size=30)
    | st.dates()
    | st.datetimes()
    | st.datetimes(timezones=st.timezones())
    | st.integers()
    | st.none()
)
TEXTS = (
    EDGES
    | st.dates().map(str)
    | st.datetimes(timezones=st.timezones()).map(str)
    | st.datetimes().map(dt.datetime.isoformat)
)


@settings(deadline=None)
@given(TEXTS, TEXTS, st.sampled_from(ZONES), st.lists(st.lists(TEXTS) | TEXTS).map(tuple), EDGES)
def test_any_input_gives_a_window_or_our_error(
    start: object, end: object, zone: str, events: tuple[object, ...], lookback: object
) -> None:
    facts = RunFacts(event_windows=events, started_at=dt.datetime(2026, 4, 2, tzinfo=dt.UTC))
    for days_back in (0, lookback):
        try:
            first, last = resolve_window(
                facts, window_start=start, window_end=end, timezone=zone, lookback_days=days_back
            )
        except We360Error:
            continue
        assert {dt.date} == {type(first), type(last)}
        assert first <= last
