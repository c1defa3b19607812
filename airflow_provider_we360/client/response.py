"""ReportPage: the rows of one answer, and what the server says about them.

Only rows count as data. What the server says about its answer can contradict (a total that does not
match, any sign of more, an error mark) but never proves that the rows are complete: a server that
truncates usually counts what is left. An answer without an understood success shape is no data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from airflow_provider_we360.client.envelope import split_envelope
from airflow_provider_we360.errors import (
    AccessDenied,
    RequestRejected,
    RetryableApiError,
    We360ApiError,
)
from airflow_provider_we360.redaction import foreign_text
from airflow_provider_we360.rows.decode import NotJson, RowDecoder
from airflow_provider_we360.transport.messages import explain_web_page
from airflow_provider_we360.transport.retry import parse_retry_after

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_provider_we360.client.envelope import Fields

_TRANSIENT = (408, 425, 429)
_REQUEST_IDS = ("x-request-id", "x-correlation-id", "x-amzn-requestid", "cf-ray")
# A row of all known columns takes a few kilobytes at most.
_LONGEST_ROW = 65_536

# Names are compared in lower case without "_" and "-": has_next, hasNext and has-next are one name.
_TOTAL = re.compile(r"total(records|count|rows|items|elements|results|size)?|recordstotal")
_HAS_NEXT = re.compile(r"hasnext(page)?|hasmore|more")
_PAGES = re.compile(r"totalpages|pages|pagecount|lastpage")
_NEXT = re.compile(r"next.*")
_IN_PART = re.compile(r"(is)?(truncated|partial|incomplete)|remaining")
_PLAIN = re.compile(
    r"data|pagination|meta|page|limit|currentpage|perpage|pagesize|hasprev.*|prev.*"
)
_SUCCESS = re.compile(r"(is)?(status|success(ful)?|ok|succeeded|result|state|type)")
_FAILURE = re.compile(r"(has|is)?(error.*|fault|exception|failed|failure)")
_CODE = re.compile(r"status|code|statuscode|errorcode")
_MESSAGE = re.compile(r"message|msg|detail|description|reason")
_MEANINGFUL = re.compile(
    "|".join(
        f"(?:{pattern.pattern})"
        for pattern in (
            *(_TOTAL, _HAS_NEXT, _PAGES, _NEXT, _IN_PART, _PLAIN),
            *(_SUCCESS, _FAILURE, _CODE, _MESSAGE),
        )
    )
)
"""Any of these names: all others are passed over at once."""
_GOOD = frozenset(
    ["true", "ok", "success", "successful", "succeeded", "done", "complete", "completed", "1"]
)
_BAD = frozenset(
    ["false", "0", "error", "fail", "failed", "failure", "partial", "incomplete", "truncated"]
)
_NOTHING = frozenset(["none", "null", "no", "false", "0", ""])
# "error": true and "error": 1 are failures, although the same words mean success elsewhere.
_NO_ERROR = _GOOD - {"1", "true"} | _NOTHING
_DENIED = frozenset(["forbidden", "access denied", "denied"])
_VALIDATION_CODE = re.compile(r"validation|invalid", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ReportPage:
    """A successful answer.

    :param rows: the rows, typed.
    :param total: the number of all rows, as the server says; None if it does not.
    :param has_next: whether it says that another page follows; None if it does not.
    :param more: names of the fields that say that these are not all rows, ``has_next`` included.
    :param given: the columns of the received rows; None if there are no rows.
    :param unknown: names of envelope fields that this client does not know, in the server's spelling.
    """

    rows: pa.RecordBatch
    total: int | None
    has_next: bool | None
    more: tuple[str, ...] = ()
    given: frozenset[str] | None = None
    unknown: frozenset[str] = frozenset()

    @property
    def has_more(self) -> bool:
        """Whether anything in the answer says that these are not all rows."""
        return self.has_next is True or bool(self.more)

    @property
    def says_end(self) -> bool:
        """Whether the answer says itself that nothing follows its rows."""
        return not self.has_more and (self.has_next is False or self.total == self.rows.num_rows)


class Refused(RequestRejected):
    """The server refused the request for a reason that the caller must remove."""

    def __str__(self) -> str:
        return f"{super().__str__()}; {self.remedy}"


class Declined(RetryableApiError):
    """The server refused the request for a reason that this client does not know: it may pass."""

    remedy = "give the task retries; if the message stays, ask We360 support about it"


class DeclinedAtGateway(Declined):
    """Something in front of the API declined, or the API did for a while: fewer rows are no cure."""


class TooLarge(Declined):
    """HTTP 413, or more bytes than may be held in memory: request less at once."""

    remedy = "load fewer columns, or fewer people at once by a filter"


def parse_response(response: httpx.Response, decoder: RowDecoder, number: int = 1) -> ReportPage:
    """Return the page of an answer whose body has been read.

    :param number: number of the page that was requested.
    :raises RetryableApiError: trouble of the server, or an answer that is not understood.
        :class:`Declined` if it is a refusal without a known reason.
    :raises Refused: a validation error of the server, with its message, also if it has HTTP status 200.
    :raises AccessDenied: HTTP 403 with a reason from the API itself.
    :raises ValueDoesNotFit: from the decoder.
    """
    facts: dict[str, Any] = {"status": response.status_code, "request_id": _request_id(response)}
    # Before the status: the live API reports errors with status 200, and rows never with an error
    # status.
    fields = split_envelope(response.content)
    if not response.is_success:
        raise _http_error(response, fields, facts)
    if fields is None:
        raise RetryableApiError(_not_json(response), **facts)
    envelope = _read_envelope(fields, number)
    if envelope.failure is not None:
        raise _error_in_answer(envelope, fields, facts)
    if "data" not in fields:
        names = ", ".join(foreign_text(name, 40) for name in sorted(fields)[:12])
        raise RetryableApiError(
            f"The answer has no field 'data' (its fields: {names or 'none'})", **facts
        )
    data = bytes(fields["data"])
    # Some servers write null for an empty list, others for "not available".
    if data == b"null" and envelope.total != 0:
        raise RetryableApiError(
            "The answer's 'data' is null, and no total says that there are no rows", **facts
        )
    try:
        rows = decoder.decode(b"[]" if data == b"null" else data)
    except NotJson as error:
        raise RetryableApiError(str(error), **facts) from None
    more = tuple(envelope.more)
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        more = (*more, "HTTP 206")
    given = _given(rows, data)
    unknown = frozenset(envelope.unknown)
    page = ReportPage(rows, envelope.total, envelope.has_next, more, given, unknown)
    # With rows, an unknown status is ignored: they are there. Without rows, it may be the reason.
    if rows.num_rows == 0 and envelope.is_doubtful:
        raise Declined(f"The answer has no rows, and {_status(fields)} is no success", **facts)
    if rows.num_rows == 0 and envelope.message and not (envelope.is_success or page.says_end):
        # A message instead of rows is an error in another spelling until the server says otherwise.
        raise Declined(f"The answer has no rows but a message: {_message(fields)}", **facts)
    return page


@dataclass(slots=True)
class _Envelope:
    page: int
    total: int | None = None
    has_next: bool | None = None
    # Changed in place: an answer may have hundreds of thousands of fields.
    more: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    is_success: bool = False
    is_doubtful: bool = False
    """Whether its status is a word that this client does not know."""
    message: bool = False
    failure: int | None = None
    """HTTP-like code of an error that the envelope reports, 0 if it has no code; None: no error."""


def _read_envelope(fields: Fields, page: int) -> _Envelope:
    found = _Envelope(page)
    for name, value in _metadata(fields):
        if value not in (None, "", [], {}):  # which say nothing
            key = name.lower().replace("_", "").replace("-", "")
            if not _MEANINGFUL.fullmatch(key):
                is_known = isinstance(value, dict)  # its fields are judged one by one
            else:
                is_known = _read_status(found, key, value) or _read_count(found, key, name, value)
            if not is_known:
                found.unknown.add(name)
    return found


def _read_status(found: _Envelope, key: str, value: Any) -> bool:
    """Note whether a field says success or failure; False if it says neither."""
    number, word = _whole_number(value), str(value).strip().casefold()
    # An HTTP status inside of the body outranks words like "success" next to it.
    if _CODE.fullmatch(key) and number is not None and number >= 400:
        found.failure = number
    elif _FAILURE.fullmatch(key):
        if word not in _NO_ERROR:
            found.failure = found.failure or 0
    elif _MESSAGE.fullmatch(key):
        found.message = True
    elif not _SUCCESS.fullmatch(key) or isinstance(value, dict):
        return False
    elif word in _BAD:
        found.failure = found.failure or 0
    elif word in _GOOD or (number is not None and 200 <= number < 300):
        found.is_success = True
    else:
        found.is_doubtful = True
        return False
    return True


def _read_count(found: _Envelope, key: str, name: str, value: Any) -> bool:
    """Note what a field says about the number of rows or pages; False if it is unknown."""
    number, truth = _whole_number(value), _truth(value)
    if _TOTAL.fullmatch(key):
        found.total = number if found.total is None else found.total
    elif _HAS_NEXT.fullmatch(key):
        # Of two that differ, the one that says more wins.
        found.has_next = found.has_next or truth if truth is not None else found.has_next
    elif _is_sign_of_more(found.page, key, number, str(value).strip().casefold()):
        found.more.append(name)
    else:
        return isinstance(value, dict) or _is_known(key)
    return True


def _is_sign_of_more(page: int, key: str, number: int | None, word: str) -> bool:
    if _PAGES.fullmatch(key):
        return number is not None and number > page
    return bool(_NEXT.fullmatch(key) or _IN_PART.fullmatch(key)) and word not in _NOTHING


def _is_known(key: str) -> bool:
    known = (_PLAIN, _PAGES, _NEXT, _IN_PART)
    return any(pattern.fullmatch(key) for pattern in known)


def _metadata(fields: Fields) -> Iterator[tuple[str, Any]]:
    """Yield all fields but the rows, first those one level down: an object's own fields go first."""
    top = {name: _value(raw) for name, raw in fields.items() if name != "data"}
    for value in top.values():
        if isinstance(value, dict):
            yield from ((str(name), inner) for name, inner in value.items())
    yield from top.items()


