"""A whole vault read a second time, from docs/FORMAT.md: Python's standard library and nothing else.

    python3 store.py --raw-key HEX    < dump.jsonl > rows.jsonl
    python3 store.py --base HEX       < dump.jsonl > rows.jsonl
    python3 store.py --passphrase TXT < dump.jsonl > rows.jsonl     (needs the module argon2-cffi)

A dump is one JSON object a row, `{"key": hex, "value": hex}`, as a `Store` answers them; `--base` takes what Argon2id
made of a passphrase. The answer is one JSON object a row, opened and decoded, in the order of the dump, with `absent` where
a reader must take the row for absent. What is not exactly as the page has it written ends the program with the key of the
row: entries that a later release may add, too. Slow, not constant-time, for tests only.
"""

import hashlib
import json
import re
import struct
import sys

import envelope


class Malformed(Exception):
    """Its argument says what is not as the page says."""


def require(condition, what):
    if not condition:
        raise Malformed(what)


# CBOR (section 1): definite lengths, shortest heads, maps with ascending uint keys.


def cbor(data):
    value, end = item(data, 0)
    require(end == len(data), "bytes after the item")
    return value


def item(data, at):
    require(at < len(data), "cut short")
    major, small = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        require(small in (20, 21), "a simple value that is no bool")
        return small == 21, at
    count, at = head(data, at, small)
    if major == 0:
        return count, at
    if major in (2, 3):
        require(at + count <= len(data), "cut short")
        part = data[at : at + count]
        return part.decode() if major == 3 else part, at + count
    if major == 4:
        values = []
        for _ in range(count):
            value, at = item(data, at)
            values.append(value)
        return values, at
    require(major == 5, "an item of another type")
    entries, last = {}, -1
    for _ in range(count):
        key, at = item(data, at)
        require(type(key) is int and key > last, "map keys out of order")
        entries[key], at = item(data, at)
        last = key
    return entries, at


def head(data, at, small):
    if small < 24:
        return small, at
    require(small < 28, "an indefinite length")
    size = 1 << small - 24
    require(at + size <= len(data), "cut short")
    value = int.from_bytes(data[at : at + size], "big")
    require(value >= (24 if size == 1 else 1 << 4 * size), "a head longer than need be")
    return value, at + size


TEXT, UINT, BOOL, LIST, MAP = str, int, bool, list, dict


def fields(entries, required, optional=None):
    """The entries of a map under names; `required` and `optional` are {key: (name, type or byte length)}."""
    require(type(entries) is dict, "no map")
    optional = optional or {}
    require(set(required) <= set(entries) <= {*required, *optional}, "missing or unknown entries")
    named = {}
    for key, value in entries.items():
        name, kind = {**required, **optional}[key]
        fits = len(value) == kind if type(kind) is int and type(value) is bytes else type(value) is kind
        require(fits, f"{name} of another type")
        named[name] = value
    return named


# Rows (section 4).


def body(row, kind):
    require(len(row) >= 3 and row[0] == 0xD7, "no row")
    require(row[1] == 1, "a row of another version")
    require(row[2] == kind, "a row of another kind")
    return cbor(row[3:])


def sealed(row, kind):
    doc_id = {0: ("doc_id", 12)} if kind in (1, 2, 9, 10) else {}
    return fields(body(row, kind), {**doc_id, 1: ("revision", UINT), 2: ("record", bytes)})


def clear(row, kind):
    return fields(body(row, kind), {0: ("bytes", bytes)})["bytes"]


# Keys of rows (section 3).


def parse_key(key):
    """Which row stands at a key, and the ids in it."""
    if key[:1] == b"\x00":
        return parse_store_key(key[1:2], key[2:])
    require(key[:1] == b"\x01", "a key outside of the key space")
    org, rest = take_id(key[1:])
    environment, rest = take_id(rest)
    require(bytes.fromhex(org).hex() == org and len(org) == 24, "an org id that is none")
    row, ids = parse_tenant_key(rest[0], rest[1:])
    return row, {"org": org, "environment": environment, **ids}


