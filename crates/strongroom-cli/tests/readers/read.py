"""Has the real reader of a target read a file, and prints what it read as one JSON object.

    read.py DIR TARGET FILE

Two targets are read here by the rules of their readers instead: compose, whose reader is a plugin in Go that no package
index here has (compose-go 2, dotenv/parser.go), and github-actions, whose reader is a part of GitHub's runner
(FileCommandManager.cs).
"""

import base64
import ctypes
import glob
import http.server
import json
import os
import re
import socketserver
import subprocess
import sys
import tempfile
import threading

DIR, TARGET, FILE = sys.argv[1:]
BARE = {"PATH": os.environ["PATH"], "HOME": DIR, "LC_ALL": "C.UTF-8"}


def run(*command):
    return subprocess.run(command, env=BARE, cwd=DIR, check=True, stdout=subprocess.PIPE).stdout


def node(script, *options):
    return json.loads(run("node", *options, "-e", script, FILE))


def environment(dump):
    pairs = [pair.split(b"=", 1) for pair in dump.split(b"\0") if pair]
    read = {name.decode(): value.decode() for name, value in pairs}
    # What a shell sets whenever it starts.
    return {name: value for name, value in read.items() if name not in BARE and name not in ("PWD", "SHLVL", "_", "OLDPWD", "LOGNAME")}


def dotenv_node():
    text = 'require("fs").readFileSync(process.argv[1], "utf8")'
    read = node(f'console.log(JSON.stringify(require("dotenv").parse({text})))')
    fast = node(f'console.log(JSON.stringify(require("dotenv").parse({text}, {{fast: true}})))')
    assert read == fast, "the two parsers of dotenv differ"
    return read


def node_env_file():
    dump = 'process.stdout.write(Object.entries(process.env).map(([n, v]) => n + "=" + v + "\\0").join(""))'
    return environment(run("node", f"--env-file={FILE}", "-e", dump))


def python():
    script = "import dotenv, json, sys; print(json.dumps(dict(dotenv.dotenv_values(sys.argv[1]))))"
    return json.loads(run(f"{DIR}/venv/bin/python", "-c", script, FILE))


def docker():
    """The client reads the file and sends what it read to a daemon, which is this process."""
    seen = {}

    class Daemon(http.server.BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if "/containers/create" in self.path:
                seen.update(pair.split("=", 1) for pair in json.loads(body)["Env"] or [])
            text = b'{"Id":"x","Warnings":[]}'
            self.send_response(201 if "/create" in self.path else 200)
            self.send_header("api-version", "1.44")
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        do_GET = do_HEAD = do_POST = answer

        def address_string(self):
            return "client"

        def log_message(self, *_):
            pass

    with tempfile.TemporaryDirectory() as at:
        with socketserver.ThreadingUnixStreamServer(f"{at}/socket", Daemon) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            run("docker", "--host", f"unix://{at}/socket", "create", "--env-file", FILE, "image")
            server.shutdown()
    return seen


def compose():
    text = open(FILE, encoding="utf-8", newline="").read()
    escapes = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "$": "$$"}
    read = {}

    def substituted(value):
        pattern = r"\$(?i:(\$)|([_a-z][_a-z0-9]*)|\{([_a-z][_a-z0-9]*(?::?[-+?].*)?)\}|())"

        def one(found):
            assert found.group(4) is None, "invalid template"
            return "$" if found.group(1) else read.get(found.group(2) or found.group(3), "")

        return re.sub(pattern, one, value)

    while text := text.lstrip():
        if text[0] == "#":
            text = text.partition("\n")[2]
            continue
        key, text = re.match(r"(?:export\s+)?([\w.\[\]-]+)[\t\v\f\r \x85\xa0]*[=:](.*)", text, re.S).groups()
        text = text.lstrip("\t\v\f\r \x85\xa0")
        if text[:1] not in ("'", '"'):
            value, _, text = text.partition("\n")
            read[key] = substituted(value.split(" #")[0].rstrip())
            continue
        quote, chars, at, escaped = text[0], [], 1, False
        while text[at] != quote or escaped:
            c, at = text[at], at + 1
            if c == quote:
                chars.append(c)
                escaped = False
            elif c == "\\" and not escaped:
                escaped = True
            else:
                chars.append("\\" + c if escaped else c)
                escaped = False
        value, text = "".join(chars), text[at + 1 :]
        if quote == '"':
            value = substituted(re.sub(r'\\([abcfnrtv$"\\])', lambda found: escapes.get(found[1], found[0]), value))
        read[key] = value
    return read


