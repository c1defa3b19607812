"""The window of a run: its first and last local day. Pure functions without Airflow or a clock.

A local day ends at the first instant of the next local date. Days of 23 or 25 hours therefore count
as one day, and so do days whose midnight is skipped or repeated. A date that a time zone skipped
(``Pacific/Apia`` had no 2011-12-30) is not a day.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from airflow_provider_we360.errors import NoDayInInterval, We360ConfigError
from airflow_provider_we360.redaction import foreign_text
from airflow_provider_we360.types import Window

SETTLE_HOURS = 11.5
"""Hours from the end of a day until it counts as settled: We360 imports a day's data from the HR
system at 11:00 of the next day in India."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d|\d{8}")
_MOMENT = re.compile(rf"(?:{_DAY.pattern})[T ]\d.*")
_COUNT = re.compile(r"\d{1,9}", re.ASCII)
# str() of a pendulum time zone: what {{ dag.timezone }} renders to without native rendering.
_PENDULUM_ZONE = re.compile(r"Timezone\('([^']+)'\)")
_ONE_DAY = dt.timedelta(days=1)
# Two days from the ends of the calendar: adding a UTC offset and a day to these cannot overflow.
_EARLIEST = dt.datetime(1, 1, 3, tzinfo=dt.UTC)
_LATEST = dt.datetime(9999, 12, 30, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What Airflow knows about a run. Any field may be absent; datetimes are aware.

    :param partition_date: a day, or the instant (UTC) at which the partition begins, as Airflow 3.3
        passes it. Airflow 3.2 and later.
    :param data_interval: start and end. A plain cron of Airflow 3 gives an interval of zero length,
        which counts as absent.
    :param event_windows: ``extra["window"]`` of every triggering asset event, unparsed; None for an
        event without one.
    :param logical_date: absent in manual and asset-triggered runs of Airflow 3.
    :param run_after: Airflow 3 only.
    :param started_at: when the run actually started.
    :param partition_key: if it is a date, it is the partition's date as the Dag author writes it.
        Airflow 3.2 and later.
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
    timezone: object,
    lookback_days: object = 0,
) -> Window:
    """Return the first and last local day of a run, both inclusive.

    The first source that is present decides: ``window_start`` and ``window_end``; the partition's
    date; a data interval longer than zero; the span of the triggering events' windows; yesterday.

    :param window_start: a date or datetime, or text of one, or a date as the number that native
        template rendering makes of it (20260401). None, ``""`` and ``"None"`` mean not given.
        Together with ``window_end`` either two dates (both inclusive) or two datetimes (the days
        that end in (start, end]). A datetime without a time zone is local.
    :param timezone: IANA name of the time zone in which days are counted, or a time zone object
        that has such a name.
    :param lookback_days: number of days to add before the first one; past days still change.
    :raises We360ConfigError: if an argument or a fact cannot be read; the message names it.
    :raises NoDayInInterval: if no local day ends in the interval.
    """
    return resolve_window_with_reason(
        facts,
        window_start=window_start,
        window_end=window_end,
        timezone=timezone,
        lookback_days=lookback_days,
    )[0]


def resolve_window_with_reason(
    facts: RunFacts,
    *,
    window_start: object,
    window_end: object,
    timezone: object,
    lookback_days: object,
) -> tuple[Window, str]:
    """Return what :func:`resolve_window` returns and, for the log, the source that decided it."""
    # All arguments are checked, also those that do not decide: a wrong one would surprise in
    # another run.
    zone = ZoneInfo(parse_timezone(timezone))
    days_back = parse_lookback(lookback_days)
    if (days := _explicit_window(window_start, window_end, zone)) is not None:
        reason = "window_start and window_end"
    elif (days := _partition_day(facts, zone)) is not None:
        reason = "the run's partition"
    elif (days := _days_of_data_interval(facts, zone)) is not None:
        reason = f"the run's data interval, {_interval_text(facts, zone)}"
    elif (days := _span_of_events(facts)) is not None:
        events = sum(raw is not None for raw in facts.event_windows)
        reason = f"the window of {events} triggering asset {'event' if events == 1 else 'events'}"
    else:
        days, reason = _yesterday(facts, zone)
    first, last = days
    try:
        window = first - dt.timedelta(days=days_back), last
    except OverflowError:
        raise We360ConfigError(
            f"lookback_days: {days_back:,} days before {first} is before the year 1; reduce it"
        ) from None
    if days_back:
        days_text = "1 day" if days_back == 1 else f"{days_back:,} days"
        reason += f"; and {days_text} before it (lookback_days)"
    return window, reason


