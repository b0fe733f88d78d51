"""Every enum of OCPI 2.1.1, values as listed; all are open (see :class:`ocpi_emsp.scalars.OpenEnum`).

Rules of this module: member names equal the values, except where a value is not a Python name (VersionNumber,
ModuleID); ``tests/test_census.py`` compares each list with the specification's table.
"""

from __future__ import annotations

from ocpi_emsp.scalars import OpenEnum


class VersionNumber(OpenEnum):
    """Versions of OCPI; this library speaks :attr:`V2_1_1`. (version_information_endpoint.md#versionnumber-enum)"""

    V2_0 = "2.0"
    V2_1 = "2.1"
    V2_1_1 = "2.1.1"


class ModuleID(OpenEnum):
    """Modules; custom modules are allowed. (version_information_endpoint.md#moduleid-enum)"""

    CDRS = "cdrs"
    COMMANDS = "commands"
    CREDENTIALS = "credentials"
    LOCATIONS = "locations"
    SESSIONS = "sessions"
    TARIFFS = "tariffs"
    TOKENS = "tokens"


class ImageCategory(OpenEnum):
    """What an image is used for. (mod_locations.md#415-imagecategory-enum)"""

    CHARGER = "CHARGER"
    ENTRANCE = "ENTRANCE"
    LOCATION = "LOCATION"
    NETWORK = "NETWORK"
    OPERATOR = "OPERATOR"
    OTHER = "OTHER"
    OWNER = "OWNER"


class LocationType(OpenEnum):
    """The general type of a location. (mod_locations.md#416-locationtype-enum)"""

    ON_STREET = "ON_STREET"
    PARKING_GARAGE = "PARKING_GARAGE"
    UNDERGROUND_GARAGE = "UNDERGROUND_GARAGE"
    PARKING_LOT = "PARKING_LOT"
    OTHER = "OTHER"
    UNKNOWN = "UNKNOWN"


class ConnectorType(OpenEnum):
    """The standard of a connector. (mod_locations.md#44-connectortype-enum)"""

    CHADEMO = "CHADEMO"
    DOMESTIC_A = "DOMESTIC_A"
    DOMESTIC_B = "DOMESTIC_B"
    DOMESTIC_C = "DOMESTIC_C"
    DOMESTIC_D = "DOMESTIC_D"
    DOMESTIC_E = "DOMESTIC_E"
    DOMESTIC_F = "DOMESTIC_F"
    DOMESTIC_G = "DOMESTIC_G"
    DOMESTIC_H = "DOMESTIC_H"
    DOMESTIC_I = "DOMESTIC_I"
    DOMESTIC_J = "DOMESTIC_J"
    DOMESTIC_K = "DOMESTIC_K"
    DOMESTIC_L = "DOMESTIC_L"
    IEC_60309_2_single_16 = "IEC_60309_2_single_16"
    IEC_60309_2_three_16 = "IEC_60309_2_three_16"
    IEC_60309_2_three_32 = "IEC_60309_2_three_32"
    IEC_60309_2_three_64 = "IEC_60309_2_three_64"
    IEC_62196_T1 = "IEC_62196_T1"
    IEC_62196_T1_COMBO = "IEC_62196_T1_COMBO"
    IEC_62196_T2 = "IEC_62196_T2"
    IEC_62196_T2_COMBO = "IEC_62196_T2_COMBO"
    IEC_62196_T3A = "IEC_62196_T3A"
    IEC_62196_T3C = "IEC_62196_T3C"
    TESLA_R = "TESLA_R"
    TESLA_S = "TESLA_S"


class ConnectorFormat(OpenEnum):
    """Socket or attached cable. (mod_locations.md#43-connectorformat-enum)"""

    SOCKET = "SOCKET"
    CABLE = "CABLE"


class PowerType(OpenEnum):
    """Phases of a connector. (mod_locations.md#418-powertype-enum)"""

    AC_1_PHASE = "AC_1_PHASE"
    AC_3_PHASE = "AC_3_PHASE"
    DC = "DC"


class Capability(OpenEnum):
    """What an EVSE can do. (mod_locations.md#42-capability-enum)"""

    CHARGING_PROFILE_CAPABLE = "CHARGING_PROFILE_CAPABLE"
    CREDIT_CARD_PAYABLE = "CREDIT_CARD_PAYABLE"
    REMOTE_START_STOP_CAPABLE = "REMOTE_START_STOP_CAPABLE"
    RESERVABLE = "RESERVABLE"
    RFID_READER = "RFID_READER"
    UNLOCK_CAPABLE = "UNLOCK_CAPABLE"


class Status(OpenEnum):
    """The status of an EVSE. (mod_locations.md#420-status-enum)"""

    AVAILABLE = "AVAILABLE"
    BLOCKED = "BLOCKED"
    CHARGING = "CHARGING"
    INOPERATIVE = "INOPERATIVE"
    OUTOFORDER = "OUTOFORDER"
    PLANNED = "PLANNED"
    REMOVED = "REMOVED"
    RESERVED = "RESERVED"
    UNKNOWN = "UNKNOWN"


