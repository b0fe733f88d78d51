"""``ocpi-emsp quote``: what a charge would cost, before it starts."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from ocpi_emsp.cli import output
from ocpi_emsp.cli.audit_given import objects_of, usable_readings, usable_zone
from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.inputs import require_readable_once
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.spreadsheet import CsvWriter, safe
from ocpi_emsp.codec import decode, wire_time
from ocpi_emsp.models import Location, Tariff
from ocpi_emsp.pricing import Line, Plan, Quote
from ocpi_emsp.pricing.documents import quote
from ocpi_emsp.pricing.result import text
from ocpi_emsp.report import quote_to_html, quote_to_markdown, quote_to_text

LONGEST = timedelta(days=366)
"""Longest charge, and longest parking after it: a longer one is a mistake."""
COLUMNS = (
    "dimension", "from", "to", "measured", "billed", "unit", "price", "step_size", "cost", "low", "high", "tariff_id",
    "element", "component", "why",
)  # fmt: skip
"""Columns of the CSV: a row for each line, then the total."""


def run(arguments: Arguments) -> int:
    """Print the quote; return 0 if the amount is known, 1 if only its bounds are."""
    require_readable_once([arguments.tariff, *([arguments.location] if arguments.location else [])])
    readings, zone = usable_readings(arguments.settings), usable_zone(arguments.time_zone)
    plan = _plan(arguments)
    tariff = _tariff(objects_of("TARIFF", arguments.tariff, Tariff), arguments)
    found = quote(tariff, plan, location=_location(arguments.location), readings=readings, time_zone=zone)
    with output.to_file(arguments.output):
        _print(found, arguments.format)
        output.flush()
    return 0 if found.total is not None else 1


def _plan(arguments: Arguments) -> Plan:
    """Return the planned charge. Raises Usage."""
    try:
        return Plan(
            start=arguments.start,
            energy_kwh=arguments.kwh,
            charging=_duration("--minutes", arguments.minutes),
            parking=_duration("--parking-minutes", arguments.parking_minutes),
            power_kw=arguments.power,
        )
    except ValueError as error:
        raise Usage(str(error)) from None


def _duration(option: str, minutes: Decimal) -> timedelta:
    longest = LONGEST // timedelta(minutes=1)
    if minutes > longest:
        raise Usage(f"{option}: invalid number '{minutes}': expected at most {longest} minutes, for example 90")
    return timedelta(seconds=int(minutes * 60))


def _tariff(tariffs: list[bytes], arguments: Arguments) -> bytes:
    """Return the selected tariff. Raises Usage if the file has several."""
    named = {document: decode(Tariff, document).id for document in tariffs}
    if arguments.tariff_id is not None:
        tariffs = [document for document in tariffs if named[document] == arguments.tariff_id]
    if len(tariffs) == 1:
        return tariffs[0]
    ids = list(named.values())
    shown = f"{', '.join(ids[:10])}{f' and {len(ids) - 10} more' if len(ids) > 10 else ''}"
    if tariffs:
        raise Usage(f"{arguments.tariff} holds {len(tariffs)} tariffs: set --tariff-id to one of {shown}")
    raise Usage(f"--tariff-id: {arguments.tariff} holds no tariff '{arguments.tariff_id}': expected one of {shown}")


def _location(path: str | None) -> bytes | None:
    if path is None:
        return None
    found = objects_of("--location", path, Location)
    if len(found) > 1:
        raise Usage(f"--location: {path} holds {len(found)} locations: expected one")
    return found[0]


# --- output ---------------------------------------------------------------------------------------------------------


def _print(found: Quote, form: str) -> None:
    match form:
        case "json":
            output.write_json(found.as_json())
        case "csv":
            _write_csv(found)
        case "markdown":
            output.write(quote_to_markdown(found))
        case "html":
            output.write(quote_to_html(found))
        case _:
            output.write(quote_to_text(found, width=max(output.width(), 40)))


def _write_csv(found: Quote) -> None:
    writer = CsvWriter(COLUMNS)
    for line in found.lines:
        writer.write(_row(line))
    amounts = {"cost": text(found.total) or "", "low": text(found.low) or "", "high": text(found.high) or ""}
    writer.write({"dimension": "total", "unit": safe(found.currency), "tariff_id": safe(found.tariff_id), **amounts})
    writer.close()


def _row(line: Line) -> dict[str, str]:
    numbers = ("measured", "billed", "price", "cost", "low", "high")
    places = ("step_size", "element", "component")
    return {
        "dimension": safe(line.dimension),
        "from": wire_time(line.start),
        "to": wire_time(line.end),
        "unit": line.unit,
        **{name: text(getattr(line, name)) or "" for name in numbers},
        **{name: "" if getattr(line, name) is None else str(getattr(line, name)) for name in places},
        "tariff_id": safe(line.tariff_id or ""),
        "why": safe(line.why),
    }