def is_running(window: Window, *, now: dt.datetime, timezone: str) -> bool:
    """Return whether the window's last day has not ended yet, so that its rows will still change.

    :param now: the current time, aware.
    """
    return window[1] >= _unended_day(_utc(now, "now"), ZoneInfo(timezone))


def check_has_begun(window: Window, *, now: dt.datetime, timezone: str) -> None:
    """Raise if every day of the window lies in the future.

    Such a load would succeed with no rows, and the mistake (a wrong year, a wrong time zone) would
    go unnoticed.

    :param now: the current time, aware.
    :raises We360ConfigError: if the first day has not begun.
    """
    today = _utc(now, "now").astimezone(ZoneInfo(timezone)).date()
    if window[0] > today:
        raise We360ConfigError(
            f"window_start: the window {window[0]} to {window[1]} lies in the future (today is"
            f" {today} in {timezone}), so the report cannot hold rows; correct window_start and"
            " window_end, or the run's date"
        )


def day_end(day: dt.date, timezone: str) -> dt.datetime:
    """Return the instant (UTC) at which a local day ends: the first one of the next local date."""
    return dt.datetime.combine(day + _ONE_DAY, dt.time.min, ZoneInfo(timezone)).astimezone(dt.UTC)


def settles_at(day: dt.date, timezone: str, settle_hours: float) -> dt.datetime:
    """Return the instant (UTC) from which a local day counts as settled."""
    return day_end(day, timezone) + dt.timedelta(hours=settle_hours)


def _explicit_window(window_start: object, window_end: object, zone: ZoneInfo) -> Window | None:
    """Return the window that the arguments describe; None if neither is given."""
    start, end = parse_edge(window_start, "window_start"), parse_edge(window_end, "window_end")
    if start is None and end is None:
        return None
    if start is None or end is None:
        missing, other = (
            ("window_start", "window_end") if start is None else ("window_end", "window_start")
        )
        raise We360ConfigError(f"{missing}: not given, but {other} is; give both or neither")
    if isinstance(start, dt.datetime) and isinstance(end, dt.datetime):
        begin, stop = _utc(start, "window_start", zone), _utc(end, "window_end", zone)
        # Templates such as {{ data_interval_start }} give this in every run of Airflow 3; an empty
        # load would hide it.
        if begin == stop:
            raise We360ConfigError(
                "window_start, window_end: both are the same instant, as the data interval of a"
                " plain cron is in Airflow 3; leave both out, or give two dates"
            )
        return _ended_days(begin, stop, zone, "window_start")
    if isinstance(start, dt.datetime) or isinstance(end, dt.datetime):
        raise We360ConfigError(
            "window_start, window_end: one is a date, the other a datetime; give two dates or two"
            " datetimes"
        )
    if start > end:
        raise We360ConfigError(
            f"window_start: {start} is after window_end, {end}; give the earlier day first"
        )
    return start, end


def _partition_day(facts: RunFacts, zone: ZoneInfo) -> Window | None:
    """Return the partition's day; None if the run has no partition.

    Airflow 3.3 passes an instant: the partition that ``Asia/Kolkata`` calls 1 April begins on
    31 March in UTC. The partition's key holds the date that the Dag author means and is read first.
    """
    date, key = facts.partition_date, facts.partition_key
    if isinstance(date, dt.datetime) or date is None:
        named = _parse_text(key.strip()) if key else None
        if date is not None and key and named is None:
            raise We360ConfigError(
                f"partition_key: {foreign_text(key, 60)!r} does not name a single day; use a date"
                " (key_format='%Y-%m-%d'), or give window_start and window_end"
            )
        date = _midnight_day(date, zone) if date is not None and named is None else named
    return None if date is None else (_date_of(date), _date_of(date))


def _midnight_day(instant: dt.datetime, zone: ZoneInfo) -> dt.date:
    """Return the date whose midnight ``instant`` is: as written, else in ``zone``."""
    for reading in (instant, _utc(instant, "partition_date", zone).astimezone(zone)):
        if reading.time() == dt.time.min:
            return reading
    raise We360ConfigError(
        f"partition_date: {instant.isoformat()} is not midnight, in {zone.key} or as written, so it"
        " names no day; give window_start and window_end"
    )