def _error_in_answer(envelope: _Envelope, fields: Fields, facts: dict[str, Any]) -> We360ApiError:
    """Return the error that came with HTTP 200, as the live API sends them."""
    message = _message(fields) or "no reason given"
    code = envelope.failure or 0
    if code in _TRANSIENT or code >= 500:
        return RetryableApiError(f"The API is in trouble: {message}", **facts)
    return _refusal(f"We360 refused the request: {message}", fields, facts)


def _refusal(text: str, fields: Fields, facts: dict[str, Any]) -> We360ApiError:
    # Only these codes are known to mean that the request itself is wrong; anything else may pass.
    codes = (
        _value(raw) for name, raw in fields.items() if name.lower() in ("error_code", "errorcode")
    )
    if any(_VALIDATION_CODE.search(str(code)) for code in codes):
        return Refused(text, **facts)
    return Declined(text, **facts)


def _http_error(
    response: httpx.Response, fields: Fields | None, facts: dict[str, Any]
) -> We360ApiError:
    status = response.status_code
    said = _message(fields) if fields else explain_web_page(response)
    words = f": {said}" if said else ""
    # First of all: also a proxy or gateway in front of the API passes through trouble that ends by
    # itself.
    if status in _TRANSIENT or status >= 500:
        return RetryableApiError(
            f"The API is in trouble{words}",
            retry_after_s=parse_retry_after(response.headers),
            **facts,
        )
    if said and not fields and status != httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return DeclinedAtGateway(f"Received {said}", **facts)  # not We360's refusal
    if status == httpx.codes.UNAUTHORIZED:
        return DeclinedAtGateway(
            f"The API rejected a token that was just renewed{words}; if this stays, check "
            "API URL (host), Customer ID (extra customer_id) and Login server (extra auth_url)",
            **facts,
        )
    if status == httpx.codes.FORBIDDEN:
        has_reason = bool(fields and said) and str(said).casefold() not in _DENIED
        return _forbidden(words, facts, has_reason=has_reason)
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return TooLarge(f"The answer would be too large for the server{words}", **facts)
    if response.is_redirect:
        return DeclinedAtGateway(
            "The API answered with a redirect, which is never followed; if this stays, check "
            "API URL (host) of the Connection",
            **facts,
        )
    if status == httpx.codes.NOT_FOUND and fields is None:
        return DeclinedAtGateway(
            "There is no such report at this host; if this stays, check API URL (host) of the "
            "Connection",
            **facts,
        )
    return _refusal(f"We360 refused the request{words}", fields or {}, facts)


