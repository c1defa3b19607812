"""What the API answered: rows, and what it says of their number. An error that comes with HTTP 200 is found here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from airflow_provider_we360.errors import (
    AccessDenied,
    RequestRejected,
    RetryableApiError,
    We360ApiError,
    foreign_text,
)
from airflow_provider_we360.rows.decode import NotJson, RowDecoder
from airflow_provider_we360.transport.retry import parse_retry_after

if TYPE_CHECKING:
    import pyarrow as pa

# The names of the page metadata are not documented: these are read, whatever their case and underscores.
_TOTAL = (
    "totalrecords",
    "total",
    "totalcount",
    "totalrows",
    "totalitems",
    "totalelements",
    "recordstotal",
    "totalresults",
)
_HAS_NEXT = ("hasnext", "hasnextpage", "hasmore")
_GOOD_WORDS = frozenset(
    [
        "true",
        "ok",
        "success",
        "successful",
        "succeeded",
        "done",
        "complete",
        "completed",
        "none",
        "null",
        "no",
        "0",
    ]
) | {""}
_BAD_WORDS = frozenset(
    [
        "false",
        "error",
        "fail",
        "failed",
        "failure",
        "nok",
        "ko",
        "exception",
        "denied",
        "unauthorized",
        "forbidden",
    ]
)
_PASSING_WORDS = re.compile(
    r"too many requests|rate.?limit|unavailable|timed? ?-?out|try again|temporar|overload|maintenance",
    re.IGNORECASE,
)
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_CODES = ("status", "code", "statusCode", "status_code", "error_code", "errorCode")
_LONGEST_ROW = 65_536
_ROWS = b"0.0360"
"""Stands for the rows while what is around them is read."""
_REQUEST_IDS = ("x-request-id", "x-correlation-id", "x-amzn-requestid", "cf-ray")


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer.

    :param rows: the rows, typed.
    :param total: how many rows there are in all, as the server says; None where it does not.
    :param has_next: whether it says that another page follows; None where it does not.
    :param given: columns that the rows came with; None where there are no rows to tell it.
    """

    rows: pa.RecordBatch
    total: int | None
    has_next: bool | None
    given: frozenset[str] | None = None


class Refused(RequestRejected):
    """The server refused the request as it was. :class:`TooLarge` where a smaller page may do."""

    def __str__(self) -> str:
        return f"{super().__str__()}; {self.remedy}"


class TooLarge(Refused):
    """HTTP 413, or more bytes than may be held in memory: ask for less at once."""

    remedy = "load fewer columns, or fewer people at once by a filter"


def parse_answer(response: httpx.Response, decoder: RowDecoder) -> Answer:
    """The rows of an answer whose body has been read.

    :raises RetryableApiError: trouble of the server, or an answer that is no JSON, or cut off.
    :raises Refused: the server's own refusal, with its message; also where it comes with HTTP 200.
    :raises AccessDenied: 401 or 403.
    :raises ValueDoesNotFit: from the decoder.
    """
    facts: dict[str, Any] = {"status": response.status_code, "request_id": _request_id(response)}
    fields = _fields(response.content)
    if not response.is_success:
        raise _refusal(response, fields, facts)
    if fields is None:
        raise RetryableApiError(_not_json(response), **facts)
    _raise_error_inside(fields, facts)
    if "data" not in fields:
        names = ", ".join(foreign_text(name, 40) for name in sorted(fields)[:12])
        raise RetryableApiError(
            f"the answer holds no 'data' (its fields: {names or 'none'})", **facts
        )
    metadata = dict(_metadata(fields))
    total = _first(metadata, _TOTAL, _whole_number)
    data = bytes(fields["data"])
    if data == b"null" and total != 0:
        raise RetryableApiError(
            "the answer's 'data' is null, and no total says that there are no rows", **facts
        )
    try:
        rows = decoder.decode(b"[]" if data == b"null" else data)
    except NotJson as error:
        raise RetryableApiError(str(error), **facts) from None
    return Answer(rows, total, _first(metadata, _HAS_NEXT, _truth), _given(rows, data))


def _given(rows: pa.RecordBatch, data: bytes) -> frozenset[str] | None:
    """The columns of the first row, and those asked for that any row has: a server may leave out what is null."""
    if rows.num_rows == 0:
        return None
    begin = data.find(b"{")
    names = _names(data[begin : data.find(b"}", begin) + 1]) or _names(
        data[begin : begin + _LONGEST_ROW]
    )
    told = zip(rows.schema.names, rows.columns, strict=True)
    return names.union(
        name
        for name, column in told
        if column.null_count < rows.num_rows or f'"{name}"'.encode() in data
    )


def _names(text: bytes) -> frozenset[str]:
    """The names of the object that a text begins with; none where it holds no whole one."""
    try:
        return frozenset(json.JSONDecoder().raw_decode(text.decode(errors="replace"))[0])
    except (ValueError, RecursionError):
        return frozenset()


def _request_id(response: httpx.Response) -> str | None:
    found = next(
        (response.headers[name] for name in _REQUEST_IDS if name in response.headers), None
    )
    return None if found is None else foreign_text(found, 80)


def _fields(content: bytes) -> Mapping[str, msgspec.Raw] | None:
    """The top-level fields, unread; None where the body is no JSON object."""
    return _fields_around_rows(content) or _raw_fields(content) or _fields_of_a_dialect(content)


