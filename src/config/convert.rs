//! Between Starlark's values and JSON, which is what the rest of the configuration works with.

use super::section::PAIRS;
use super::values::{Constructor, HostObject, Namespace, Node, Template};
use super::{Arg, Object};
use serde_json::{Map, Number, Value as Json, json};
use starlark::values::dict::{AllocDict, DictRef};
use starlark::values::float::StarlarkFloat;
use starlark::values::list::{AllocList, ListRef};
use starlark::values::none::NoneType;
use starlark::values::tuple::TupleRef;
use starlark::values::{Heap, Value, ValueLike};
use std::sync::Arc;

pub(super) fn arg_value<'v>(arg: &Arg, heap: Heap<'v>) -> Value<'v> {
    match arg {
        Arg::Json(value) => json_value(value, heap),
        Arg::Object(object) => heap.alloc(HostObject { object: Arc::new(object.clone()) }),
        Arg::List(items) => heap.alloc(AllocList(items.iter().map(|item| arg_value(item, heap)).collect::<Vec<_>>())),
    }
}

pub(super) fn json_value<'v>(value: &Json, heap: Heap<'v>) -> Value<'v> {
    match value {
        Json::Null => heap.alloc(NoneType),
        Json::Bool(flag) => Value::new_bool(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => heap.alloc(whole),
            (None, Some(float)) => heap.alloc(float),
            (None, None) => heap.alloc(0),
        },
        Json::String(text) => heap.alloc(text.as_str()),
        Json::Array(items) => {
            heap.alloc(AllocList(items.iter().map(|item| json_value(item, heap)).collect::<Vec<_>>()))
        }
        Json::Object(dict) => heap.alloc(AllocDict(
            dict.iter().map(|(key, value)| (key.as_str(), json_value(value, heap))).collect::<Vec<_>>(),
        )),
    }
}

/// What becomes of functions and calls met while values are turned into JSON.
pub(super) trait Functions<'v> {
    /// The JSON a function is turned into, or an error where none may be.
    fn function(&mut self, value: Value<'v>) -> starlark::Result<Json>;
    /// The place of a call, from its first and last line.
    fn place(&mut self, first: usize, last: usize) -> String;
    /// Whether objects bring their attributes along.
    fn with_attributes(&self) -> bool {
        false
    }
    /// A call of a constructor that does not exist, or one that was not called.
    fn unknown(&mut self, kind: &str, place: Option<String>);
}

/// For data that may hold no functions: arguments and results of callbacks.
pub(super) struct NoFunctions;

impl Functions<'_> for NoFunctions {
    fn with_attributes(&self) -> bool {
        true
    }

    fn function(&mut self, _value: Value<'_>) -> starlark::Result<Json> {
        Err(starlark::Error::new_value(anyhow::anyhow!("a function cannot be used here")))
    }

    fn place(&mut self, _first: usize, _last: usize) -> String {
        String::new()
    }

    fn unknown(&mut self, _kind: &str, _place: Option<String>) {}
}

/// Puts the attributes of an object that are plain data beside its kind and id, and those of objects inside it.
fn add_attributes(found: &mut Json, object: &Object, depth: usize) {
    for (name, attribute) in &object.attributes {
        match attribute {
            Arg::Json(value) => found[*name] = value.clone(),
            Arg::Object(inner) if depth < 2 => {
                found[*name] = json!({ "$object": inner.kind, "$id": inner.id });
                add_attributes(&mut found[*name], inner, depth + 1);
            }
            Arg::Object(_) | Arg::List(_) => {}
        }
    }
}

/// How deep values may nest; a list that holds itself has no end.
const DEEPEST: usize = 60;

/// A value as JSON: see [`super::Section::options`] for what calls, functions and regular expressions become.
pub(super) fn to_json<'v>(
    value: Value<'v>,
    functions: &mut dyn Functions<'v>,
    heap: Heap<'v>,
) -> starlark::Result<Json> {
    convert(value, functions, heap, 0)
}

