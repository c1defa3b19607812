"""Which local days a run extracts. One pure function; nothing here knows Airflow or looks at a clock.

A local day ends at the first instant of the next local date. So days of 23 or 25 hours are one day, and so is a day
whose midnight is skipped or comes twice. A date that a zone left out (``Pacific/Apia`` had no 2011-12-30) is no day.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from airflow_provider_we360.errors import NoDayInInterval, We360ConfigError, foreign_text
from airflow_provider_we360.types import Window

_DAY = re.compile(r"\d{4}-\d\d-\d\d|\d{8}")
_MOMENT = re.compile(rf"(?:{_DAY.pattern})[T ]\d.*")
_COUNT = re.compile(r"\d{1,9}", re.ASCII)
_ONE_DAY = dt.timedelta(days=1)
_EARLIEST = dt.datetime(1, 1, 3, tzinfo=dt.UTC)
_LATEST = dt.datetime(9999, 12, 30, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What Airflow knows of a run. Every field may be absent; datetimes are aware.

    :param partition_date: Airflow 3.2+. A day, or what 3.3 hands over: the instant, in UTC, at which the partition begins.
    :param data_interval: start and end. Of no width under a plain cron in Airflow 3, which counts as absent.
    :param event_windows: ``extra["window"]`` of every triggering asset event, as found; None where an event has none.
    :param logical_date: absent in manual and asset-triggered runs of Airflow 3.
    :param run_after: Airflow 3.
    :param started_at: when the run really began.
    :param partition_key: Airflow 3.2+. Where it is a date, it is the partition's date as its Dag writes it.
    """

    partition_date: dt.date | None = None
    data_interval: tuple[dt.datetime, dt.datetime] | None = None
    event_windows: tuple[object, ...] = ()
    logical_date: dt.datetime | None = None
    run_after: dt.datetime | None = None
    started_at: dt.datetime | None = None
    partition_key: str | None = None


def resolve_window(
    facts: RunFacts,
    *,
    window_start: object = None,
    window_end: object = None,
    timezone: str,
    lookback_days: object = 0,
) -> Window:
    """First and last local day of a run, both inclusive.

    The first of these that is there decides: ``window_start`` and ``window_end``; the partition's date; a data interval
    that has a width; the hull of the triggering events' windows; yesterday.

    :param window_start: date or datetime, or text of one; ``None``, ``""`` and ``"None"`` mean not given. With
        ``window_end`` a pair of dates (both inclusive) or a pair of datetimes: the days whose end lies in (start, end].
        A datetime without a zone is local.
    :param timezone: IANA name of the zone in which days are counted.
    :param lookback_days: so many days more before the first one, as days of the past still change.
    :raises We360ConfigError: where an argument or a fact cannot be read; it is named.
    :raises NoDayInInterval: where the interval ends no local day.
    """
    return explained_window(
        facts,
        window_start=window_start,
        window_end=window_end,
        timezone=timezone,
        lookback_days=lookback_days,
    )[0]


def explained_window(
    facts: RunFacts,
    *,
    window_start: object,
    window_end: object,
    timezone: str,
    lookback_days: object,
) -> tuple[Window, str]:
    """As :func:`resolve_window`, with what decided, for people."""
    zone = _zone(timezone)
    days_back = _day_count(lookback_days)
    if (days := _explicit(window_start, window_end, zone)) is not None:
        why = "window_start and window_end"
    elif (days := _partition(facts, zone)) is not None:
        why = "the run's partition"
    elif (days := _data_interval(facts, zone)) is not None:
        why = f"the run's data interval, {_interval_text(facts, zone)}"
    elif (days := _events(facts)) is not None:
        why = f"the window of {sum(raw is not None for raw in facts.event_windows)} triggering asset event(s)"
    else:
        days, why = _yesterday(facts, zone)
    first, last = days
    try:
        window = first - dt.timedelta(days=days_back), last
    except OverflowError:
        raise We360ConfigError(
            f"lookback_days: so many days before {first} is before the year 1; give fewer"
        ) from None
    return window, f"{why}; and {days_back} day(s) before, by lookback_days" if days_back else why


def is_running(window: Window, *, now: dt.datetime, timezone: str) -> bool:
    """True where the window's last day has not ended yet: its rows will change.

    :param now: aware.
    :raises We360ConfigError: where ``now`` or ``timezone`` cannot be read.
    """
    return window[1] >= _unended_day(_utc(now, "now"), _zone(timezone))


def day_end(day: dt.date, timezone: str) -> dt.datetime:
    """The instant, in UTC, at which a local day ends: the first one of the next local date.

    :raises We360ConfigError: where ``timezone`` is none.
    """
    return dt.datetime.combine(day + _ONE_DAY, dt.time.min, _zone(timezone)).astimezone(dt.UTC)