class ParkingRestriction(OpenEnum):
    """Who may park. (mod_locations.md#417-parkingrestriction-enum)"""

    EV_ONLY = "EV_ONLY"
    PLUGGED = "PLUGGED"
    DISABLED = "DISABLED"
    CUSTOMERS = "CUSTOMERS"
    MOTORCYCLES = "MOTORCYCLES"


class EnergySourceCategory(OpenEnum):
    """Categories of energy sources. (mod_locations.md#47-energysourcecategory-enum)"""

    NUCLEAR = "NUCLEAR"
    GENERAL_FOSSIL = "GENERAL_FOSSIL"
    COAL = "COAL"
    GAS = "GAS"
    GENERAL_GREEN = "GENERAL_GREEN"
    SOLAR = "SOLAR"
    WIND = "WIND"
    WATER = "WATER"


class EnvironmentalImpactCategory(OpenEnum):
    """Categories of environmental impact. (mod_locations.md#49-environmentalimpactcategory-enum)"""

    NUCLEAR_WASTE = "NUCLEAR_WASTE"
    CARBON_DIOXIDE = "CARBON_DIOXIDE"


class Facility(OpenEnum):
    """What a location belongs to. (mod_locations.md#411-facility-enum)"""

    HOTEL = "HOTEL"
    RESTAURANT = "RESTAURANT"
    CAFE = "CAFE"
    MALL = "MALL"
    SUPERMARKET = "SUPERMARKET"
    SPORT = "SPORT"
    RECREATION_AREA = "RECREATION_AREA"
    NATURE = "NATURE"
    MUSEUM = "MUSEUM"
    BUS_STOP = "BUS_STOP"
    TAXI_STAND = "TAXI_STAND"
    TRAIN_STATION = "TRAIN_STATION"
    AIRPORT = "AIRPORT"
    CARPOOL_PARKING = "CARPOOL_PARKING"
    FUEL_STATION = "FUEL_STATION"
    WIFI = "WIFI"


class SessionStatus(OpenEnum):
    """The state of a session; COMPLETED and INVALID are final. (mod_sessions.md#41-sessionstatus-enum)"""

    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    INVALID = "INVALID"
    PENDING = "PENDING"


class CdrDimensionType(OpenEnum):
    """What a volume measures. (mod_cdrs.md#43-cdrdimensiontype-enum)"""

    ENERGY = "ENERGY"
    FLAT = "FLAT"
    MAX_CURRENT = "MAX_CURRENT"
    MIN_CURRENT = "MIN_CURRENT"
    PARKING_TIME = "PARKING_TIME"
    TIME = "TIME"


class AuthMethod(OpenEnum):
    """How the driver was authorized. (mod_cdrs.md#41-authmethod-enum)"""

    AUTH_REQUEST = "AUTH_REQUEST"
    WHITELIST = "WHITELIST"


class TariffDimensionType(OpenEnum):
    """What a price is for. (mod_tariffs.md#44-tariffdimensiontype-enum)"""

    ENERGY = "ENERGY"
    FLAT = "FLAT"
    PARKING_TIME = "PARKING_TIME"
    TIME = "TIME"


class DayOfWeek(OpenEnum):
    """Days of the week. (mod_tariffs.md#41-dayofweek-enum)"""

    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"
    SATURDAY = "SATURDAY"
    SUNDAY = "SUNDAY"


class TokenType(OpenEnum):
    """Types of token. (mod_tokens.md#43-tokentype-enum)"""

    OTHER = "OTHER"
    RFID = "RFID"


class WhitelistType(OpenEnum):
    """When a CPO may authorize a token by itself. (mod_tokens.md#44-whitelisttype-enum)"""

    ALWAYS = "ALWAYS"
    ALLOWED = "ALLOWED"
    ALLOWED_OFFLINE = "ALLOWED_OFFLINE"
    NEVER = "NEVER"


class Allowed(OpenEnum):
    """The answer to an authorization request. (mod_tokens.md#41-allowed-enum)"""

    ALLOWED = "ALLOWED"
    BLOCKED = "BLOCKED"
    EXPIRED = "EXPIRED"
    NO_CREDIT = "NO_CREDIT"
    NOT_ALLOWED = "NOT_ALLOWED"


class CommandType(OpenEnum):
    """Commands; UNLOCK_CONNECTOR is for help-desk operators only (mod_commands.md#42-commandtype-enum)."""

    RESERVE_NOW = "RESERVE_NOW"
    START_SESSION = "START_SESSION"
    STOP_SESSION = "STOP_SESSION"
    UNLOCK_CONNECTOR = "UNLOCK_CONNECTOR"


class CommandResponseType(OpenEnum):
    """The result of a command. (mod_commands.md#41-commandresponsetype-enum)"""

    NOT_SUPPORTED = "NOT_SUPPORTED"
    REJECTED = "REJECTED"
    ACCEPTED = "ACCEPTED"
    TIMEOUT = "TIMEOUT"
    UNKNOWN_SESSION = "UNKNOWN_SESSION"
