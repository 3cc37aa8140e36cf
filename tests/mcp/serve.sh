# Sourced by the scripts here, after tests/lib/env.sh: servers.
fixture=$bin/../tests/bin/mcp-fixture

# serve PROGRAM ARGS...: over HTTP; returns when it is ready. Sets $port and $server_pid.
serve() {
    local ready=$dir/ready.$RANDOM line=
    mkfifo "$ready"
    "$@" --transport http --port 0 --ready-fd 9 9>"$ready" 2>>"$dir/server.log" &
    server_pid=$!
    pids+=("$server_pid")
    read -r line <"$ready" || true
    [[ $line == READY* ]] || fail "$1: ${line:-ended}; $(tail -n 5 "$dir/server.log")"
    port=${line#READY }
}
