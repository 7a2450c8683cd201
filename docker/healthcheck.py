"""Exit with status 0 if the service in this container is ready, else with 1."""

import http.client
import os
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("TRIAGE_HTTP__PORT") or 8000), timeout=2)
try:
    connection.request("GET", "/readyz")
    sys.exit(connection.getresponse().status != 200)
except OSError:
    sys.exit(1)
