"""Resolves and sets values in SQLite, sealed by Tink and by Fernet. Prints name,one,fifty,set in nanoseconds."""

import os
import sqlite3
import statistics
import tempfile
import time

import tink
from cryptography.fernet import Fernet
from tink import aead

VALUE = b"https://api.example.com/v1/things?token=0123456789abcdef01234567"
ORGS = 100
SCHEMA = """
    CREATE TABLE scoped_values (org TEXT NOT NULL, scope TEXT NOT NULL, definition INTEGER NOT NULL,
        value BLOB NOT NULL, PRIMARY KEY (org, scope, definition)) WITHOUT ROWID"""
ONE = """SELECT value FROM scoped_values WHERE org = ? AND scope IN (?, ?, ?) AND definition = ?
         ORDER BY scope DESC LIMIT 1"""
ALL = "SELECT definition, value FROM scoped_values WHERE org = ? AND scope IN (?, ?, ?) ORDER BY scope"
SET = "INSERT OR REPLACE INTO scoped_values VALUES (?, ?, ?, ?)"


def scopes(definition):
    yield "0"
    if definition >= 17:
        yield from (f"1user_{n}" for n in range(20))
    if definition >= 34:
        yield from (f"2workflow_{n}" for n in range(20))


def median(clock, work, turns):
    def turn():
        start = clock()
        work()
        return clock() - start

    return statistics.median(turn() for _ in range(turns))


def measure(name, seal, open_):
    with tempfile.TemporaryDirectory() as place:
        rows = sqlite3.connect(os.path.join(place, "values.db"), isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -262144"):
            rows.execute(f"PRAGMA {pragma}")
        rows.execute(SCHEMA)
        rows.execute("BEGIN")
        for org in range(ORGS):
            for definition in range(50):
                for scope in scopes(definition):
                    rows.execute(SET, (str(org), scope, definition, seal(VALUE)))
        rows.execute("COMMIT")
        number = 0

        def run():
            nonlocal number
            number += 1
            return str(number * 37 % ORGS), f"2workflow_{number % 20}", f"1user_{number * 7 % 20}", "0"

        def one():
            assert open_(rows.execute(ONE, (*run(), number * 11 % 50)).fetchone()[0]) == VALUE

        def fifty():
            winners = dict(rows.execute(ALL, run()))
            assert len([open_(value) for value in winners.values()]) == 50

        def set_():
            rows.execute(SET, ("0", "0", 0, seal(VALUE)))

        cpu, wall = time.process_time_ns, time.perf_counter_ns
        for work in (one, fifty, set_):
            work()
        print(f"{name},{median(cpu, one, 20_000)},{median(cpu, fifty, 2_000)},{median(wall, set_, 500)}")


aead.register()
sealer = tink.new_keyset_handle(aead.aead_key_templates.AES256_GCM).primitive(aead.Aead)
measure("SQLite + Tink", lambda value: sealer.encrypt(value, b""), lambda value: sealer.decrypt(value, b""))
fernet = Fernet(Fernet.generate_key())
measure("SQLite + Fernet", fernet.encrypt, fernet.decrypt)