def _forbidden(words: str, facts: dict[str, Any], *, has_reason: bool) -> We360ApiError:
    """Return the error of HTTP 403; a reason means that the API itself judged the account.

    A firewall or gateway in front of the API denies without a reason of its own, and often only
    for a while.
    """
    return (AccessDenied if has_reason else DeclinedAtGateway)(
        f"The account may not read this report{words}; ask a We360 administrator for a role "
        "that includes reports, and check Customer ID (extra customer_id)",
        **facts,
    )


def _not_json(response: httpx.Response) -> str:
    if not response.content:
        return "The answer is empty"
    if (page := explain_web_page(response)) is not None:
        return f"Received {page}"
    return "The answer is no JSON: cut off, or changed on the way"


def _message(fields: Fields) -> str | None:
    """Return the server's own words, safe to show; None if it gives none."""
    parts = []
    for name in fields:
        key = name.lower().replace("_", "")
        if not (_MESSAGE.fullmatch(key) or _FAILURE.fullmatch(key)):
            continue
        if (value := _value(fields[name])) not in (None, "", True, False):
            parts.append(value if isinstance(value, str) else msgspec.json.encode(value).decode())
    return foreign_text("; ".join(dict.fromkeys(parts))) or None


def _status(fields: Fields) -> str:
    words = (f"{name}={_value(raw)!r}" for name, raw in fields.items() if name.lower() == "status")
    return foreign_text(next(words, "its status"), 80)


