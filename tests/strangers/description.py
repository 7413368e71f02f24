#!/usr/bin/env python3
"""Makes one strict OpenAPI document of the parts of Twilio's published description that we use.

    description.py FOLDER-OF-TWILIO-JSON OUT.json

As published, the description is too lax to notice a misspelt field (no property is required, others are
allowed) and in places too strict for Twilio's own answers. So responses are tightened, and what is known
to be wrong is corrected, each correction with its reason. The files of recordings are no part of it.
"""
import json
import re
import sys

# Files, and the paths of each that the agent asks for.
PARTS = {
    "twilio_api_v2010": r"/2010-04-01/Accounts/\{AccountSid\}/(Calls|Messages|IncomingPhoneNumbers|Applications|Recordings|Calls/\{CallSid\}/(Notifications|Recordings))(/\{Sid\})?\.json$|/2010-04-01/Accounts/(\{AccountSid\}/Balance|\{Sid\})\.json$",
    "twilio_monitor_v1": r"/v1/(Alerts|Events)(/\{Sid\})?$",
    "twilio_messaging_v1": r"/v1/Services(/\{Sid\}|/\{ServiceSid\}/PhoneNumbers(/\{Sid\})?|/\{MessagingServiceSid\}/Compliance/Usa2p)?$|/v1/a2p/BrandRegistrations/\{Sid\}$|/v1/Tollfree/Verifications$",
    "twilio_trunking_v1": r"/v1/Trunks/(\{Sid\}|\{TrunkSid\}/OriginationUrls)$",
    "twilio_numbers_v2": r"/v2/(RegulatoryCompliance/Bundles/\{Sid\}|HostedNumber/Orders)$",
    "twilio_voice_v1": r"/v1/DialingPermissions/Countries$",
    "twilio_numbers_v1": r"/v1/Porting/(PortIn/PortInRequests|PortIn/\{PortInRequestSid\}(/PhoneNumber/\{PhoneNumberSid\})?|Portability/PhoneNumber/\{PhoneNumber\})$",
    "twilio_routes_v2": r"/v2/PhoneNumbers/\{PhoneNumber\}$",
    "twilio_routes_v3": r"/v3/PhoneNumbers/\{phoneNumber\}$",
}

# Prism overlooks a parameter that it does not know, and so a misspelt one. What is always sent is required instead:
# by test calls that are listened to, and by test messages.
SENT = {
    "CreateCallRequest": ["To", "From", "Twiml", "Timeout", "TimeLimit", "Record", "RecordingChannels", "Trim"],
    "UpdateCallRequest": ["Status"],
    "CreateMessageRequest": ["To", "From", "Body"],
    "CreatePhoneNumberRequest": ["PhoneNumberSid"],
}


def walk(node, visit):
    if isinstance(node, dict):
        visit(node)
        for value in node.values():
            walk(value, visit)
    elif isinstance(node, list):
        for value in node:
            walk(value, visit)


def correct(node):
    """Errors of the description itself, by kind."""
    # Twilio's own first_page_uri, uri and next_page_uri are relative, which "uri" forbids.
    if node.get("format") == "uri":
        node["format"] = "uri-reference"
    # Dates of the 2010 API are RFC 2822 in every answer and example; "date-time" means ISO 8601.
    if node.get("format") in ("date-time-rfc-2822", "date-time"):
        del node["format"]
    # What may be anything may be null: where no type is said, Prism gives up, and checks nothing of the whole answer.
    if node.get("nullable") is True and not node.keys() & {"type", "$ref", "allOf", "anyOf", "oneOf"}:
        del node["nullable"]
    # An unset SID is "" as often as null in Twilio's own examples.
    pattern = node.get("pattern")
    if pattern and node.get("nullable"):
        node["pattern"] = "^$|" + pattern
        node.pop("minLength", None)


def correct_request(operation):
    """What is always sent is required. Writing "" clears a value, which the patterns of SIDs do not know."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        if schema.get("title") in SENT:
            schema["required"] = SENT[schema["title"]]
        for value in schema.get("properties", {}).values():
            if "pattern" in value:
                value["pattern"] = "^$|" + value["pattern"]
                value.pop("minLength", None)


def tighten(schema, schemas, seen):
    """Every property required, no others allowed."""
    if not isinstance(schema, dict):
        return
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        if name not in seen:
            seen.add(name)
            tighten(schemas[name], schemas, seen)
        return
    if schema.get("type") == "object" and schema.get("properties"):
        schema["additionalProperties"] = False
        schema["required"] = sorted(schema["properties"])
        for value in schema["properties"].values():
            tighten(value, schemas, seen)
    if "items" in schema:
        tighten(schema["items"], schemas, seen)


def main(folder, out):
    whole = {
        "openapi": "3.0.1",
        "info": {"title": "The parts of Twilio's API that Ringback uses", "version": "1"},
        "paths": {},
        "components": {"schemas": {}, "parameters": {}, "securitySchemes": {}},
    }
    for name, wanted in PARTS.items():
        with open(f"{folder}/{name}.json") as f:
            part = json.load(f)
        schemas = part["components"]["schemas"]
        walk(part, correct)
        if name == "twilio_api_v2010":
            # Text in the example that goes with it, as every other price is.
            schemas["api.v2010.account.call.call_recording"]["properties"]["price"]["type"] = "string"
        for path, operations in part["paths"].items():
            if not re.search(wanted, path):
                continue
            operations.pop("servers", None)
            for operation in operations.values():
                if isinstance(operation, dict):
                    correct_request(operation)
                    for response in operation.get("responses", {}).values():
                        for content in response.get("content", {}).values():
                            tighten(content.get("schema", {}), schemas, set())
            whole["paths"][path] = operations
        # Schemas of different files share names only where they share content.
        for key, value in schemas.items():
            whole["components"]["schemas"].setdefault(key, value)
        whole["components"]["securitySchemes"].update(part["components"]["securitySchemes"])
        for key, value in part["components"].get("parameters", {}).items():
            assert whole["components"]["parameters"].setdefault(key, value) == value, f"two parameters named {key}"
    # TwiML Bins have a host of their own and no description.
    whole["paths"]["/twiml/{Sid}"] = {
        "get": {
            "security": [],
            "parameters": [{"name": "Sid", "in": "path", "required": True, "schema": {"type": "string"}}],
            "responses": {"200": {"description": "TwiML", "content": {"text/xml": {"schema": {"type": "string"}}}}},
        }
    }
    with open(out, "w") as f:
        json.dump(whole, f)
    print(f"{len(whole['paths'])} paths")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