def shell(*program):
    return environment(run(*program, "-c", 'set -a; . "$1"; env -0', program[0], FILE))


def shells():
    read = shell("dash")
    assert read == shell("bash") == shell("zsh", "-f"), "two shells differ"
    return read


def systemd():
    library = glob.glob("/usr/lib/*/systemd/libsystemd-shared-*.so") + glob.glob("/usr/lib/systemd/libsystemd-shared-*.so")
    systemd = ctypes.CDLL(library[0])
    strv = ctypes.POINTER(ctypes.c_char_p)
    pairs = strv()
    code = systemd.load_env_file(None, FILE.encode(), ctypes.byref(pairs))
    assert code >= 0, f"systemd cannot read the file: {code}"
    # As a unit is started with: it leaves out what it takes for no assignment.
    systemd.env_assignment_is_valid.restype = ctypes.c_bool
    read, at = {}, 0
    while pairs and pairs[at] is not None:
        if systemd.env_assignment_is_valid(ctypes.c_char_p(pairs[at])):
            name, value = pairs[at].split(b"=", 1)
            read[name.decode()] = value.decode()
        at += 1
    return read


def github_actions():
    text, read = open(FILE, encoding="utf-8", newline="").read(), {}
    for end in ("\n", "\r\n"):
        rest, found = text, {}
        while rest:
            line, _, rest = rest.partition("\n")
            line = line.removesuffix("\r") if end == "\r\n" else line
            if not line:
                continue
            equals, heredoc = line.find("="), line.find("<<")
            if heredoc < 0 or 0 <= equals < heredoc:
                name, value = line.split("=", 1)
            else:
                name, delimiter = line.split("<<", 1)
                value = None
                lines = rest.split("\n")
                stripped = [one.removesuffix("\r") for one in lines] if end == "\r\n" else lines
                last = stripped.index(delimiter)
                value = "\n".join(lines[:last])
                value = value.removesuffix("\r") if end == "\r\n" else value
                rest = "\n".join(lines[last + 1 :])
            found[name] = value
        assert not read or found == read, "the runners of Windows and of others differ"
        read = found
    return read


def yaml():
    script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1], encoding='utf-8', newline=''))))"
    read = json.loads(run(f"{DIR}/venv/bin/python", "-c", script, FILE))
    text = 'require("fs").readFileSync(process.argv[1], "utf8")'
    for version in ("1.1", "1.2"):
        other = node(f'console.log(JSON.stringify(require("yaml").parse({text}, {{version: "{version}"}})))')
        assert read == other, "two readers of YAML differ"
    return read


def k8s():
    manifest = yaml()
    assert (manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"]) == ("v1", "Secret", "strongroom")
    return {name: base64.b64decode(value, validate=True).decode() for name, value in manifest["data"].items()}


def plain_json():
    read = json.load(open(FILE, encoding="utf-8"))
    other = node('console.log(JSON.stringify(JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"))))')
    assert read == other, "two readers of JSON differ"
    return read


READERS = {
    "dotenv-node": dotenv_node,
    "node": node_env_file,
    "python": python,
    "docker": docker,
    "compose": compose,
    "shell": shells,
    "systemd": systemd,
    "json": plain_json,
    "yaml": yaml,
    "k8s": k8s,
    "github-actions": github_actions,
}
print(json.dumps(READERS[TARGET]()))
