"""Named ways in which partners deviate, as arguments of `SimulatedCpo` and of `SimulatedCpo.misbehave`.

cpo = SimulatedCpo(locations=5, page_limit=2, **PRESETS["loop"])

Rules of this module: a preset only sets `Deviations`, never the amount of data or the page size; each has a row in
docs/how-to/simulated-cpo.md, and a test.
"""

from typing import Any, Final

from ocpi_emsp.testing.cpo.overcharging import OVERCHARGES

PRESETS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "base64": {"accept_base64_token": True, "send_base64_token": True},
    "hub-renews": {"renews_by_delete": True},
    "bare-command-result": {"bare_command_result": True},
    # Members
    "required-members": {"requires_members": True},
    # URLs
    "slash-endpoints": {"endpoint_slash": True, "redirect_slashes": True},
    "slash-redirects": {"redirect_slashes": True},
    "concatenated-urls": {"url_joining": "concatenated"},
    "joined-urls": {"url_joining": "joined"},
    "unusable-endpoint": {"unusable_endpoint": True},
    "endpoint-roles": {"endpoint_roles": True},
    # What carries the JSON
    "token-line-break": {"send_base64_token": True, "token_line_break": True},
    "byte-order-mark": {"byte_order_mark": True},
    "compressed-requests": {"compressed_requests": True},
    # Pushes
    "undated-patches": {"undated_patches": True},
    "unmoved-parents": {"unmoved_parents": True},
    "repeated-patches": {"repeated_patches": True},
    "wrapped-patches": {"wrapped_patches": True},
    "sessions-taken-back": {"sessions_taken_back": True},
    # Commands
    "wrapped-command-result": {"wrapped_command_result": True},
    # Authorizations
    "authorization-ids": {"authorization_ids": True},
    "null-authorize-body": {"null_authorize_body": True},
    "lower-case-uids": {"lower_case_uids": True},
    "result-first": {"results": "first"},
    "result-twice": {"results": "twice"},
    "contradicting-results": {"results": "contradicting"},
    "late-result": {"result_delay": 3.0},
    "no-result": {"results": "never"},
    "command-html": {"command_failure": "html"},
    "command-server-error": {"command_failure": "server-error"},
    "command-not-json": {"command_failure": "not-json"},
    "command-no-answer": {"command_failure": "no-answer"},
    # Pages that lie
    "no-totals": {"totals": False},
    "relative-link": {"next_link": "relative"},
    "loop": {"next_link": "loop"},
    "two-page-loop": {"next_link": "two-page-loop"},
    "http-link": {"next_link": "http"},
    "foreign-link": {"next_link": "foreign"},
    "lost-filters": {"next_link": "lost-filters"},
    "zero-limit": {"next_link": "zero-limit"},
    "endless-pages": {"next_link": "endless-pages"},
    "endless-empty": {"next_link": "endless-empty"},
    "endless-empty-without-totals": {"next_link": "endless-empty", "totals": False},
    "no-links": {"next_link": "none", "total_count": False},
    "unreadable-link": {"next_link": "unreadable"},
    "uncounted": {"uncounted": 1},
    "empty-without-data": {"empty_without_data": True},
    "page-of-100000": {"ignore_limit": True},
    "shrinking-total": {"shrinking": 2},
    "growing-total": {"growing": 2},
    "duplicates": {"duplicates": 1},
    "repeated-ids-in-a-page": {"repeated_ids": True},
    "vanishing": {"unlisted_share": 0.1},
    # Documents
    "quirky": {"quirky_documents": True},
    "foreign-owner": {"foreign_owners": True},
    "hub-operator-name": {"hub_owners": "operator.name"},
    "hub-evse-ids": {"hub_owners": "evse_id"},
    "faulty-copies": {"faulty_copies": True},
    "ocpi-2.2-names": {"newer_names": True},
    "half-empty": {"half_empty": True},
    "twins": {"twins": True},
    "null-lists": {"null_lists": True},
    "null-members": {"null_members": True},
    "missing-evses": {"missing_evses": True},
    "upper-case-languages": {"upper_case_languages": True},
    "untimed-periods": {"untimed_periods": True},
    "overcharging": {"overcharging": tuple(OVERCHARGES)},
    "bad-objects": {"bad_objects": True},
    "clock-skew": {"clock_skew": 7200.0},
    "no-single-objects": {"single_objects": False},
    # Lists that fail
    "html-errors": {"list_failure": "html"},
    "framework-errors": {"list_failure": "framework"},
    "server-error": {"list_failure": "server-error"},
    "server-error-once": {"list_failure": "server-error", "failure_times": 1},
    "ocpi-2001": {"list_failure": "ocpi-2001"},
    "ocpi-3000": {"list_failure": "ocpi-3000"},
    "ocpi-3000-once": {"list_failure": "ocpi-3000", "failure_times": 1},
    "busy": {"list_failure": "busy", "failure_every": 2, "retry_after": 0},
    "busy-date": {"list_failure": "busy", "failure_every": 2, "retry_after": 0, "retry_after_as_date": True},
    "rate-limited": {"list_failure": "rate-limited", "retry_after": 1},
    "token-rotated": {"list_failure": "token-rotated", "failure_after": 1},
    "not-json": {"list_failure": "not-json", "failure_after": 1, "failure_times": 1},
    "reset": {"list_failure": "reset", "failure_times": 1},
    "reset-always": {"list_failure": "reset", "failure_after": 1},
    "huge-page": {"list_failure": "huge-page"},
    "endless-body": {"list_failure": "endless-body"},
    "slow-body": {"list_failure": "slow-body"},
    "redirect-loop": {"list_failure": "redirect-loop"},
    "redirect-foreign": {"list_failure": "redirect-foreign"},
    # Token objects
    "read-only-tokens": {"token_methods": ("GET",)},
    "failing-patch": {"token_patch_status": 500},
    "failing-patch-404": {"token_patch_status": 404},
    "refuses-tokens": {"refused_tokens": ".*[37]"},
}


def preset(name: str) -> dict[str, Any]:
    """Return the arguments of a preset. Raises `ValueError`, which lists all names, for an unknown one."""
    if name not in PRESETS:
        raise ValueError(f"invalid preset '{name}': expected one of {', '.join(PRESETS)}")
    return dict(PRESETS[name])
