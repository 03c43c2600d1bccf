"""Says of each text, a JSON string on a line of standard input, whether OpenSSL reads every PEM block that begins in it."""

import ctypes
import ctypes.util
import json
import sys

NO_START_LINE = 108  # pemerr.h

crypto = ctypes.CDLL(ctypes.util.find_library("crypto") or "libcrypto.so.3")
crypto.BIO_new_mem_buf.restype = ctypes.c_void_p
crypto.BIO_new_mem_buf.argtypes = [ctypes.c_char_p, ctypes.c_int]
crypto.BIO_free.argtypes = [ctypes.c_void_p]
crypto.PEM_read_bio.argtypes = [ctypes.c_void_p] * 5
crypto.ERR_peek_last_error.restype = ctypes.c_ulong


def reads(text):
    bio, count = crypto.BIO_new_mem_buf(text, len(text)), 0
    while True:
        name, header, data, length = (ctypes.c_void_p() for _ in range(4))
        crypto.ERR_clear_error()
        if not crypto.PEM_read_bio(bio, *map(ctypes.byref, (name, header, data, length))):
            crypto.BIO_free(bio)
            return count > 0 and crypto.ERR_peek_last_error() & 0x7FFFFF == NO_START_LINE
        count += 1


for line in sys.stdin:
    print(json.dumps(reads(json.loads(line).encode())))
