"""The application: the views of the project, and the eMSP below /ocpi/emsp, the path of OCPI_EMSP_URL."""

import signal
import threading
from datetime import UTC, datetime, timedelta

from flask import Flask, abort, request
from sqlalchemy import select
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_backend.charging import emsp
from flask_backend.database import Base, Charge, Driver, Session, engine
from ocpi_emsp import OcpiError, Token
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.models import TokenType, WhitelistType

app = Flask(__name__)
application = DispatcherMiddleware(app, {"/ocpi/emsp": emsp.wsgi()})  # what a WSGI server serves


@app.cli.command("create-tables")
def create_tables() -> None:
    """Create the tables of the project; Alembic does so on a server."""
    Base.metadata.create_all(engine)


@app.cli.command("background")
def background() -> None:
    """Do the background work beside the web server, until SIGTERM or Ctrl-C."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with emsp.running(sync_every=timedelta(hours=4)):
        print("background work runs", flush=True)
        stopping.wait()


@app.errorhandler(OcpiError)
@app.errorhandler(TimeoutError)
def failed(error: Exception) -> tuple[dict[str, str], int]:
    """Say why a command was not sent, or that the CPO does not do it."""
    status = 422 if isinstance(error, InvalidObject) else 504 if isinstance(error, TimeoutError) else 502
    return {"error": str(error)}, status


@app.errorhandler(ValueError)
def invalid(error: ValueError) -> tuple[dict[str, str], int]:
    """Say what is wrong with a request, for example an invalid party."""
    return {"error": str(error)}, 400


def given(name: str) -> str:
    """A text in the JSON of the request."""
    value = request.json.get(name) if isinstance(request.json, dict) else None
    if not isinstance(value, str):
        abort(400, f"missing {name}")
    return value


@app.get("/locations/<cpo>/<location_id>")
def location(cpo: str, location_id: str) -> dict[str, object]:
    """A location as the CPO sent it."""
    found = emsp.locations.get(cpo, location_id)
    if found is None:
        abort(404)
    return {"city": found.city, "evses": {evse.uid: evse.status.value for evse in found.evses}}


@app.post("/drivers")
def new_driver() -> tuple[dict[str, str], int]:
    """Store a driver and their token: both or none."""
    uid = given("token_uid")
    token = Token(
        uid=uid,
        type=TokenType.RFID,
        auth_id=uid,
        issuer=emsp.identity.business_details.name,
        valid=True,
        whitelist=WhitelistType.NEVER,
        last_updated=datetime.now(UTC),
    )
    with Session.begin() as session, emsp.joined(session):
        session.merge(Driver(token_uid=uid, name=given("name")))
        emsp.tokens.put(token)
    return {"driver": uid}, 201


@app.post("/start")
def start() -> dict[str, str | None]:
    """Start a charge. The CPO calls back meanwhile, so no transaction is open here."""
    token = emsp.tokens.get(given("token_uid"))
    if token is None:
        abort(404)
    with emsp.partner(given("cpo")).client() as cpo:
        pending = cpo.start_session(token=token, location_id=given("location_id"))
        return {"result": pending.result(timeout=30).value, "session": pending.session(timeout=30)}


@app.post("/stop")
def stop() -> dict[str, str]:
    """Stop a charge; its CDR follows."""
    with emsp.partner(given("cpo")).client() as cpo:
        pending = cpo.stop_session(session_id=given("session"))
        return {"result": pending.result(timeout=30).value}


@app.get("/charges")
def charges() -> list[dict[str, str]]:
    """What is to be billed."""
    with Session() as session:
        found = session.scalars(select(Charge).order_by(Charge.cpo, Charge.cdr_id))
        return [{"cost": f"{each.cost} {each.currency}", "cpo": each.cpo, "driver": each.driver} for each in found]
