"""mlflow: a client whose test of a webhook sends what the tracking server's would.

The signature is over the delivery's id, its time and the body, as MLflow's
delivery.py makes it, and the body is the example of its types.py.
"""

import base64
import hashlib
import hmac
import json
import time
import urllib.request
import uuid
from types import SimpleNamespace


class MlflowClient:
    def create_webhook(self, name, url, events, description=None, secret=None, status=None):
        self._webhook = SimpleNamespace(webhook_id="1", name=name, url=url, events=events, secret=secret)
        return self._webhook

    def test_webhook(self, webhook_id, event=None):
        hook = self._webhook
        assert webhook_id == hook.webhook_id
        entity, action = hook.events[0].split(".")
        body = json.dumps({
            "entity": entity, "action": action, "timestamp": "2026-11-20T10:00:00+00:00",
            "data": {
                "name": "example_model", "version": "1", "source": "models:/123", "run_id": "abcd1234abcd5678",
                "tags": {"example_key": "example_value"}, "description": "An example model version",
            },
        })
        delivery, now = str(uuid.uuid4()), str(int(time.time()))
        digest = hmac.new(hook.secret.encode(), f"{delivery}.{now}.{body}".encode(), hashlib.sha256).digest()
        request = urllib.request.Request(hook.url, data=body.encode(), headers={
            "Content-Type": "application/json", "X-MLflow-Delivery-Id": delivery, "X-MLflow-Timestamp": now,
            "X-MLflow-Signature": "v1," + base64.b64encode(digest).decode(),
        })
        with urllib.request.urlopen(request) as answer:
            return SimpleNamespace(success=True, response_status=answer.status, response_body=answer.read().decode())