def tenant(ids):
    return b"\x01" + ids["org"].encode() + b"\x00" + ids["environment"].encode() + b"\x00"


def parse_store_key(kind, rest):
    if kind == b"\x01" and not rest:
        return "header", {}
    if kind == b"\x02":
        return "slot", {"slot_id": exactly(rest, 16).hex()}
    if kind == b"\x03" and not rest:
        return "store", {}
    require(kind == b"\x04", "a key outside of the key space")
    org, rest = take_id(rest)
    environment, rest = take_id(rest)
    return "job", {"org": org, "environment": environment, "job_id": exactly(rest, 12).hex()}


def parse_tenant_key(kind, rest):
    if kind == 0x01:
        return "keyring", {"linked_account": take_ids(rest, 1)[0] if rest else None}
    if kind in (0x02, 0x03, 0x04):
        exactly(rest, 0)
        return {0x02: "epoch", 0x03: "count", 0x04: "generation"}[kind], {}
    if kind == 0x10:
        return "definition", {"definition_id": exactly(rest, 12).hex()}
    if kind == 0x11:
        return "definition name", {"name": rest.decode()}
    if kind == 0x12:
        scope, end = take_scope(rest[12:])
        exactly(end, 0)
        return "definition value", {"definition_id": rest[:12].hex(), **scope}
    if kind == 0x20:
        scope, rest = take_scope(rest)
        return "value", {"definition_id": exactly(rest, 12).hex(), **scope}
    if kind == 0x21:
        return "value id", {"doc_id": exactly(rest, 12).hex()}
    if kind == 0x50:
        return parse_history_key(rest)
    if kind == 0x60:
        exactly(rest, 24)
        at, number = int.from_bytes(rest[:8], "big"), int.from_bytes(rest[16:], "big")
        return "event", {"id": rest.hex(), "at_ms": at, "chain": rest[8:16].hex(), "number": number}
    if kind == 0x61:
        exactly(rest, 0)
        return "audit head", {}
    if kind == 0x62:
        return "chain head", {"chain": exactly(rest, 8).hex()}
    if kind == 0x63:
        exactly(rest, 0)
        return "audit floor", {}
    names = {
        0x30: ("account", ["linked_account"]),
        0x31: ("integration", ["linked_account", "integration"]),
        0x32: ("credential", ["linked_account", "integration", "key_name"]),
        0x40: ("record", ["namespace", "key_name"]),
    }
    require(kind in names, "a key outside of the key space")
    row, ids = names[kind]
    return row, refuse_bad_connection(dict(zip(ids, take_ids(rest, len(ids)))))


def refuse_bad_connection(ids):
    """An integration, and behind a byte 01 the id of a connection that is not the default one."""
    parts = ids.get("integration", "an integration").split("\x01")
    require(len(parts) <= 2 and all(parts), "a connection that is none")
    return ids


def parse_history_key(rest):
    kinds = {b"\x20": "value", b"\x32": "credential", b"\x10": "definition"}
    require(rest[:1] in kinds, "a history of another kind")
    kind, rest = kinds[rest[:1]], rest[1:]
    if kind == "credential":
        ids = {}
        for name in "linked_account", "integration", "key_name":
            ids[name], rest = take_id(rest)
        refuse_bad_connection(ids)
    else:
        scope, rest = take_scope(rest) if kind == "value" else ({}, rest)
        ids, rest = {"definition_id": exactly(rest[:12], 12).hex(), **scope}, rest[12:]
    if not rest:
        return "deleted " + kind, ids
    complement = int.from_bytes(exactly(rest, 8), "big")
    return "former " + kind, {**ids, "revision": 2**64 - 1 - complement}


def take_scope(rest):
    require(rest[:1] in (b"\x00", b"\x01", b"\x02"), "no scope")
    if rest[0] == 0:
        return {"linked_account": None, "workflow": None}, rest[1:]
    name, after = take_id(rest[1:])
    scope = {"linked_account": None, "workflow": None}
    scope["linked_account" if rest[0] == 1 else "workflow"] = name
    return scope, after


