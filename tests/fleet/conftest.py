"""A store on disk, and one that holds a day of four screens."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agender.fleet.accounts import put_account
from edge_agender.fleet.enrolment import assign
from edge_agender.fleet.keeping import keep
from edge_agender.fleet.publish import Rules, publish
from edge_agender.fleet.rollup import roll_up_all
from edge_agender.fleet.store import Database, open_database
from proofs.fleet.servers import NotHereError, Postgresql
from tests.fleet.messages import DAY_S, MIDNIGHT_S, demographics, record, window

PASSWORD = "forty-boxes"
# When the day of MIDNIGHT_S is yesterday, and settled.
MORNING_S = MIDNIGHT_S + DAY_S + 9 * 3600
SCREENS = {"lobby": ("acme", "north"), "bakery": ("acme", "north"), "station": ("acme", "south"), "pub": ("other", "")}


@pytest.fixture
def _server(tmp_path: Path) -> Iterator[Postgresql]:
    """One for each test, which leaves no process behind."""
    try:
        server = Postgresql(tmp_path, passing=True)
    except NotHereError as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty store of each kind: both must do the same."""
    url = f"sqlite:///{tmp_path / 'fleet.sqlite3'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("_server").url
    opened = open_database(url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def _day_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours of four screens: 60 windows of six viewers, then 60 of none but a single pair; and their tables."""
    path = tmp_path_factory.mktemp("day") / "fleet.sqlite3"
    database = open_database(f"sqlite:///{path}")
    for place, (device, (tenant, site)) in enumerate(SCREENS.items()):
        assign(database, device, tenant, site, MIDNIGHT_S)
        windows = [window(number, 6 if number < 60 else 2 * (number == 70), device=device) for number in range(120)]
        cells = {("spring-sale", "female", "25-34"): 10 + 5 * place, ("news", "male", "65+"): 5}
        keep(database, [record(one) for one in (*windows, demographics(0, cells, device=device))], MIDNIGHT_S)
    for name, role, tenant in (("ann", "operator", "acme"), ("vic", "viewer", "acme"), ("root", "operator", "")):
        put_account(database, name, PASSWORD, role, tenant, MIDNIGHT_S)
    roll_up_all(database, Rules(), MORNING_S)
    while publish(database, Rules(), MORNING_S):
        pass
    database.close()
    return path


@pytest.fixture
def day(_day_file: Path, tmp_path: Path) -> Iterator[Database]:
    """A copy of that day."""
    path = shutil.copy(_day_file, tmp_path / "day.sqlite3")
    opened = open_database(f"sqlite:///{path}")
    yield opened
    opened.close()
