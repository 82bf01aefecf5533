"""sync_streams/openapi.json: the REST API as OpenAPI 3.1, from serializers and limits.

See https://spec.openapis.org/oas/v3.1.0.
"""

import json
from typing import Any

from rest_framework.serializers import Serializer

from sync_streams import __version__
from sync_streams.models import MAX_DEBOUNCING_WINDOW_MS, MIN_DEBOUNCING_WINDOW_MS
from sync_streams.operations.data import MAX_DATA_BYTES
from sync_streams.operations.validators import (
    MAX_FRIENDLY_NAME_LENGTH,
    MAX_TTL_SECONDS,
    MAX_UNIQUE_NAME_LENGTH,
    MAX_WEBHOOK_URL_LENGTH,
)
from sync_streams.rest.pagination import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from sync_streams.rest.serializers import (
    ServiceParameters,
    ServiceSerializer,
    StreamChanges,
    StreamParameters,
    StreamSerializer,
)

Schema = dict[str, Any]

INFO = {
    "title": "sync_streams",
    "version": __version__,
    "summary": "REST API of a self-hosted server for Twilio Sync Streams.",
    "description": (
        "Services, Streams and Stream Messages, compatible with Twilio's helper "
        "libraries. A Service is given by its SID, its unique name or `default`, a "
        "Stream by its SID or its unique name."
    ),
    "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
}


def _sid(prefix: str) -> Schema:
    return {"type": "string", "pattern": f"^{prefix}[0-9a-f]{{32}}$"}


def _nullable(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


_TEXT: Schema = {"type": "string"}
_DATE: Schema = {"type": "string", "format": "date-time"}
_URL: Schema = {"type": "string", "format": "uri"}
_BOOLEAN: Schema = {"type": "boolean"}
_LINKS: Schema = {"type": "object", "additionalProperties": _URL}
_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_UNIQUE_NAME_LENGTH}

ANSWERS: dict[str, Schema] = {
    "account_sid": _sid("AC"),
    "service_sid": _sid("IS"),
    "unique_name": _nullable(_TEXT),
    "friendly_name": _nullable(_TEXT),
    "url": _URL,
    "links": _LINKS,
    "webhook_url": _nullable(_TEXT),
    "date_created": _DATE,
    "date_updated": _DATE,
    "date_expires": {
        **_nullable(_DATE),
        "description": "When the Stream expires; null: never.",
    },
    "created_by": {
        **_TEXT,
        "description": "Identity that created the Stream, or `system`.",
    },
    "webhooks_from_rest_enabled": _BOOLEAN,
    "reachability_webhooks_enabled": _BOOLEAN,
    "acl_enabled": _BOOLEAN,
    "reachability_debouncing_enabled": _BOOLEAN,
    "reachability_debouncing_window": {"type": "integer"},
}
"""Fields of responses; the form of the SID depends on the resource."""

PARAMETERS: dict[str, Schema] = {
    "UniqueName": {
        **_NAME,
        "description": "Unique within the Service; not in the form of a SID.",
    },
    "Ttl": {
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_TTL_SECONDS,
        "description": "Seconds until the Stream expires; 0: never.",
    },
    "FriendlyName": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_FRIENDLY_NAME_LENGTH,
    },
    "WebhookUrl": {
        "type": "string",
        "maxLength": MAX_WEBHOOK_URL_LENGTH,
        "description": "Absolute http or https URL; empty: none.",
    },
    "WebhooksFromRestEnabled": {
        **_BOOLEAN,
        "description": "Whether changes over REST send webhooks.",
    },
    "ReachabilityWebhooksEnabled": {
        **_BOOLEAN,
        "description": "Whether connects and disconnects of identities send webhooks.",
    },
    "AclEnabled": {
        **_BOOLEAN,
        "description": "Whether clients with access tokens cannot create Streams.",
    },
    "ReachabilityDebouncingEnabled": _BOOLEAN,
    "ReachabilityDebouncingWindow": {
        "type": "integer",
        "minimum": MIN_DEBOUNCING_WINDOW_MS,
        "maximum": MAX_DEBOUNCING_WINDOW_MS,
        "description": "Milliseconds.",
    },
}
"""Parameters of request bodies."""

DATA: Schema = {
    "description": f"A JSON object of at most {MAX_DATA_BYTES:,} bytes in compact form."
}

EXAMPLES = {"ServiceSid": {"example": "default"}, "StreamSid": {"example": "demo"}}

ERRORS = {
    "400": "A parameter, header or body is invalid.",
    "401": "The credentials are missing or wrong (20003).",
    "404": "There is no such Service, Stream or path (20404).",
    "409": "Another Stream has this unique name (54301).",
    "413": "The data or the request body is too large (54006).",
    "429": "The publish rate of the Stream is exceeded (54009).",
    "503": "Redis or the database does not respond (20503).",
}