def _explicit(window_start: object, window_end: object, zone: ZoneInfo) -> Window | None:
    """What the arguments say; None where neither is given."""
    start, end = _given(window_start, "window_start"), _given(window_end, "window_end")
    if start is None and end is None:
        return None
    if start is None or end is None:
        missing, other = (
            ("window_start", "window_end") if start is None else ("window_end", "window_start")
        )
        raise We360ConfigError(f"{missing}: not given, but {other} is; give both, or neither")
    if isinstance(start, dt.datetime) and isinstance(end, dt.datetime):
        begin, stop = _utc(start, "window_start", zone), _utc(end, "window_end", zone)
        if begin == stop:
            raise We360ConfigError(
                "window_start, window_end: both are the same instant. In Airflow 3 the data interval of a plain cron"
                " has no width: leave both out, or give two dates"
            )
        return _ended_days(begin, stop, zone, "window_start")
    if isinstance(start, dt.datetime) or isinstance(end, dt.datetime):
        raise We360ConfigError(
            "window_start, window_end: one is a date, the other a datetime; give two dates or two datetimes"
        )
    if start > end:
        raise We360ConfigError(
            f"window_start: {start} lies after window_end, {end}; give the earlier day first"
        )
    return start, end


def _partition(facts: RunFacts, zone: ZoneInfo) -> Window | None:
    """The partition's day; None where the run has none.

    Airflow 3.3 hands over an instant: the partition that ``Asia/Kolkata`` calls 1 April begins on 31 March in UTC. The key
    beside it holds the date that the Dag's author means, so the key goes first.
    """
    date, key = facts.partition_date, facts.partition_key
    if isinstance(date, dt.datetime) or date is None:
        named = _parsed(key.strip()) if key else None
        if date is not None and key and named is None:
            raise We360ConfigError(
                f"partition_key: {foreign_text(key, 60)!r} names no single day; let it be a date (key_format='%Y-%m-%d'),"
                " or give window_start and window_end"
            )
        date = _midnight_day(date, zone) if date is not None and named is None else named
    return None if date is None else (_date_of(date), _date_of(date))


def _midnight_day(instant: dt.datetime, zone: ZoneInfo) -> dt.date:
    """The date of which ``instant`` is the midnight: as written, else in ``zone``."""
    for reading in (instant, _utc(instant, "partition_date", zone).astimezone(zone)):
        if reading.time() == dt.time.min:
            return reading
    raise We360ConfigError(
        f"partition_date: {instant.isoformat()} is no midnight, nor in {zone.key}, so it names no day;"
        " give window_start and window_end"
    )


def _data_interval(facts: RunFacts, zone: ZoneInfo) -> Window | None:
    """The days that end in the run's data interval; None where it has no width."""
    if facts.data_interval is None:
        return None
    start, end = (_utc(edge, "data_interval") for edge in facts.data_interval)
    return None if start == end else _ended_days(start, end, zone, "data_interval")


def _events(facts: RunFacts) -> Window | None:
    """The hull of the triggering events' windows; None where no event has one."""
    windows = [_event_window(raw) for raw in facts.event_windows if raw is not None]
    if not windows:
        return None
    return min(first for first, _ in windows), max(last for _, last in windows)


def _event_window(raw: object) -> Window:
    """The window of one event: two ISO dates, the first not after the last."""
    if isinstance(raw, list | tuple):
        match [
            _parsed(edge) if isinstance(edge, str) and _DAY.fullmatch(edge) else None
            for edge in raw
        ]:
            case [dt.date() as first, dt.date() as last] if first <= last:
                return first, last
    raise We360ConfigError(
        "extra['window'] of a triggering asset event: expected [first day, last day] as ISO dates, got"
        f" {foreign_text(raw, 80)}; mend the Dag that sends it, or give window_start and window_end"
    )


def _interval_text(facts: RunFacts, zone: ZoneInfo) -> str:
    """The data interval as a clock in the zone shows it."""
    edges = [_utc(edge, "data_interval").astimezone(zone) for edge in facts.data_interval or ()]
    return " to ".join(edge.isoformat(sep=" ", timespec="minutes") for edge in edges)


def _yesterday(facts: RunFacts, zone: ZoneInfo) -> tuple[Window, str]:
    """The local day before the one on which the run stands, and why."""
    moments = {
        "logical_date": facts.logical_date,
        "run_after": facts.run_after,
        "started_at": facts.started_at,
    }
    for name, moment in moments.items():
        if moment is not None:
            local = _utc(moment, name).astimezone(zone)
            day = _day_before(local.date(), zone)
            return (
                (day, day),
                f"yesterday, seen from the run's {name}, {local.isoformat(sep=' ', timespec='minutes')}",
            )
    raise We360ConfigError(
        "window_start, window_end: the run has no date of its own to count from; give both"
    )