def _fields_around_rows(content: bytes) -> Mapping[str, msgspec.Raw] | None:
    """As ``_fields``, of an answer whose rows are flat, without looking through them; None where that cannot be told.

    Between the first bracket before an object and the last one behind one stand the rows, if no other bracket does, and if
    what is around is an object in whose ``data`` they stand.
    """
    begin, end = content.find(b"[{"), content.rfind(b"}]") + 2
    if not 0 <= begin < end:
        return None
    before, after = content[:begin], content[end:]
    if (
        content.find(b"[", begin + 1, end) >= 0
        or content.find(b"]", begin, end - 1) >= 0
        or _ROWS in before
        or _ROWS in after
    ):
        return None
    fields = _raw_fields(before + _ROWS + after)
    if fields is None or bytes(fields.get("data", b"")) != _ROWS:
        return None
    return {**fields, "data": msgspec.Raw(memoryview(content)[begin:end])}


def _raw_fields(content: bytes) -> dict[str, msgspec.Raw] | None:
    try:
        return msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _fields_of_a_dialect(content: bytes) -> Mapping[str, msgspec.Raw] | None:
    """As ``_fields``, of what is whole but not by the letter: NaN, lone surrogates, UTF-16, a mark of the byte order.

    So the decoder can name the column and row of a NaN, where all else would say that the answer was cut off.
    """
    try:
        fields = json.loads(content)
        if not isinstance(fields, dict):
            return None
        return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()}
    except (ValueError, RecursionError):
        return None


def _refusal(
    response: httpx.Response, fields: Mapping[str, msgspec.Raw] | None, facts: dict[str, Any]
) -> We360ApiError:
    status = response.status_code
    said = _message(fields) if fields else None
    words = f": {said}" if said else ""
    if status == httpx.codes.UNAUTHORIZED:
        return AccessDenied(
            f"the API refuses a token that was just renewed{words}; check Host, extra customer_id and auth_url",
            **facts,
        )
    if status == httpx.codes.FORBIDDEN:
        return AccessDenied(
            f"the account may not read this report{words}; ask a We360 administrator for a role that sees reports, "
            "and check extra customer_id",
            **facts,
        )
    if status in _PASSING:
        return RetryableApiError(
            f"the API is in trouble{words}",
            retry_after_s=parse_retry_after(response.headers),
            **facts,
        )
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return TooLarge(f"the answer would be too large for the server{words}", **facts)
    if response.is_redirect:
        return RequestRejected(
            "the API answers with a redirect, which is never followed; check Host of the Connection",
            **facts,
        )
    if status == httpx.codes.NOT_FOUND and fields is None:
        return RequestRejected(
            "there is no such report at this Host; check Host of the Connection", **facts
        )
    if status >= 500:
        return RetryableApiError(f"the API is in trouble{words}", **facts)
    return Refused(f"We360 refused the request{words}", **facts)


def _not_json(response: httpx.Response) -> str:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not response.content:
        return "the answer is empty"
    if "html" in kind or response.content.lstrip()[:1] == b"<":
        return (
            "the answer is a web page, not JSON: Host of the Connection is no API, "
            "or a proxy, firewall or maintenance page answers in its place"
        )
    return "the answer is no JSON: cut off, or changed on the way"


def _raise_error_inside(fields: Mapping[str, msgspec.Raw], facts: dict[str, Any]) -> None:
    """Raises the error that came with HTTP 200, as the live API sends them, however it is marked."""
    codes = [
        number
        for name in _CODES
        if name in fields and (number := _whole_number(_value(fields[name]))) is not None
    ]
    failing = next((number for number in codes if number >= httpx.codes.BAD_REQUEST), None)
    if failing is None and not _says_error(fields):
        return
    message = _message(fields) or "no reason given"
    if failing in _PASSING or (failing is None and _PASSING_WORDS.search(message)):
        raise RetryableApiError(f"the API is in trouble: {message}", **facts)
    raise Refused(f"We360 refused the request: {message}", **facts)


def _says_error(fields: Mapping[str, msgspec.Raw]) -> bool:
    for name in ("status", "success", "ok"):
        value = _value(fields[name]) if name in fields else None
        word = value.strip().casefold() if isinstance(value, str) else None
        if value is False or word in _BAD_WORDS:
            return True
        is_unknown = word is not None and word not in _GOOD_WORDS and _whole_number(word) is None
        if is_unknown and bytes(fields.get("data", b"null")) in (b"null", b"[]", b"{}"):
            return True
    marks = [
        _value(fields[name])
        for name in ("error", "errors", "error_code", "errorCode")
        if name in fields
    ]
    return any(mark and str(mark).strip().casefold() not in _GOOD_WORDS for mark in marks)


def _message(fields: Mapping[str, msgspec.Raw]) -> str | None:
    parts = []
    for name in ("message", "error", "detail", "errors", "error_code", "errorCode"):
        if name in fields and (value := _value(fields[name])) not in (None, "", True, False):
            parts.append(value if isinstance(value, str) else msgspec.json.encode(value).decode())
    return foreign_text("; ".join(dict.fromkeys(parts))) or None


def _value(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _metadata(fields: Mapping[str, msgspec.Raw]) -> Iterator[tuple[str, Any]]:
    """All that stands beside the rows, one level deep, names folded; an object's own fields go before top-level ones."""
    top = {name: _value(raw) for name, raw in fields.items() if name != "data"}
    for scope in (top, *(value for value in top.values() if isinstance(value, dict))):
        for name, value in scope.items():
            if not isinstance(value, dict | list):
                yield str(name).lower().replace("_", "").replace("-", ""), value


def _first(metadata: Mapping[str, Any], names: tuple[str, ...], read: Any) -> Any:
    return next((value for name in names if (value := read(metadata.get(name))) is not None), None)


def _whole_number(value: object) -> int | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(str(value).strip())
    except ValueError:
        return None
    return int(number) if number.is_integer() and number >= 0 else None


def _truth(value: object) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False}.get(str(value).strip().lower())
