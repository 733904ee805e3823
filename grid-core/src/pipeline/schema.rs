//! The JSON Schema of the pipeline file, for editors. Printed from the same table that the parser reads by.

use serde_json::{Map, Value, json};

use super::grammar::{ACTIONS, Key, Need, PIPELINE, SOURCES, STAGE, Section, Shape};

/// JSON Schema 2020-12 of the pipeline file.
pub fn schema() -> Value {
    let mut schema = Map::new();
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".into(), "gridmill pipeline".into());
    schema.extend(section(&PIPELINE));
    schema.insert("$defs".into(), json!({ "stage": stage() }));
    Value::Object(schema)
}

/// A stage has exactly one source of items, and does exactly one thing.
fn stage() -> Value {
    let one_of = |names: &[&str]| -> Value {
        let built = names.iter().filter(|name| STAGE.key(name).is_some_and(|key| key.need != Need::NotBuilt));
        built.map(|name| json!({ "required": [name] })).collect()
    };
    let mut stage = section(&STAGE);
    stage.insert("type".into(), "object".into());
    stage.insert("allOf".into(), json!([{ "oneOf": one_of(&SOURCES) }, { "oneOf": one_of(&ACTIONS) }]));
    let together = json!({ "group": ["by"], "by": ["group"], "fan_in": ["all"] });
    stage.insert("dependentRequired".into(), together);
    Value::Object(stage)
}

fn section(section: &Section) -> Map<String, Value> {
    let required: Vec<&str> =
        section.keys.iter().filter(|key| key.need == Need::Required).map(|key| key.name).collect();
    let mut object = Map::new();
    // `retry:` with nothing after it is an empty map.
    object.insert("type".into(), if required.is_empty() { json!(["object", "null"]) } else { json!("object") });
    object.insert("properties".into(), properties(section));
    if !required.is_empty() {
        object.insert("required".into(), json!(required));
    }
    object.insert("additionalProperties".into(), false.into());
    object
}

fn properties(section: &Section) -> Value {
    section.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect::<Map<_, _>>().into()
}

fn property(key: &Key) -> Value {
    if key.need == Need::NotBuilt {
        return json!({ "description": format!("{} Not built yet.", key.help), "not": {} });
    }
    let mut schema = shape(&key.shape);
    schema.insert("description".into(), key.help.into());
    Value::Object(schema)
}

fn shape(of: &Shape) -> Map<String, Value> {
    let scalar = json!(["string", "number", "boolean"]);
    let schema = match of {
        Shape::Text => json!({ "type": scalar }),
        Shape::Named(pattern) => json!({ "type": "string", "pattern": pattern }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Integer(i64::MIN) => json!({ "type": "integer" }),
        Shape::Integer(least) => json!({ "type": "integer", "minimum": least }),
        Shape::Between(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Number(least) => json!({ "type": "number", "minimum": least }),
        Shape::Scalar => json!({ "type": scalar }),
        Shape::Size => json!({ "type": ["string", "integer"], "examples": ["32MiB", "64KiB", "10GB"] }),
        Shape::Duration => json!({ "type": ["string", "number"], "examples": ["30s", "10m", "1h30m"] }),
        Shape::Allowance => json!({ "type": ["string", "integer"], "examples": [10, "0.1%"] }),
        Shape::Word(words) => {
            let built: Vec<&str> = words.iter().filter(|word| word.is_built).map(|word| word.name).collect();
            json!({ "enum": built })
        }
        Shape::OneOrMany(one) => {
            json!({ "anyOf": [shape(one), { "type": "array", "minItems": 1, "items": shape(one) }] })
        }
        Shape::List(one) => json!({ "type": "array", "items": shape(one) }),
        Shape::Map(names, value) => json!({
            "type": "object",
            "propertyNames": { "pattern": names },
            "additionalProperties": shape(value),
        }),
        Shape::Section(known) if std::ptr::eq(*known, &STAGE) => json!({ "$ref": "#/$defs/stage" }),
        Shape::Section(known) => return section(known),
        Shape::Either(shapes) => json!({ "anyOf": shapes.iter().map(shape).collect::<Vec<_>>() }),
        Shape::Matrix(known) => json!({
            "type": "object",
            "properties": properties(known),
            "additionalProperties": { "type": "array", "minItems": 1, "items": { "type": scalar } },
        }),
    };
    if let Value::Object(schema) = schema { schema } else { Map::new() }
}