def take_ids(rest, count):
    ids = []
    for _ in range(count):
        one, rest = take_id(rest)
        ids.append(one)
    exactly(rest, 0)
    return ids


def take_id(rest):
    text, end, rest = rest.partition(b"\x00")
    require(end and text, "an id without an end")
    return text.decode(), rest


def exactly(rest, length):
    require(len(rest) == length, "an id of another length")
    return rest


# Records under keys (sections 5 to 7).


def expand(prk, info, length):
    return envelope.hmac.digest(prk, info + b"\x01", "sha256")[:length]


def open_under(keys, context, record):
    """Opens a record under one of several keys, by its `dek_id`."""
    dek_id = bytes(record[2:18])
    if dek_id not in keys:
        raise envelope.Refused("UnknownKey")
    return envelope.open_record(keys[dek_id], context, record)


def key_id(key):
    return expand(key, b"strongroom/v1/dek-id", 16)


def context(store_id, kind, name, ids=None, **more):
    empty = dict.fromkeys(("org", "environment", "linked_account", "workflow", "key_name", "doc_id"))
    asked = {field: (ids or {}).get(field) for field in ("org", "environment")}
    return {**empty, **asked, "store_id": store_id, "kind": kind, "name": name, **more}


# Plaintexts (section 8).


def sheet(plaintext):
    times = {1: ("created_ms", UINT), 2: ("updated_ms", UINT)}
    expiry = {7: ("expires_ms", UINT), 8: ("deleted", BOOL)}
    read = fields(cbor(plaintext), {0: ("value", TEXT), **times}, {3: ("author", TEXT), **said(4), **expiry})
    require(read.get("deleted", True) and not (read.get("deleted") and read["value"]), "no deletion")
    return check_labels(read)


def said(first):
    """The request, note and labels of a version, in three entries."""
    return {first: ("request_id", TEXT), first + 1: ("note", TEXT), first + 2: ("labels", LIST)}


def check_labels(read):
    labels = read.get("labels", ["one"])
    require(labels and all(type(label) is str and label for label in labels), "labels that are none")
    require(labels == sorted(set(labels), key=str.encode), "labels out of order")
    return read


def host_record(plaintext):
    return {"absent": "it is vacant"} if bytes(plaintext) == b"\xa0" else sheet(plaintext)


def definition(plaintext):
    required = {
        0: ("name", TEXT),
        1: ("format", MAP),
        3: ("encrypted", BOOL),
        6: ("required", BOOL),
        7: ("scopes", UINT),
        10: ("created_ms", UINT),
        11: ("updated_ms", UINT),
    }
    texts = {4: ("description", TEXT), 5: ("default", TEXT), 8: ("author", TEXT), 9: ("created_by", TEXT)}
    optional = {2: ("length", LIST), 12: ("format_changes", UINT), **texts, **said(13), 16: ("deleted", BOOL)}
    optional.update({17: ("history_versions", UINT), 18: ("history_age_secs", UINT)})
    read = check_labels(fields(cbor(plaintext), required, optional))
    read["format"] = var_format(read["format"])
    require(1 <= read["scopes"] <= 7, "no scopes")
    require(read.get("deleted", True), "no deletion")
    bits = (1, "org"), (2, "linked_account"), (4, "workflow")
    read["scopes"] = [name for bit, name in bits if read["scopes"] & bit]
    return read


def var_format(entries):
    name = entries.get(0)
    more = {
        "enum": {1: ("list", LIST)},
        "url_with_scheme": {1: ("list", LIST)},
        "pattern": {
            2: ("pattern", TEXT),
            3: ("unicode", BOOL),
            4: ("must_match", LIST),
            5: ("must_not_match", LIST),
        },
    }
    simple = "string number integer boolean url json uuid email hostname base64 pem pem_strict".split()
    simple += "uri connection_string hostname_with_underscore ip duration date_time semver bytes".split()
    custom = re.fullmatch("custom:[a-z][a-z0-9_]{0,63}", name)
    require(name in more or name in simple or custom, "an unknown format")
    return fields(entries, {0: ("name", TEXT), **more.get(name, {})})