def _days_of_data_interval(facts: RunFacts, zone: ZoneInfo) -> Window | None:
    """Return the days that end in the run's data interval; None if absent or of zero length."""
    if facts.data_interval is None:
        return None
    start, end = (_utc(edge, "data_interval") for edge in facts.data_interval)
    # Airflow 3 gives a plain cron an interval without length: it says nothing about days.
    return None if start == end else _ended_days(start, end, zone, "data_interval")


def _span_of_events(facts: RunFacts) -> Window | None:
    """Return the span of all triggering events' windows; None if no event has one."""
    windows = [_parse_event_window(raw) for raw in facts.event_windows if raw is not None]
    if not windows:
        return None
    # One load of the whole span, gaps included: loading a day again is harmless, leaving one out is
    # not.
    return min(first for first, _ in windows), max(last for _, last in windows)


def _parse_event_window(raw: object) -> Window:
    """Return the window of one event: two ISO dates, the first not after the last."""
    if isinstance(raw, list | tuple):
        match [
            _parse_text(edge) if isinstance(edge, str) and _DAY.fullmatch(edge) else None
            for edge in raw
        ]:
            case [dt.date() as first, dt.date() as last] if first <= last:
                return first, last
    raise We360ConfigError(
        "extra['window'] of a triggering asset event: expected [first day, last day] as ISO dates,"
        f" got {foreign_text(raw, 80)}; correct the Dag that sends it, or give window_start and"
        " window_end"
    )


def _interval_text(facts: RunFacts, zone: ZoneInfo) -> str:
    """Return the data interval in local time, for the log."""
    edges = [_utc(edge, "data_interval").astimezone(zone) for edge in facts.data_interval or ()]
    return " to ".join(edge.isoformat(sep=" ", timespec="minutes") for edge in edges)


def _yesterday(facts: RunFacts, zone: ZoneInfo) -> tuple[Window, str]:
    """Return the local day before the run's own date, and which of its dates that was."""
    moments = {
        "logical_date": facts.logical_date,
        "run_after": facts.run_after,
        "started_at": facts.started_at,
    }
    # In this order: a run that is cleared and run again has the same logical date, but another
    # start.
    for name, moment in moments.items():
        if moment is not None:
            local = _utc(moment, name).astimezone(zone)
            day = _day_before(local.date(), zone)
            at = local.isoformat(sep=" ", timespec="minutes")
            return (day, day), f"yesterday, as of {name} {at}"
    raise We360ConfigError(
        "window_start, window_end: not given, and the run has no date to derive a window from;"
        " give both"
    )


def _ended_days(start: dt.datetime, end: dt.datetime, zone: ZoneInfo, name: str) -> Window:
    """Return the days that end in (start, end]; both are in UTC."""
    begin, stop = (edge.astimezone(zone).isoformat(sep=" ") for edge in (start, end))
    if start > end:
        raise We360ConfigError(f"{name}: the interval ends before it starts, {begin} to {stop}")
    first, after = _unended_day(start, zone), _unended_day(end, zone)
    if first == after:
        raise NoDayInInterval(
            f"No day of {zone.key} ends between {begin} and {stop}: nothing to load. Each day is"
            " loaded once, by the run whose interval contains the end of that day. To load whole"
            " days, give window_start and window_end as dates"
        )
    return first, _day_before(after, zone)


def _unended_day(instant: dt.datetime, zone: ZoneInfo) -> dt.date:
    """Return the earliest local day that has not ended at ``instant``."""
    today = instant.astimezone(zone).date()
    tomorrow = today + _ONE_DAY
    # If clocks go back across midnight, tomorrow has begun once and the clock shows today again.
    # Today has ended all the same: a day ends once.
    begun = dt.datetime.combine(tomorrow, dt.time.min, zone).astimezone(dt.UTC) <= instant
    return tomorrow if begun else today


def _day_before(day: dt.date, zone: ZoneInfo) -> dt.date:
    """Return the local day before ``day``: two dates earlier if the zone skipped one."""
    midnight = dt.datetime.combine(day, dt.time.min, zone)
    # The earlier reading of the two folds: the first midnight if it occurs twice, the instant
    # before the gap if it is skipped.
    earliest = min(midnight.replace(fold=fold).astimezone(dt.UTC) for fold in (0, 1))
    return (earliest - dt.datetime.resolution).astimezone(zone).date()


