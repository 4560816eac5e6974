//! The OpenAPI document, made of the table of routes.

use serde_json::{Map, Value as Json, json};

use super::super::EventKind;
use super::routes::{Body, Holds, Parameter, ROUTES, Route};

/// The document of all routes.
pub(super) fn document() -> Json {
    let mut paths = Map::new();
    for route in ROUTES {
        let methods = route.methods.iter().map(|method| (method.to_lowercase(), operation(route)));
        paths.insert(route.path.into(), methods.collect::<Map<_, _>>().into());
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Footlight recommend",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Recommendations, and feedback that counts in the next one. The routes are those of Gorse.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Feedback": feedback(), "Error": error() },
        },
    })
}

fn operation(route: &Route) -> Json {
    let (kind, example) = match serde_json::from_str::<Json>(route.example) {
        Ok(example) => ("application/json", json!({ "example": example })),
        Err(_) => (route.example, json!({})),
    };
    let refused = json!({ "$ref": "#/components/schemas/Error" });
    let mut operation = json!({
        "summary": route.about,
        "parameters": in_path(route.path).chain(route.parameters.iter().map(parameter)).collect::<Vec<_>>(),
        "responses": {
            "200": { "description": "The answer.", "content": { kind: example } },
            "4XX": { "description": "Why not.", "content": { "application/json": { "schema": refused } } },
        },
    });
    if let Some(body) = route.body {
        operation["requestBody"] = request(body);
    }
    if !route.is_open {
        operation["security"] = json!([{}, { "token": [] }]);
    }
    operation
}

fn in_path(path: &'static str) -> impl Iterator<Item = Json> {
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    names.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
}

fn parameter(parameter: &Parameter) -> Json {
    let schema = match parameter.holds {
        Holds::Count { default, most } => {
            json!({ "type": "integer", "minimum": 1, "maximum": most, "default": default })
        }
        Holds::Flag => json!({ "type": "boolean", "default": false }),
        Holds::Text => json!({ "type": "string" }),
        Holds::Texts => json!({ "type": "array", "items": { "type": "string" } }),
    };
    json!({ "name": parameter.name, "in": "query", "description": parameter.about, "schema": schema })
}

fn request(body: Body) -> Json {
    let feedback = json!({ "$ref": "#/components/schemas/Feedback" });
    let (element, example) = match body {
        Body::Feedback => (feedback, json!([{ "FeedbackType": "like", "UserId": "you", "ItemId": "5" }])),
        Body::History => (json!({ "anyOf": [{ "type": "string" }, feedback] }), json!(["6", "40"])),
    };
    let schema = json!({ "type": "array", "items": element });
    json!({ "required": true, "content": { "application/json": { "schema": schema, "example": example } } })
}

fn feedback() -> Json {
    json!({
        "type": "object",
        "required": ["FeedbackType", "ItemId"],
        "properties": {
            "FeedbackType": { "enum": EventKind::NAMES },
            "UserId": { "type": "string", "description": "Needed but in a history." },
            "ItemId": { "type": "string" },
            "Value": { "type": "number", "default": 1, "description": "A rating, or a share of the length." },
            "Timestamp": {
                "type": ["string", "number"],
                "description": "Seconds since 1970 (milliseconds from 1e11 on), RFC 3339 or a date; now where nothing is said.",
            },
            "Comment": { "type": "string", "description": "It is passed over." },
        },
        "additionalProperties": false,
    })
}

fn error() -> Json {
    let text = json!({ "type": "string" });
    let members = json!({ "kind": text, "message": text, "help": text });
    let error = json!({ "type": "object", "required": ["kind", "message"], "properties": members });
    json!({ "type": "object", "required": ["error"], "properties": { "error": error } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere_and_every_path_names_its_segments() {
        let document = document();
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
        for (path, methods) in document["paths"].as_object().unwrap() {
            for operation in methods.as_object().unwrap().values() {
                let parameters = operation["parameters"].as_array().unwrap().iter();
                let named = parameters.filter(|parameter| parameter["in"] == "path").count();
                assert_eq!(named, path.matches('{').count(), "{path}");
            }
        }
    }
}
