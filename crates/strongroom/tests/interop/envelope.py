"""The sealed record of docs/FORMAT.md, written a second time from that page: Python's standard library and nothing else.

    python3 envelope.py seal|open < requests.jsonl > answers.jsonl

speaks the same JSON lines as `cargo run -q -p strongroom --example envelope -- seal|open`. Slow, not constant-time,
for tests only.
"""

import hashlib
import hmac
import json
import re
import struct
import sys

RECORD_LEN_MAX = 67_662


class Refused(Exception):
    """Its argument is the bare name of the reason."""


# The record.


def seal(dek, nonce, context, value):
    seal_key, commit_key, dek_id = keys(dek)
    header = b"\x01\x01" + dek_id + nonce
    bound = header + encode(context)
    sealed = siv_seal(seal_key, nonce, pad(value), bound)
    body, tag = sealed[:-16], sealed[-16:]
    commit = hmac.digest(commit_key, bound + tag, "sha256")
    record = header + commit + body + tag
    if len(record) > RECORD_LEN_MAX:
        raise Refused("Malformed")
    return record


def open_record(dek, context, record):
    if not record:
        raise Refused("Malformed")
    if record[0] != 1:
        raise Refused("UnknownVersion")
    if len(record) < 2:
        raise Refused("Malformed")
    if record[1] != 1:
        raise Refused("UnknownSuite")
    padded_len = len(record) - 78
    if len(record) > RECORD_LEN_MAX or padded_len not in CANONICAL_LENS:
        raise Refused("Malformed")
    header, commit, body, tag = record[:30], record[30:62], record[62:-16], record[-16:]
    seal_key, commit_key, dek_id = keys(dek)
    if header[2:18] != dek_id:
        raise Refused("UnknownKey")
    bound = header + encode(context)
    if not hmac.compare_digest(commit, hmac.digest(commit_key, bound + tag, "sha256")):
        raise Refused("Rejected")
    return unpad(siv_open(seal_key, header[18:], body, tag, bound))


def keys(dek):
    labels = (b"strongroom/v1/seal", 32), (b"strongroom/v1/commit", 32), (b"strongroom/v1/dek-id", 16)
    return [hmac.digest(dek, label + b"\x01", "sha256")[:length] for label, length in labels]


def encode(context):
    if isinstance(context, bytes):
        return context
    def lp(text):
        text = (text or "").encode()
        return struct.pack(">I", len(text)) + text

    def opt(text):
        return b"\x00" if text is None else b"\x01" + lp(text)

    c = context
    scope = c["store_id"] + lp(c["org"]) + lp(c["environment"]) + opt(c["linked_account"])
    row = bytes([c["kind"]]) + opt(c["workflow"]) + lp(c["name"]) + lp(c["key_name"]) + lp(c["doc_id"])
    return scope + row + struct.pack(">Q", c["revision"])


