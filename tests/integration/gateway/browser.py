"""A page of a server in a sandbox in a real browser, through the gateway: browser.py OPEN GUARDED."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

from ports import BOX, GUARDED, inside, must, share, until

browser = next((b for b in ("chromium", "chromium-browser", "google-chrome") if shutil.which(b)), None)
if browser is None:
    print("skipped: no chromium here (apt-get install chromium)")
    sys.exit(77)

link = share()
with tempfile.TemporaryDirectory() as home:
    said = open(f"{home}/said", "wb")
    # Its own sandbox needs what containers rarely give; the page is ours.
    program = subprocess.Popen(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
         f"--user-data-dir={home}/data", "--remote-debugging-port=0", f"http://127.0.0.1:{GUARDED}{link}page"],
        stdin=subprocess.DEVNULL, stdout=said, stderr=said, env={**os.environ, "HOME": home}, start_new_session=True)
    try:
        told = json.loads(until(lambda: inside("told"), "what the page tells"))
    finally:
        os.killpg(program.pid, 9)
        program.wait()
        said.close()
print(json.dumps(told))
assert told["origin"] == "null", "an origin of its own"
assert told["storage"] == "SecurityError" and told["cookie"] == "SecurityError", "nothing that is the gateway's"
assert told["own"] == 200, "its own server is in reach"
assert told["rest"] in (401, 403, "TypeError"), "and the gateway is not"
assert told["text"] == "from a page" and told["bytes"] == 200000 and told["ws"] == 4000, "a WebSocket, and its close"
must("DELETE", f"/api/v1/sandboxes/{BOX}")
print("ok a browser")