def render() -> str:
    """Return the document as JSON."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def document() -> Schema:
    """Return the document."""
    return {
        "openapi": "3.1.0",
        "info": INFO,
        "servers": [{"url": "/"}],
        "security": [{"account": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {
                "account": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Account SID and auth token, or API key and secret.",
                }
            },
            "schemas": _schemas(),
            "responses": {
                status: {
                    "description": text,
                    "headers": _headers(status),
                    "content": _json("Error"),
                }
                for status, text in ERRORS.items()
            },
        },
    }


def _headers(status: str) -> Schema:
    if status != "429":
        return {}
    seconds = {"type": "integer", "minimum": 1}
    return {"Retry-After": {"schema": seconds, "description": "Seconds."}}


def _paths() -> Schema:
    services, streams = "/v1/Services", "/v1/Services/{ServiceSid}/Streams"
    service, stream = f"{services}/{{Sid}}", f"{streams}/{{Sid}}"
    return {
        services: {
            "get": _list("Service", ["400", "401"]),
            "post": _change("create", "Service", ServiceParameters),
        },
        service: _one("Service", ServiceParameters, _path(service)),
        streams: {
            "parameters": _path(streams),
            "get": _list("Stream", ["400", "401", "404"]),
            "post": _change("create", "Stream", StreamParameters, "404", "409"),
        },
        stream: _one("Stream", StreamChanges, _path(stream)),
        f"{streams}/{{StreamSid}}/Messages": {
            "parameters": _path(f"{streams}/{{StreamSid}}"),
            "post": _publish(),
        },
    }


def _path(path: str) -> list[Schema]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "schema": _NAME, **example}
        for name, example in ((name, EXAMPLES.get(name, {})) for name in names)
    ]


def _one(kind: str, parameters: type[Serializer[Any]], path: list[Schema]) -> Schema:
    return {
        "parameters": path,
        "get": {
            "operationId": f"fetch{kind}",
            "summary": f"Fetch a {kind}",
            "responses": _responses("200", kind, "400", "401", "404"),
        },
        "post": _change("update", kind, parameters, "404"),
        "delete": {
            "operationId": f"remove{kind}",
            "summary": f"Remove a {kind}",
            "responses": {
                "204": {"description": f"The {kind} was removed."},
                **_errors("400", "401", "404", "503"),
            },
        },
    }


def _list(kind: str, errors: list[str]) -> Schema:
    size = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE}
    page = {"type": "integer", "minimum": 0}
    return {
        "operationId": f"list{kind}s",
        "summary": f"List {kind}s in order of creation",
        "parameters": [
            _query("PageSize", {**size, "default": DEFAULT_PAGE_SIZE}),
            _query("Page", page, "Only together with `PageToken`, except for 0."),
            _query("PageToken", _TEXT, "From `next_page_url`."),
        ],
        "responses": _responses("200", f"{kind}List", *errors),
    }


def _query(name: str, schema: Schema, description: str = "") -> Schema:
    text = {"description": description} if description else {}
    return {"name": name, "in": "query", "schema": schema, **text}


def _change(
    verb: str, kind: str, parameters: type[Serializer[Any]], *errors: str
) -> Schema:
    schema = {
        "type": "object",
        "properties": {name: PARAMETERS[name] for name in _names(parameters)},
    }
    status = "201" if verb == "create" else "200"
    return {
        "operationId": f"{verb}{kind}",
        "summary": f"{verb.title()} a {kind}",
        "requestBody": {"content": _bodies(schema)},
        "responses": _responses(status, kind, "400", "401", *errors, "413", "503"),
    }


def _publish() -> Schema:
    text = {**DATA, "type": "string", "contentMediaType": "application/json"}
    value = {**DATA, "type": ["object", "string"]}
    bodies = {
        "application/x-www-form-urlencoded": text,
        "application/json": value,
    }
    return {
        "operationId": "publishMessage",
        "summary": "Publish a Message",
        "description": "The Message reaches all current subscribers and is not stored."
        " After 503 it may have been published nevertheless.",
        "requestBody": {
            "required": True,
            "content": {
                kind: {
                    "schema": {
                        "type": "object",
                        "required": ["Data"],
                        "properties": {"Data": schema},
                    }
                }
                for kind, schema in bodies.items()
            },
        },
        "responses": _responses(
            "201", "Message", "400", "401", "404", "413", "429", "503"
        ),
    }


def _bodies(schema: Schema) -> Schema:
    kinds = "application/x-www-form-urlencoded", "application/json"
    return {kind: {"schema": schema} for kind in kinds}


def _responses(status: str, kind: str, *errors: str) -> Schema:
    good = {"description": f"The {kind}.", "content": _json(kind)}
    return {status: good, **_errors(*errors)}


def _errors(*statuses: str) -> Schema:
    return {each: {"$ref": f"#/components/responses/{each}"} for each in statuses}


def _json(name: str) -> Schema:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"application/json": {"schema": schema}}


def _schemas() -> Schema:
    return {
        "Service": _resource(ServiceSerializer, "IS"),
        "Stream": _resource(StreamSerializer, "TO"),
        "Message": _object(sid=_sid("TZ"), data={"type": "object"}),
        "ServiceList": _page("Service", "services"),
        "StreamList": _page("Stream", "streams"),
        "Meta": _object(
            page={"type": "integer"},
            page_size={"type": "integer"},
            first_page_url=_URL,
            previous_page_url=_nullable(_URL),
            url=_URL,
            next_page_url=_nullable(_URL),
            key=_TEXT,
        ),
        "Error": _object(
            code={"type": "integer", "description": "Twilio's error code."},
            message=_TEXT,
            more_info=_URL,
            status={"type": "integer", "description": "The HTTP status."},
        ),
    }


def _resource(serializer: type[Serializer[Any]], prefix: str) -> Schema:
    known = ANSWERS | {"sid": _sid(prefix)}
    return _object(**{name: known[name] for name in _names(serializer)})


def _names(serializer: type[Serializer[Any]]) -> list[str]:
    return [str(name) for name in serializer().fields]


def _page(kind: str, key: str) -> Schema:
    items = {"$ref": f"#/components/schemas/{kind}"}
    array: Schema = {"type": "array", "items": items}
    meta: Schema = {"$ref": "#/components/schemas/Meta"}
    return _object(**{"meta": meta, key: array})


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": [*properties]}