def account(plaintext):
    required = {0: ("id", 12), 3: ("credential_generation", UINT), 5: ("created_ms", UINT), 6: ("updated_ms", UINT)}
    return fields(cbor(plaintext), required, {1: ("name", TEXT), 2: ("udf", TEXT), 4: ("deleting", 12)})


def integration(plaintext):
    optional = {1: ("deleting", 12), 3: ("refresh", MAP), 4: ("token_life_ms", UINT)}
    read = fields(cbor(plaintext), {0: ("id", 12), 2: ("created_ms", UINT)}, optional)
    if "refresh" in read:
        note = {0: ("id", 12), 1: ("since_ms", UINT), 2: ("until_ms", UINT)}
        read["refresh"] = fields(read["refresh"], note, {3: ("end", UINT)})["until_ms"]
    return read


def keyring(plaintext):
    read = fields(cbor(plaintext), {0: ("deks", LIST), 1: ("tombstones", LIST), 2: ("min_version", UINT)})
    dek = {0: ("id", 16), 1: ("key", 32), 2: ("generation", UINT), 3: ("state", UINT), 4: ("created_ms", UINT)}
    read["deks"] = [fields(entries, dek) for entries in read["deks"]]
    for dek in read["deks"]:
        require(key_id(dek["key"]) == dek["id"], "a key under another id")
        require(dek["state"] in (0, 1), "an unknown state")
    for dek_id in read["tombstones"]:
        require(type(dek_id) is bytes and len(dek_id) == 16, "a tombstone that is no id")
    return read


def job(plaintext):
    optional = {1: ("definition_id", 12), 2: ("linked_account", TEXT), 3: ("integration", TEXT), 4: ("scopes", UINT)}
    optional[5] = ("revision", UINT)
    read = fields(cbor(plaintext), {0: ("sweeps", UINT)}, optional)
    one, app = {"definition_id"}, {"linked_account", "integration"}
    kinds = {1: ("definition", one), 2: ("account", {"linked_account"}), 3: ("integration", app), 4: ("recheck", one)}
    kinds[5] = ("narrow", {"definition_id", "scopes"})
    require(read["sweeps"] in kinds, "a job of an unknown kind")
    name, wanted = kinds[read["sweeps"]]
    may = {"revision"} if name == "narrow" else set()
    require({"sweeps", *wanted} <= set(read) <= {"sweeps", *wanted, *may}, "a job that lacks an id")
    require(read.get("scopes", 1) in range(1, 8), "scopes that are none")
    return {**read, "sweeps": name}


def event(at):
    """An event and its hash; `at` is the end of its key."""

    def decode(plaintext):
        optional = {1: ("start", LIST), 2: ("actor", TEXT), 3: ("request_id", TEXT)}
        read = fields(cbor(plaintext), {0: ("previous", 32), 4: ("changes", LIST)}, optional)
        if "start" in read:
            chain_number, salt = read.pop("start")
            require(type(chain_number) is int and len(salt) == 16, "no start of a chain")
            read["chain_number"] = chain_number
        ids = {1: ("definition_id", 12), 2: ("document_id", 12)}
        texts = {3: ("name", TEXT), 4: ("linked_account", TEXT), 5: ("workflow", TEXT), 6: ("integration", TEXT)}
        more = {**ids, **texts, 7: ("before", UINT), 8: ("after", UINT), 9: ("connection", TEXT)}
        read["changes"] = [fields(entries, {0: ("kind", UINT)}, more) for entries in read["changes"]]
        require(all(1 <= change["kind"] <= 24 for change in read["changes"]), "a change of an unknown kind")
        return {**read, "hash": hashlib.sha256(b"strongroom event\0" + at + plaintext).digest()}

    return decode


def audit_head(plaintext):
    return fields(cbor(plaintext), {0: ("chains", UINT), 1: ("last", 32)})


def chain_head(plaintext):
    return fields(cbor(plaintext), {0: ("number", UINT), 1: ("hash", 32)})