def padded(length):
    length += 1
    step = 32
    if length > 256:
        exponent = length.bit_length() - 1
        step = max(32, 2 ** (exponent - exponent.bit_length()))
    return -(-length // step) * step


def pad(value):
    return (value + b"\x80").ljust(padded(len(value)), b"\x00")


def unpad(text):
    value, mark, zeros = text.rpartition(b"\x80")
    if not mark or zeros.strip(b"\x00") or padded(len(value)) != len(text):
        raise Refused("Rejected")
    return value


CANONICAL_LENS = {padded(length) for length in range(RECORD_LEN_MAX)}


# AES-256-GCM-SIV, RFC 8452.


def siv_seal(key, nonce, text, aad):
    auth_key, enc_key = siv_keys(key, nonce)
    tag = siv_tag(auth_key, enc_key, nonce, text, aad)
    return counter_mode(enc_key, tag, text) + tag


def siv_open(key, nonce, body, tag, aad):
    auth_key, enc_key = siv_keys(key, nonce)
    text = counter_mode(enc_key, tag, body)
    if not hmac.compare_digest(tag, siv_tag(auth_key, enc_key, nonce, text, aad)):
        raise Refused("Rejected")
    return text


def siv_keys(key, nonce):
    schedule = aes_schedule(key)
    halves = [aes_block(schedule, struct.pack("<I", i) + nonce)[:8] for i in range(6)]
    return b"".join(halves[:2]), aes_schedule(b"".join(halves[2:]))


def siv_tag(auth_key, schedule, nonce, text, aad):
    def zero_padded(data):
        return data + bytes(-len(data) % 16)

    lengths = struct.pack("<QQ", len(aad) * 8, len(text) * 8)
    total = bytearray(polyval(auth_key, zero_padded(aad) + zero_padded(text) + lengths))
    for i, byte in enumerate(nonce):
        total[i] ^= byte
    total[15] &= 0x7F
    return aes_block(schedule, bytes(total))


def counter_mode(schedule, tag, data):
    head, tail = struct.unpack("<I", tag[:4])[0], tag[4:15] + bytes([tag[15] | 0x80])
    out = bytearray()
    for i in range(0, len(data), 16):
        stream = aes_block(schedule, struct.pack("<I", (head + i // 16) % 2**32) + tail)
        out += bytes(a ^ b for a, b in zip(data[i : i + 16], stream))
    return bytes(out)


def polyval(key, data):
    """Horner's rule with dot(a, b) = a * b * x^-128 in GF(2^128), x^128 + x^127 + x^126 + x^121 + 1."""
    h, total = int.from_bytes(key, "little"), 0
    for i in range(0, len(data), 16):
        total = dot(total ^ int.from_bytes(data[i : i + 16], "little"), h)
    return total.to_bytes(16, "little")


def dot(a, b):
    product = 0
    for i in range(128):
        if b >> i & 1:
            product ^= a
        product ^= (product & 1) * MODULUS
        product >>= 1
    return product


MODULUS = 1 << 128 | 1 << 127 | 1 << 126 | 1 << 121 | 1


# AES-256, FIPS 197.


def aes_schedule(key):
    words, rcon = [list(key[i : i + 4]) for i in range(0, 32, 4)], 1
    for i in range(8, 60):
        word = words[-1]
        if i % 8 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= rcon
            rcon *= 2
        elif i % 8 == 4:
            word = [SBOX[b] for b in word]
        words.append([a ^ b for a, b in zip(words[i - 8], word)])
    return [sum(words[i : i + 4], []) for i in range(0, 60, 4)]


def aes_block(schedule, block):
    state = [a ^ b for a, b in zip(block, schedule[0])]
    for round_no, round_key in enumerate(schedule[1:], 1):
        state = [SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if round_no < 14:
            mixed = []
            for i in range(0, 16, 4):
                a, b, c, d = state[i : i + 4]
                whole = a ^ b ^ c ^ d
                pairs = ((a, b), (b, c), (c, d), (d, a))
                mixed += [x ^ whole ^ DOUBLE[x ^ y] for x, y in pairs]
            state = mixed
        state = [a ^ b for a, b in zip(state, round_key)]
    return bytes(state)


def make_sbox():
    power, log, value = [0] * 256, [0] * 256, 1
    for i in range(255):
        power[i], log[value] = value, i
        value ^= DOUBLE[value]
    box = []
    for i in range(256):
        b = power[(255 - log[i]) % 255] if i else 0
        box.append(b ^ rotate(b, 1) ^ rotate(b, 2) ^ rotate(b, 3) ^ rotate(b, 4) ^ 0x63)
    return box


def rotate(byte, by):
    return (byte << by | byte >> (8 - by)) & 0xFF


DOUBLE = [(b << 1 ^ (b >> 7) * 0x11B) & 0xFF for b in range(256)]
SBOX = make_sbox()


# The JSON lines.


def answer(mode, line):
    try:
        request = json.loads(line)
        dek, context = unhex(request["dek"], 32), parsed(request["context"])
        if mode == "seal":
            record = seal(dek, unhex(request["nonce"], 12), context, unhex(request["plaintext"]))
            return {**request, "record": record.hex()}
        return {"plaintext": open_record(dek, context, unhex(request["record"])).hex()}
    except Refused as refused:
        return {"error": str(refused)}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {"error": "Malformed"}


def parsed(context):
    texts = "org", "environment", "linked_account", "workflow", "name", "key_name", "doc_id"
    if not all(isinstance(context.get(field), (str, type(None))) for field in texts):
        raise ValueError
    for field, limit in (("kind", 1 << 8), ("revision", 1 << 64)):
        if type(context[field]) is not int or not 0 <= context[field] < limit:
            raise ValueError
    return {**dict.fromkeys(texts), **context, "store_id": unhex(context["store_id"], 16)}


def unhex(text, length=None):
    if not re.fullmatch("([0-9a-fA-F]{2})*", text) or length not in (None, len(text) // 2):
        raise ValueError
    return bytes.fromhex(text)


if __name__ == "__main__":
    if sys.argv[1:] not in (["seal"], ["open"]):
        sys.exit("usage: envelope.py seal|open < requests.jsonl > answers.jsonl")
    for line in sys.stdin:
        print(json.dumps(answer(sys.argv[1], line)), flush=True)