def _ended_days(start: dt.datetime, end: dt.datetime, zone: ZoneInfo, name: str) -> Window:
    """The days whose end lies in (start, end]; both in UTC."""
    begin, stop = (edge.astimezone(zone).isoformat(sep=" ") for edge in (start, end))
    if start > end:
        raise We360ConfigError(f"{name}: the interval runs backwards, from {begin} to {stop}")
    first, after = _unended_day(start, zone), _unended_day(end, zone)
    if first == after:
        raise NoDayInInterval(
            f"No day of {zone.key} ends after {begin} and not after {stop}: nothing to load. A day is loaded by the run whose"
            " interval holds its end, once; for whole days give window_start and window_end as dates"
        )
    return first, _day_before(after, zone)


def _unended_day(instant: dt.datetime, zone: ZoneInfo) -> dt.date:
    """The earliest local day that has not ended at ``instant``."""
    today = instant.astimezone(zone).date()
    tomorrow = today + _ONE_DAY
    # Where clocks go back over midnight, the next date begins, today comes once more, and today has ended all the same.
    begun = dt.datetime.combine(tomorrow, dt.time.min, zone).astimezone(dt.UTC) <= instant
    return tomorrow if begun else today


def _day_before(day: dt.date, zone: ZoneInfo) -> dt.date:
    """The local day before ``day``: two dates back where the zone left one out."""
    midnight = dt.datetime.combine(day, dt.time.min, zone)
    # The earlier of both readings: the first of two midnights, and before the gap where there is none.
    earliest = min(midnight.replace(fold=fold).astimezone(dt.UTC) for fold in (0, 1))
    return (earliest - dt.datetime.resolution).astimezone(zone).date()


def _given(value: object, name: str) -> dt.date | dt.datetime | None:
    """What an argument of either edge says; None where it is not given."""
    if value is None:
        return None
    if isinstance(value, dt.datetime):
        return _plain(value)
    if isinstance(value, dt.date):
        return _date_of(value)
    if not isinstance(value, str):
        raise We360ConfigError(f"{name}: expected a date or a datetime, got {type(value).__name__}")
    text = value.strip()
    if text in {"", "None"}:
        return None
    parsed = _parsed(text)
    if parsed is None:
        raise We360ConfigError(
            f"{name}: cannot read {foreign_text(text, 60)!r}; write a date, 2026-04-01, or a datetime, 2026-04-01T18:30+00:00"
        )
    return parsed


def _parsed(text: str) -> dt.date | dt.datetime | None:
    """A date or a datetime from ISO text; None where it is neither. Weeks (``2026-W14-3``) are not read."""
    try:
        if _DAY.fullmatch(text):
            return dt.date.fromisoformat(text)
        if _MOMENT.fullmatch(text):
            return dt.datetime.fromisoformat(text)
    except ValueError:
        pass
    return None


def _plain(value: dt.datetime) -> dt.datetime:
    """The same value without pendulum, whose arithmetic has rules of its own around midnight."""
    day = (value.year, value.month, value.day)
    return dt.datetime(
        *day,
        value.hour,
        value.minute,
        value.second,
        value.microsecond,
        value.tzinfo,
        fold=value.fold,
    )


def _date_of(value: dt.date) -> dt.date:
    """The date as written, never converted."""
    return dt.date(value.year, value.month, value.day)


def _utc(moment: dt.datetime, name: str, local: ZoneInfo | None = None) -> dt.datetime:
    """The instant in UTC. Comparing in UTC alone is safe: Python compares by the wall clock within one zone."""
    plain = _plain(moment)
    if plain.utcoffset() is None:
        if local is None:
            raise We360ConfigError(
                f"{name}: {plain.isoformat()} has no time zone; hand in an aware datetime"
            )
        plain = plain.replace(tzinfo=local)
    try:
        instant = plain.astimezone(dt.UTC)
    except OverflowError:
        instant = None
    if instant is None or not _EARLIEST <= instant <= _LATEST:
        raise We360ConfigError(
            f"{name}: {plain.isoformat()} is too near the end of the calendar; give dates instead"
        )
    return instant


def _zone(name: str) -> ZoneInfo:
    """The zone of that IANA name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError, AttributeError):
        raise We360ConfigError(
            f"timezone: no time zone is named {foreign_text(name, 60)!r}; write an IANA name such as 'Asia/Kolkata'"
        ) from None


def _day_count(value: object) -> int:
    """``lookback_days`` as a number."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and _COUNT.fullmatch(value.strip()):
        return int(value)
    raise We360ConfigError(
        f"lookback_days: expected a whole number of days, 0 or more, got {foreign_text(repr(value), 60)}"
    )