def audit_floor(plaintext):
    read = fields(cbor(plaintext), {0: ("before_ms", UINT), 1: ("chains", UINT), 2: ("cut", LIST)})
    require(all(list(map(type, cut)) == [bytes, int, bytes, int] for cut in read["cut"]), "no cuts")
    require(all((len(cut[0]), len(cut[2])) == (8, 32) for cut in read["cut"]), "no cuts")
    return read


def count(plaintext):
    return {"definitions": struct.unpack(">Q", exactly(plaintext, 8))[0]}


def store(plaintext):
    required = {
        0: ("root_id", 16),
        1: ("digest", BOOL),
        2: ("digest_shards", UINT),
        3: ("min_suite", UINT),
        4: ("slots", LIST),
    }
    optional = {6: ("settings", UINT), 7: ("mark", UINT), 8: ("shredded", bytes)}
    optional.update({9: ("floors", bytes), 10: ("exported", bytes)})
    read = fields(cbor(plaintext), required, optional)
    require(read.get("settings", 0) < 4, "settings of a later version")
    require(len(read.get("shredded", b"")) % 16 == 0, "a part of an id")
    require(len(read.get("floors", b"")) % 24 == 0, "a part of a floor")
    require(len(read.get("exported", b"")) % 12 == 0, "a part of an id")
    return {**read, "slots": [slot_held(entries) for entries in read["slots"]]}


def slot_held(entries):
    times = {3: ("since_ms", UINT), 4: ("until_ms", UINT), 5: ("first_revision", UINT)}
    required = {0: ("slot_id", 16), 1: ("provider", UINT), 2: ("root_id", 16)}
    held = fields(entries, required, {**times, 6: ("key", MAP)})
    require(("key" in held) == (held["provider"] == 2), "a key without a provider, or none with one")
    if "key" in held:
        held["key"] = fields(held["key"], {0: ("kind", TEXT), 1: ("key_id", TEXT), 2: ("key_version", UINT)})
    return held


# The vault (section 9).


