# What the scripts share that drive a running server: schemathesis, and a server over a store in memory.
# shellcheck shell=bash

# Where cargo builds.
target_directory() {
    cargo metadata --no-deps --format-version 1 | json target_directory
}

# A field of the JSON object on standard input.
json() {
    python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# Puts schemathesis into a virtual environment below the target directory, and its path into `schemathesis`.
install_schemathesis() {
    local wanted venv
    wanted=schemathesis==4.32.5
    venv=$(target_directory)/contract-venv
    schemathesis=$venv/bin/schemathesis
    if "$venv/bin/pip" freeze 2>/dev/null | grep -qx "$wanted"; then
        return
    fi
    rm -rf "$venv"
    if ! python3 -m venv "$venv" || ! "$venv/bin/pip" install --quiet --disable-pip-version-check "$wanted"; then
        rm -rf "$venv"
        printf '%s needs Python 3 with venv (Debian: python3-venv) and a package index with %s\n' "$0" "$wanted" >&2
        exit 2
    fi
}

# Starts the example server, which lives as long as this script, and puts its address and its key into `url` and `key`.
start_server() {
    local started
    cargo build --quiet --package strongroom-http --example serve
    coproc server { "$(target_directory)/debug/examples/serve"; }
    read -r -u "${server[0]}" started
    url=$(json url <<<"$started")
    key=$(json api_key <<<"$started")
}

# A call of the server with the key: METHOD PATH BODY.
call() {
    curl --silent --fail-with-body --request "$1" --header "x-api-key: $key" \
        --header 'content-type: application/json' --data "$3" "$url/api/v2/public$2"
}
