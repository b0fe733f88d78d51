"""What happens at the Charge Point after a command, unless `sessions_follow_commands` is off.

A session ends by a STOP_SESSION, or by itself after `session_seconds`, whichever comes first.

Rule obeyed (OCPI 2.1.1): a START_SESSION that succeeds is followed by a PUT of the new session (the sequence diagram
of mod_commands.md 1); changes of a session are PATCHed, and its CDR is POSTed after it has ended
(mod_sessions.md 1.1, mod_cdrs.md 1.1).
"""

import secrets

from ocpi_emsp.testing.cpo import samples
from ocpi_emsp.testing.cpo.calls import EmspCalls
from ocpi_emsp.testing.cpo.wire import Document, merge


async def follow_command(cpo: EmspCalls, command: str, body: Document) -> str | None:
    """Create or complete the session of an executed command, and push it; return the id of a created one."""
    if command == "START_SESSION":
        return await _start(cpo, body)
    if command == "STOP_SESSION":
        await complete(cpo, body["session_id"])
    return None


async def _start(cpo: EmspCalls, body: Document) -> str | None:
    location = cpo.catalogue.locations.get(body["location_id"])
    if location is None or not location.get("evses"):
        return None
    session = samples.started_session(
        f"SES-{secrets.token_hex(8)}",
        at=samples.relevant(location, body.get("evse_uid")),
        auth_id=body["token"]["auth_id"],
        start=cpo.now,
    )
    if cpo.authorization_ids:
        session["authorization_id"] = body["authorization_id"]
    await cpo.push_session(session)
    return str(session["id"])


async def complete(cpo: EmspCalls, session_id: str) -> None:
    """End a session that is charging, and post its CDR; one that has ended stays as it is."""
    session = cpo.catalogue.sessions.get(session_id)
    if session is None or session["status"] != "ACTIVE":
        return
    changes = samples.completion(session, now=cpo.now)
    await cpo.patch_session(session_id, changes)
    cdr = samples.cdr(f"CDR-{secrets.token_hex(8)}", of=merge(session, changes))
    if "authorization_id" in session:
        cdr["authorization_id"] = session["authorization_id"]
    await cpo.post_cdr(cdr)