fn convert<'v>(
    value: Value<'v>,
    functions: &mut dyn Functions<'v>,
    heap: Heap<'v>,
    depth: usize,
) -> starlark::Result<Json> {
    let error = |message: String| Err(starlark::Error::new_value(anyhow::anyhow!("{message}")));
    if depth > DEEPEST {
        return error("data is nested too deeply, or holds itself".to_owned());
    }
    if value.is_none() {
        return Ok(Json::Null);
    }
    if let Some(flag) = value.unpack_bool() {
        return Ok(Json::Bool(flag));
    }
    if let Some(number) = value.unpack_i32() {
        return Ok(number.into());
    }
    if let Some(text) = value.unpack_str() {
        return Ok(text.into());
    }
    if let Some(float) = value.downcast_ref::<StarlarkFloat>() {
        return Ok(Number::from_f64(float.0).map_or(Json::Null, Json::Number));
    }
    if let Some(template) = Template::from_value(value) {
        return Ok(template.text.as_str().into());
    }
    let mut items = |values: &[Value<'v>]| -> starlark::Result<Json> {
        values
            .iter()
            .map(|item| convert(*item, functions, heap, depth + 1))
            .collect::<starlark::Result<_>>()
            .map(Json::Array)
    };
    if let Some(list) = ListRef::from_value(value) {
        return items(list.content());
    }
    if let Some(tuple) = TupleRef::from_value(value) {
        return items(tuple.content());
    }
    if let Some(node) = Node::from_value(value) {
        let place = functions.place(node.first, node.last);
        if !node.known {
            functions.unknown(&node.kind, Some(place.clone()));
        }
        let options = convert(node.options.to_value(), functions, heap, depth + 1)?;
        if !node.known {
            return Ok(json!({ "$unknown": node.kind, "$options": options }));
        }
        let mut call = json!({ "$call": node.kind, "$place": place, "$options": options });
        if node.kind.starts_with("util.Revlink")
            && let (Ok(Json::Object(function)), Some(call)) = (functions.function(value), call.as_object_mut())
        {
            call.extend(function);
        }
        return Ok(call);
    }
    if let Some(dict) = DictRef::from_value(value) {
        if dict.keys().any(|key| Node::from_value(key).is_some()) {
            let mut pairs = Vec::new();
            for (key, item) in dict.iter() {
                let key = convert(key, functions, heap, depth + 1)?;
                pairs.push(json!([key, convert(item, functions, heap, depth + 1)?]));
            }
            return Ok(json!({ PAIRS: pairs }));
        }
        let mut object = Map::new();
        for (key, item) in dict.iter() {
            let key = match key.unpack_str() {
                Some(text) => text.to_owned(),
                None if key.unpack_i32().is_some() || key.unpack_bool().is_some() || key.is_none() => key.to_str(),
                None => return error(format!("a dict key must be text, a number, True, False or None, not {key}")),
            };
            object.insert(key, convert(item, functions, heap, depth + 1)?);
        }
        return Ok(Json::Object(object));
    }
    if let Some(host) = HostObject::from_value(value) {
        let object = &host.object;
        if let ("Pattern", Some((_, Arg::Json(pattern)))) = (object.kind, object.attributes.first()) {
            return Ok(json!({ "$regex": pattern }));
        }
        let mut found = json!({ "$object": object.kind, "$id": object.id });
        if functions.with_attributes() || object.kind == "FileSystemLoader" {
            add_attributes(&mut found, object, 0);
        }
        return Ok(found);
    }
    if let Some(constructor) = Constructor::from_value(value) {
        if !constructor.known {
            functions.unknown(&constructor.kind, None);
            return Ok(json!({ "$unknown": constructor.kind }));
        }
        return Ok(json!({ "$constructor": constructor.kind }));
    }
    if Namespace::from_value(value).is_some_and(|namespace| namespace.name == "?") {
        // What an import that failed left; said already.
        return Ok(Json::Null);
    }
    match value.get_type() {
        "function" | "method" => functions.function(value),
        "int" => serde_json::from_str(&value.to_str()).or_else(|_| error(format!("the number {value} is too large"))),
        "range" | "set" => {
            let values: Vec<Value> = value.iterate(heap)?.collect();
            values
                .iter()
                .map(|item| convert(*item, functions, heap, depth + 1))
                .collect::<starlark::Result<_>>()
                .map(Json::Array)
        }
        other => error(format!("a value of type {other} cannot be used in the configuration")),
    }
}