def _given(rows: pa.RecordBatch, data: bytes) -> frozenset[str] | None:
    """Return the columns of the first row, and those requested that any row has.

    A server may leave a field out of a row that has no value for it.
    """
    if rows.num_rows == 0:
        return None
    begin = data.find(b"{")
    names = _names(data[begin : data.find(b"}", begin) + 1]) or _names(
        data[begin : begin + _LONGEST_ROW]
    )
    columns = zip(rows.schema.names, rows.columns, strict=True)
    return names.union(
        name
        for name, column in columns
        if column.null_count < rows.num_rows or f'"{name}"'.encode() in data
    )


def _names(text: bytes) -> frozenset[str]:
    """Return the names of the object that a text begins with; none if it holds no whole one."""
    try:
        return frozenset(json.JSONDecoder().raw_decode(text.decode(errors="replace"))[0])
    except (ValueError, RecursionError):
        return frozenset()


def _request_id(response: httpx.Response) -> str | None:
    found = (response.headers[name] for name in _REQUEST_IDS if name in response.headers)
    return next((foreign_text(one, 80) for one in found), None)


def _value(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _whole_number(value: object) -> int | None:
    # True is an int in Python. Numbers in quotes are common.
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(str(value).strip())
    except ValueError:
        return None
    return int(number) if number.is_integer() and number >= 0 else None


def _truth(value: object) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False}.get(str(value).strip().lower())
