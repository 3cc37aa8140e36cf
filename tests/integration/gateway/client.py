"""HTTP to a gateway under test, and the answers held against its own OpenAPI document."""

import http.client
import json
import re

import schema

WAIT = 60


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def events(self):
        """(event, data, id) of each event of a stream."""
        found = []
        for block in self.body.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
            if fields:
                found.append((fields["event"], json.loads(fields["data"]), fields.get("id")))
        return found


def ask(port, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


class Contract:
    """Calls operations by their name in the document and checks what comes back."""

    def __init__(self, port):
        self.port = port
        self.document = ask(port, "GET", "/api/v1/openapi.json").json()
        self.operations = {operation["operationId"]: (path, method, operation)
                           for path, methods in self.document["paths"].items()
                           for method, operation in methods.items()}
        self.called = set()

    def call(self, name, status, variables=(), query="", body=None, headers=None):
        path, method, operation = self.operations[name]
        values = list(variables)
        path = re.sub(r"\{[^}]+\}", lambda _: values.pop(0), path)
        assert not values, f"{name}: too many variables"
        got = ask(self.port, method.upper(), "/api/v1" + path + query, body, headers)
        assert got.status == status, f"{name}: {got.status} instead of {status}: {got.body[:500]}"
        self.check(name, operation, got)
        self.called.add(name)
        return got

    def check(self, name, operation, got):
        answers = operation["responses"]
        answer = answers.get(str(got.status)) or answers[f"{got.status // 100}XX"]
        if "$ref" in answer:
            answer = self.document["components"]["responses"][answer["$ref"].rsplit("/", 1)[1]]
        content = answer.get("content")
        if content is None:
            assert got.body == b"", f"{name}: a body where the document has none"
            return
        media = got.headers["Content-Type"].split(";")[0]
        assert media in content, f"{name}: {media} is none of {list(content)}"
        if media.endswith("json"):
            schema.check(self.document, content[media]["schema"], got.json(), name)