class Vault:
    def __init__(self, rows, unlock):
        self.rows = rows
        self.store_id = exactly(clear(rows[b"\x00\x01"], 0x10), 16)
        self.root = self.open_slots(unlock)
        self.root_keys = {key_id(self.root): self.root}
        read = self.open_store()
        require(read["root_id"] == key_id(self.root), "the root key of another vault")
        require(read["min_suite"] == 1, "suites of a later version")
        require(any(self.holds(held) for held in read["slots"]), "a slot that holds this root no more")
        self.keyrings = {}

    def open_slots(self, unlock):
        refusal = Malformed("no slot")
        for key, row in self.rows.items():
            if key[:2] != b"\x00\x02":
                continue
            try:
                root = self.open_slot(key, row, unlock)
                self.opened = self.slot(key, row)
                return root
            except envelope.Refused as refused:
                refusal = refused
        raise refusal

    def slot(self, key, row):
        names = {0: ("clear", bytes), 1: ("check", 8), 2: ("revision", UINT), 3: ("record", bytes)}
        read = fields(body(row, 0x04), names)
        require(hashlib.sha256(read["clear"]).digest()[:8] == read["check"], "a decayed slot")
        always = {0: ("slot_id", 16), 1: ("store_id", 16), 2: ("provider", UINT)}
        argon2 = {3: ("salt", 16), 4: ("memory_kib", UINT), 5: ("passes", UINT), 6: ("lanes", UINT)}
        entries = cbor(read["clear"])
        provider = {7: ("kind", TEXT), 8: ("key_id", TEXT), 9: ("key_version", UINT), 10: ("blob", bytes)}
        require(entries.get(2) in (0, 1, 2), "a provider of a later version")
        asks = fields(entries, {**always, **({}, argon2, provider)[entries[2]]})
        require(asks["slot_id"] == key[2:] and asks["store_id"] == self.store_id, "a slot of another place")
        return {**read, **asks}

    def open_slot(self, key, row, unlock):
        slot = self.slot(key, row)
        base = unlock(slot)
        slot_key = expand(base, b"strongroom/v1/slot" + self.store_id + struct.pack(">I", 16) + slot["slot_id"], 32)
        asked = context(
            self.store_id, 4, "slot", key_name=slot["slot_id"].hex(), revision=slot["revision"]
        )
        return exactly(open_under({key_id(slot_key): slot_key}, asked, slot["record"]), 32)

    def holds(self, held):
        slot = self.opened
        same = all(held[name] == slot[name] for name in ("slot_id", "provider"))
        key = held.get("key") == (
            {name: slot[name] for name in ("kind", "key_id", "key_version")} if slot["provider"] == 2 else None
        )
        current = held["root_id"] == key_id(self.root) and "until_ms" not in held
        return same and key and current and slot["revision"] >= held.get("first_revision", 0)

    def open_store(self):
        row = sealed(self.rows[b"\x00\x03"], 7)
        asked = context(self.store_id, 7, "store", revision=row["revision"])
        return store(open_under(self.root_keys, asked, row["record"]))

    def keyring(self, ids, account=None):
        """The keyring of a key scope, and its keys that may open a record."""
        scope = ids["org"], ids["environment"], account
        if scope not in self.keyrings:
            owner = account.encode() + b"\x00" if account is not None else b""
            row = sealed(self.rows[tenant(ids) + b"\x01" + owner], 6)
            asked = context(
                self.store_id, 6, "keyring", ids, linked_account=account, revision=row["revision"]
            )
            read = keyring(open_under(self.root_keys, asked, row["record"]))
            keys = {dek["id"]: dek["key"] for dek in read["deks"] if dek["generation"] >= read["min_version"]}
            self.keyrings[scope] = {**read, "revision": row["revision"]}, keys
        return self.keyrings[scope]

    def read_row(self, key, row):
        name, ids = parse_key(key)
        return {"row": name, **ids, **getattr(self, "read_" + name.replace(" ", "_"))(key, row, ids)}

    def read_header(self, key, row, ids):
        return {"store_id": self.store_id}

    def read_slot(self, key, row, ids):
        slot = self.slot(key, row)
        return {name: slot[name] for name in slot if name not in ("clear", "check", "record")}

    def read_store(self, key, row, ids):
        return {**self.open_store(), "revision": sealed(row, 7)["revision"]}

    def read_epoch(self, key, row, ids):
        exactly(clear(row, 0x12), 0)
        return {}

    def read_generation(self, key, row, ids):
        exactly(clear(row, 0x12), 0)
        return {}

    def read_definition_name(self, key, row, ids):
        return {"definition_id": exactly(clear(row, 0x11), 12)}

    def read_definition_value(self, key, row, ids):
        mark = clear(row, 0x11)
        require(mark in (b"", b"\x01"), "an unknown mark")
        return {"grandfathered": mark == b"\x01"}

    def read_value_id(self, key, row, ids):
        target = clear(row, 0x11)
        require(target.startswith(tenant(ids)), "an index row that leads to another tenant")
        name, _ = parse_key(target)
        require(name == "value", "an index row that leads elsewhere")
        return {"target": target}

    def read_keyring(self, key, row, ids):
        read, _ = self.keyring(ids, ids["linked_account"])
        deks = [{name: dek[name] for name in dek if name != "key"} for dek in read["deks"]]
        return {**read, "deks": deks}

    def read_job(self, key, row, ids):
        row = sealed(row, 7)
        asked = context(self.store_id, 7, "job", ids, key_name=ids["job_id"], revision=row["revision"])
        return {"revision": row["revision"], **job(open_under(self.root_keys, asked, row["record"]))}

    def read_count(self, key, row, ids):
        return self.under_dek(row, 7, "count", ids, count)

    def read_definition(self, key, row, ids):
        return self.under_dek(row, 5, ids["definition_id"], ids, definition)

    def read_value(self, key, row, ids):
        scope = {"linked_account": ids["linked_account"], "workflow": ids["workflow"]}
        read = self.under_dek(row, 1, ids["definition_id"], ids, sheet, ids["linked_account"], **scope)
        if tenant(ids) + b"\x10" + bytes.fromhex(ids["definition_id"]) not in self.rows:
            read.setdefault("absent", "its definition is gone")
        return read

    def read_former_value(self, key, row, ids):
        read = self.past(row, 9, ids)
        require(read["revision"] == ids["revision"], "a version in another one's place")
        return read

    def read_deleted_value(self, key, row, ids):
        read = self.past(row, 10, ids)
        require("absent" in read or read.get("deleted"), "a deletion that is none")
        return read

    def past(self, row, kind, ids):
        scope = {"linked_account": ids["linked_account"], "workflow": ids["workflow"]}
        read = self.under_dek(row, kind, ids["definition_id"], ids, sheet, ids["linked_account"], **scope)
        if tenant(ids) + b"\x10" + bytes.fromhex(ids["definition_id"]) not in self.rows:
            read.setdefault("absent", "its definition is gone")
        return read

    def read_former_credential(self, key, row, ids):
        read = self.credential(row, 9, ids)
        require(read["revision"] == ids["revision"], "a version in another one's place")
        return read

    def read_deleted_credential(self, key, row, ids):
        read = self.credential(row, 10, ids)
        require("absent" in read or read.get("deleted"), "a deletion that is none")
        return read

    def read_former_definition(self, key, row, ids):
        read = self.under_dek(row, 11, ids["definition_id"], ids, definition)
        require(read["revision"] == ids["revision"], "a version in another one's place")
        return read

    def read_deleted_definition(self, key, row, ids):
        read = self.under_dek(row, 12, ids["definition_id"], ids, definition)
        require("absent" in read or read.get("deleted"), "a deletion that is none")
        return read

    def read_account(self, key, row, ids):
        own = {"linked_account": ids["linked_account"], "key_name": ids["linked_account"]}
        return self.under_dek(row, 7, "account", ids, account, **own)

    def read_integration(self, key, row, ids):
        own = {"linked_account": ids["linked_account"], "key_name": ids["integration"]}
        return self.under_dek(row, 7, "integration", ids, integration, **own)

    def read_credential(self, key, row, ids):
        return self.credential(row, 2, ids)

    def credential(self, row, kind, ids):
        own = {"linked_account": ids["linked_account"], "key_name": ids["key_name"]}
        read = self.under_dek(row, kind, ids["integration"], ids, sheet, ids["linked_account"], **own)
        owner = ids["linked_account"].encode() + b"\x00"
        app = owner + ids["integration"].encode() + b"\x00"
        for key in tenant(ids) + b"\x30" + owner, tenant(ids) + b"\x31" + app:
            if key not in self.rows or "deleting" in self.read_row(key, self.rows[key]):
                read.setdefault("absent", "what it stands below is gone")
        return read

    def read_record(self, key, row, ids):
        key_name = ids["namespace"] + "\x00" + ids["key_name"]
        return self.under_dek(row, 7, "record", ids, host_record, key_name=key_name)

    def read_event(self, key, row, ids):
        read = self.under_dek(row, 7, "event", ids, event(bytes.fromhex(ids["id"])), key_name=ids["id"])
        require(("chain_number" in read) == (ids["number"] == 1), "a start that is not the first of its chain")
        return read

    def read_audit_head(self, key, row, ids):
        return self.under_dek(row, 7, "audit", ids, audit_head)

    def read_chain_head(self, key, row, ids):
        return self.under_dek(row, 7, "chain", ids, chain_head, key_name=ids["chain"])

    def read_audit_floor(self, key, row, ids):
        return self.under_dek(row, 7, "floor", ids, audit_floor)

    def under_dek(self, row, kind, name, ids, decode, owner=None, **more):
        """Opens a row under the DEK of the org, or of the account that owns it."""
        row = sealed(row, kind)
        doc_id = {"doc_id": row["doc_id"].hex()} if "doc_id" in row else {}
        clear_part = {"revision": row["revision"], **doc_id}
        read, keys = self.keyring(ids, owner)
        if bytes(row["record"][2:18]) in read["tombstones"]:
            return {**clear_part, "absent": "its key was dropped"}
        asked = context(self.store_id, kind, name, ids, **{**more, **clear_part})
        return {**clear_part, **decode(open_under(keys, asked, row["record"]))}


