"""The public names: listed in order, importable, documented, and nothing else."""

import importlib
import inspect
from collections import Counter
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import ocpi_emsp
from ocpi_emsp import errors, events, models, ports, resources, scalars, settings, storage, types, wire
from ocpi_emsp.events import EVENTS, CdrReceived
from ocpi_emsp.testing import cpo
from signatures import mentioned

PUBLIC = [
    ocpi_emsp, models, resources, settings, types, wire, storage, cpo,
    importlib.import_module("ocpi_emsp.check"), importlib.import_module("ocpi_emsp.report"),
    importlib.import_module("ocpi_emsp.pricing"), importlib.import_module("ocpi_emsp.redact"),
]  # fmt: skip
DEFINING = [events, errors, ports]
"""Modules that define all they offer, so that they need no list."""
each_package = pytest.mark.parametrize("package", PUBLIC, ids=lambda package: package.__name__)


def exported() -> Iterator[tuple[str, Any]]:
    for package in PUBLIC:
        for name in package.__all__:
            yield f"{package.__name__}.{name}", getattr(package, name)
    for module in DEFINING:
        for name in defined(module):
            yield f"{module.__name__}.{name}", getattr(module, name)


def defined(module: ModuleType) -> list[str]:
    here = {name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}
    return sorted(name for name in here if name[0] != "_")


@each_package
def test_all_is_sorted_and_lists_each_name_once(package: ModuleType) -> None:
    assert list(package.__all__) == sorted(set(package.__all__), key=lambda name: (not name.isupper(), name))
    assert not [name for name in package.__all__ if name.startswith("_")]


@each_package
def test_every_listed_name_can_be_imported(package: ModuleType) -> None:
    for name in package.__all__:
        assert getattr(package, name) is not None
        assert name in dir(package)


def test_a_star_import_gives_exactly_what_is_listed() -> None:
    namespace: dict[str, Any] = {}
    exec("from ocpi_emsp import *", namespace)
    del namespace["__builtins__"]
    assert sorted(namespace) == ocpi_emsp.__all__


def test_nothing_public_is_left_out() -> None:
    """What is neither listed nor private is a submodule, or comes from the standard library."""
    for name in dir(ocpi_emsp):
        value = getattr(ocpi_emsp, name)
        if name.startswith("_") or name in ocpi_emsp.__all__ or isinstance(value, ModuleType):
            continue
        origin = getattr(value, "__module__", None) or ""
        assert not origin.startswith("ocpi_emsp"), name


def test_the_top_level_has_what_the_first_page_needs() -> None:
    assert len(ocpi_emsp.__all__) <= 30


def test_each_name_is_listed_in_one_place_beside_the_top_level() -> None:
    """The top level is a selection; ``testing.cpo`` shares no code, so it has names of its own."""
    places = [package for package in PUBLIC if package not in (ocpi_emsp, cpo)]
    listed = Counter(name for package in places for name in package.__all__)
    listed.update(name for module in DEFINING for name in defined(module))
    assert [name for name, times in listed.items() if times > 1] == []
    elsewhere = {"AuthorizationRequest", "Emsp", "Limits", "PartyId", "Secret", "SupportMatrix", "UrlPolicy"}
    objects = {"Cdr", "Connector", "Evse", "Location", "Session", "Tariff", "Token", "Allowed", "AuthorizationInfo"}
    assert set(ocpi_emsp.__all__) - set(listed) == elsewhere | objects | {"Finding", "Report", "decode", "encode"}
    of_prices = {"Plan", "Readings", "Verdict", "audit", "quote"}
    theirs = {"OcpiError", "Policy", "check"} | of_prices
    assert set(ocpi_emsp.__all__) & set(listed) == theirs, "their modules are about them"
    assert set(models.OBJECTS_AND_ENUMS) == {*models.__all__, *objects} - {"OBJECTS_AND_ENUMS"}


def test_every_event_and_error_is_public() -> None:
    assert {*EVENTS, "Event", "RelayedEvent", "UnreadableEvent"} <= set(defined(events))
    tree = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, errors.OcpiError)
    }
    assert tree == set(defined(errors))


def test_no_name_comes_from_a_private_module() -> None:
    for name, value in exported():
        is_alias = not (inspect.isclass(value) or inspect.isfunction(value))  # it has the module of typing
        origin = "ocpi_emsp" if is_alias else value.__module__
        assert origin.startswith("ocpi_emsp") or name == "ocpi_emsp.storage.metadata", name
        assert not [part for part in origin.split(".") if part.startswith("_")], name


def test_every_type_in_a_public_signature_is_public() -> None:
    """A backend can annotate what it hands over and what it gets. The simulated CPO has parts of its own."""
    public = {name.rpartition(".")[2] for name, _ in exported()} | {*dir(ports), *dir(scalars)}
    theirs = {
        (name, each)
        for name, value in exported()
        if (inspect.isclass(value) or inspect.isfunction(value)) and not name.startswith(cpo.__name__)
        for each in mentioned(value) - public
    }
    assert theirs == set()


def test_an_unknown_name_is_an_attribute_error() -> None:
    for name in ("Nothing", "import_module_", "_nothing"):
        with pytest.raises(AttributeError, match=name):
            getattr(ocpi_emsp, name)


@pytest.mark.parametrize(("name", "value"), list(exported()), ids=lambda each: each if isinstance(each, str) else "")
def test_every_public_class_and_function_is_documented(name: str, value: Any) -> None:
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return
    assert (value.__doc__ or "").strip(), name
    for method_name, method in vars(value).items() if inspect.isclass(value) else ():
        function = getattr(method, "__func__", getattr(method, "fget", method))
        if not method_name.startswith("_") and inspect.isfunction(function):
            assert (inspect.getdoc(getattr(value, method_name)) or "").strip(), f"{name}.{method_name}"


def allow(_token: ocpi_emsp.Token, location: models.LocationReferences | None) -> ocpi_emsp.AuthorizationInfo:
    return ocpi_emsp.AuthorizationInfo(allowed=ocpi_emsp.Allowed.ALLOWED, location=location)


def test_the_readmes_names_are_there() -> None:
    """The example of the issue: what a backend writes."""
    emsp = ocpi_emsp.Emsp(
        country_code="IT", party_id="BEC", name="Be Charge", url="https://e.test", store=storage.MemoryStore()
    )
    assert emsp.authorize(allow) is allow
    assert emsp.on(CdrReceived)(print) is print
    assert callable(emsp.asgi())
    assert callable(emsp.wsgi())
    invitation = emsp.parties.invite("NL-TNM")
    assert invitation.versions_url == "https://e.test/versions"
    assert len(invitation.token_a.reveal()) >= 32