def parse_edge(value: object, argument: str) -> dt.date | dt.datetime | None:
    """Return the value of ``window_start`` or ``window_end``; None if it is not given.

    :raises We360ConfigError: if it is neither a date nor a datetime, nor text of one.
    """
    if value is None:
        return None
    if isinstance(value, dt.datetime):
        return _without_pendulum(value)
    if isinstance(value, dt.date):
        return _date_of(value)
    if isinstance(value, int) and not isinstance(value, bool):
        # render_template_as_native_obj=True turns "20260401" into a number.
        if (parsed := _parse_text(str(value))) is not None:
            return parsed
        raise We360ConfigError(
            f"{argument}: the number {foreign_text(value, 40)} is not a date; template rendering"
            ' makes numbers of digits, so write the date with dashes, such as "{{ ds }}"'
        )
    if not isinstance(value, str):
        raise We360ConfigError(
            f"{argument}: expected a date or a datetime, got {type(value).__name__}"
        )
    text = value.strip()
    if text in {"", "None"}:
        return None
    parsed = _parse_text(text)
    if parsed is None:
        raise We360ConfigError(
            f"{argument}: cannot read {foreign_text(text, 60)!r}; write a date (2026-04-01) or a"
            " datetime (2026-04-01T18:30+00:00)"
        )
    return parsed


def _parse_text(text: str) -> dt.date | dt.datetime | None:
    """Return the date or datetime of ISO text; None if it is neither. Weeks are not supported."""
    try:
        if _DAY.fullmatch(text):
            return dt.date.fromisoformat(text)
        if _MOMENT.fullmatch(text):
            return dt.datetime.fromisoformat(text)
    except ValueError:
        pass
    return None


def _without_pendulum(value: dt.datetime) -> dt.datetime:
    """Return a plain datetime: pendulum's arithmetic has rules of its own around midnight."""
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
    """Return the date as written, without a conversion between time zones."""
    return dt.date(value.year, value.month, value.day)


def _utc(moment: dt.datetime, name: str, local: ZoneInfo | None = None) -> dt.datetime:
    """Return the instant in UTC.

    Instants are compared in UTC only: within one zone Python compares wall clocks and ignores
    ``fold``, so two different instants can be equal.
    """
    plain = _without_pendulum(moment)
    if plain.utcoffset() is None:
        if local is None:
            raise We360ConfigError(
                f"{name}: {plain.isoformat()} has no time zone; pass an aware datetime"
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


def parse_timezone(value: object) -> str:
    """Return the IANA name of a time zone.

    :param value: its name, or a time zone object that has one: ``zoneinfo.ZoneInfo``,
        ``pendulum.timezone(...)``, ``datetime.timezone.utc``.
    :raises We360ConfigError: if there is no such time zone, or the object has only an offset.
    """
    name = value
    if isinstance(value, dt.tzinfo):
        # ZoneInfo and pendulum name it key, pytz zone; a fixed offset has no such name.
        name = getattr(value, "key", None) or getattr(value, "zone", None)
        name = "UTC" if value is dt.UTC else name
        if name is None:
            raise We360ConfigError(
                f"timezone: expected the IANA name of a time zone, got a fixed offset"
                f" ({foreign_text(value, 60)}), which does not follow daylight saving; write a name"
                " such as 'Asia/Kolkata'"
            )
    elif isinstance(value, str) and (match := _PENDULUM_ZONE.fullmatch(value.strip())):
        name = match[1]
    try:
        return ZoneInfo(name).key  # type: ignore[arg-type]
    except (KeyError, ValueError, OSError, TypeError, AttributeError):
        raise We360ConfigError(
            f"timezone: there is no time zone {foreign_text(name, 60)!r}; write an IANA name such"
            " as 'Asia/Kolkata'"
        ) from None


def parse_lookback(value: object) -> int:
    """Return ``lookback_days`` as a number; 0 if it is not given (None or empty text).

    :raises We360ConfigError: if it is not a whole number of days, 0 or more.
    """
    if value is None or (isinstance(value, str) and value.strip() in {"", "None"}):
        return 0
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and _COUNT.fullmatch(value.strip()):
        return int(value)
    raise We360ConfigError(
        "lookback_days: expected a whole number of days, 0 or more, got"
        f" {foreign_text(repr(value), 60)}"
    )