# A checkpoint (section 13).


def read_checkpoint(data, store_id, root):
    magic = b"\xd7strongroom checkpoint\n\x01"
    require(data.startswith(magic), "not a checkpoint")
    file_id, rest = data[len(magic) :][:16], data[len(magic) + 16 :]
    key = expand(root, b"strongroom/v1/checkpoint" + store_id + file_id, 32)
    blocks = []
    while rest:
        kind, length = struct.unpack(">BI", rest[:5])
        record, rest = rest[5 : 5 + length], rest[5 + length :]
        address = bytes([kind]) + struct.pack(">Q", len(blocks))
        blocks.append((kind, envelope.open_record(key, address, record)))
    kinds = [kind for kind, _ in blocks]
    require(kinds == [1] + [2] * (len(kinds) - 2) + [3], "blocks out of order")
    rows = [row for _, block in blocks[1:-1] for row in checkpoint_rows(block)]
    require(rows == sorted(rows) and blocks[-1][1] == struct.pack(">Q", len(rows)), "rows left out")
    return struct.unpack(">Q", exactly(blocks[0][1], 8))[0], rows


def checkpoint_rows(block):
    last = b""
    while block:
        shared, own = struct.unpack(">HH", block[:4])
        require(shared <= len(last), "a key that shares more than there is")
        last = last[:shared] + exactly(block[4 : 4 + own], own)
        yield last, struct.unpack(">Q", exactly(block[4 + own : 12 + own], 8))[0]
        block = block[12 + own :]


