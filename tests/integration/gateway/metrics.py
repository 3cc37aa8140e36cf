"""/metrics: text that Prometheus takes, by its own tool where that is installed."""

import re
import shutil
import subprocess
import sys

from client import ask

OPEN, KEYED = int(sys.argv[1]), int(sys.argv[2])
SAMPLE = re.compile(r'^([a-zA-Z_]\w*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*\})? (\S+)$')

assert ask(KEYED, "GET", "/metrics").status == 401
assert ask(OPEN, "GET", "/api/v1/nothing").status == 404
assert ask(OPEN, "GET", "/health/live").status == 200
got = ask(OPEN, "GET", "/metrics")
assert got.status == 200 and got.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
text = got.body.decode()
kinds, samples = {}, {}
for line in text.splitlines():
    if line.startswith("# TYPE "):
        _, _, name, kind = line.split(" ")
        assert name not in kinds, f"{name} is there twice"
        kinds[name] = kind
    elif not line.startswith("# HELP "):
        match = SAMPLE.match(line)
        assert match, line
        family = match[1] if match[1] in kinds else re.sub(r"_(bucket|sum|count)$", "", match[1])
        assert family in kinds, f"{line} has no TYPE before it"
        samples[match[1] + (match[2] or "")] = float(match[3])
wanted = 'aisbx_gateway_requests_total{protocol="rest",method="GET",status="404"}'
assert samples[wanted] == 1, samples
assert samples["aisbx_gateway_connections"] >= 1
assert samples['aisbx_gateway_request_duration_seconds_count{protocol="rest"}'] == \
    samples['aisbx_gateway_request_duration_seconds_bucket{protocol="rest",le="+Inf"}'] == 1
print(f"{len(kinds)} families, {len(samples)} samples")
tool = shutil.which("promtool")
if tool is None:
    print("without promtool (Debian: prometheus)")
else:
    checked = subprocess.run([tool, "check", "metrics"], input=got.body, capture_output=True, check=False)
    assert checked.returncode == 0 and not checked.stderr and not checked.stdout, checked
    print("promtool check metrics: clean")