def is_stamped(key, row):
    return row[2] in (1, 2, 5, 6, 7, 9, 10, 11, 12) and key[:2] not in (b"\x00\x04", b"\x00\x05")


# The program.


def unlock_with(option, text):
    if option == "--passphrase":
        return lambda slot: argon2id(slot, text.encode())
    base, wanted = exactly(bytes.fromhex(text), 32), {"--raw-key": (0,), "--base": (1, 2)}[option]

    def unlock(slot):
        if slot["provider"] not in wanted:
            raise envelope.Refused("a slot for another kind of key")
        return base

    return unlock


def argon2id(slot, passphrase):
    try:
        from argon2.low_level import Type, hash_secret_raw
    except ImportError:
        sys.exit("store.py: a passphrase needs the module argon2-cffi, or give --base")
    if slot["provider"] != 1:
        raise envelope.Refused("a slot for another kind of key")
    cost = slot["passes"], slot["memory_kib"], slot["lanes"]
    return hash_secret_raw(passphrase, slot["salt"], *cost, 32, Type.ID, version=0x13)


def main(arguments):
    if len(arguments) not in (2, 3) or arguments[0] not in ("--raw-key", "--base", "--passphrase"):
        usage = "--raw-key HEX | --base HEX | --passphrase TEXT [CHECKPOINT] < dump.jsonl > rows.jsonl"
        sys.exit(f"usage: store.py {usage}")
    lines = [json.loads(line) for line in sys.stdin]
    rows = {bytes.fromhex(line["key"]): bytes.fromhex(line["value"]) for line in lines}
    vault = Vault(rows, unlock_with(*arguments[:2]))
    if len(arguments) == 3:
        with open(arguments[2], "rb") as file:
            started_ms, noted = read_checkpoint(file.read(), vault.store_id, vault.root)
        stamps = [(key, sealed(row, row[2])["revision"]) for key, row in sorted(rows.items()) if is_stamped(key, row)]
        require(noted == stamps, "the checkpoint is not of these rows")
        print(json.dumps({"row": "checkpoint", "started_ms": started_ms, "rows": len(noted)}))
        return
    for key, row in rows.items():
        try:
            print(json.dumps(vault.read_row(key, row), default=bytes.hex))
        except (Malformed, envelope.Refused, ValueError, KeyError) as error:
            sys.exit(f"store.py: the row at {key.hex()}: {type(error).__name__} {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
