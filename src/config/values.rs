//! The values a master.cfg works with, beyond Starlark's own.
//!
//! A namespace (`status`) gives constructors; calling one gives a [`Node`], which only keeps its arguments: whether they
//! are right is judged after the evaluation, so that every problem is found at once. Everything that a callback or a
//! small module (`re`, `os`) offers is an [`Object`]: attributes and methods over plain data.

#![expect(unused_qualifications, reason = "the derives of the Starlark crates write full paths")]

use super::convert::{NoFunctions, arg_value, json_value, to_json};
use super::names::{Entry, Names};
use super::{Arg, Object};
use allocative::Allocative;
use serde_json::Value as Json;
use starlark::any::ProvidesStaticType;
use starlark::coerce::Coerce;
use starlark::collections::StarlarkHasher;
use starlark::eval::{Arguments, Evaluator};
use starlark::values::dict::{AllocDict, DictMut, DictRef};
use starlark::values::list::AllocList;
use starlark::values::tuple::TupleRef;
use starlark::values::{
    Freeze, Heap, NoSerialize, StarlarkPagable, StarlarkValue, Trace, Value, ValueLifetimeless, ValueLike,
    starlark_value,
};
use starlark::{starlark_complex_value, starlark_simple_value};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

/// `status`, `util`, …: members are constructors, constants and functions.
#[derive(ProvidesStaticType, NoSerialize, StarlarkPagable, Allocative)]
pub(super) struct Namespace {
    pub name: String,
    #[allocative(skip)]
    #[starlark_pagable(skip)]
    pub names: Arc<Names>,
}
starlark_simple_value!(Namespace);

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<namespace {}>", self.name)
    }
}

#[starlark_value(type = "namespace")]
impl<'v> StarlarkValue<'v> for Namespace {
    /// A name that does not exist gives a constructor too: the call is then a problem with its line, and the rest of
    /// the file is still looked at.
    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        Some(match self.names.member(&self.name, attribute) {
            Some(entry) => entry_value(&entry, &self.names, heap),
            None => heap.alloc(Constructor {
                kind: format!("{}.{attribute}", self.name),
                positional: Vec::new(),
                known: false,
            }),
        })
    }

    fn dir_attr(&self) -> Vec<String> {
        self.names.members(&self.name).into_iter().map(str::to_owned).collect()
    }
}

/// The value a name of the catalogue stands for.
pub(super) fn entry_value<'v>(entry: &Entry, names: &Arc<Names>, heap: Heap<'v>) -> Value<'v> {
    match entry {
        Entry::Constructor { kind, positional } => heap.alloc(Constructor {
            kind: (*kind).to_owned(),
            positional: positional.iter().map(|name| (*name).to_owned()).collect(),
            known: true,
        }),
        Entry::Constant(value) => json_value(value, heap),
        Entry::Method(object, name) => heap.alloc(HostMethod { object: object.clone(), name: (*name).to_owned() }),
        Entry::Object(object) => heap.alloc(HostObject { object: object.clone() }),
        Entry::Space(name) => heap.alloc(Namespace { name: name.clone(), names: names.clone() }),
    }
}

/// `status.WebStatus` before it is called.
#[derive(Debug, ProvidesStaticType, NoSerialize, StarlarkPagable, Allocative)]
pub(super) struct Constructor {
    pub kind: String,
    pub positional: Vec<String>,
    pub known: bool,
}
starlark_simple_value!(Constructor);

impl fmt::Display for Constructor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<constructor {}>", self.kind)
    }
}

#[starlark_value(type = "constructor")]
impl<'v> StarlarkValue<'v> for Constructor {
    fn invoke(
        &self,
        _me: Value<'v>,
        arguments: &Arguments<'v, '_>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let heap = eval.heap();
        let span = eval.call_stack_top_location().map(|location| location.resolve_span());
        let (first, last) = span.map_or((0, 0), |span| (span.begin.line + 1, span.end.line + 1));
        let mut options: Vec<(String, Value)> = Vec::new();
        let mut rest: Vec<Value> = Vec::new();
        for (index, value) in arguments.positions(heap)?.enumerate() {
            match self.positional.get(index) {
                Some(name) if name.starts_with('*') => rest.push(value),
                Some(name) => options.push((name.clone(), value)),
                None => rest.push(value),
            }
        }
        if !rest.is_empty() {
            let name = self.positional.last().and_then(|name| name.strip_prefix('*'));
            options.push((name.unwrap_or("$rest").to_owned(), heap.alloc(AllocList(rest))));
        } else if let Some(name) = self.positional.last().and_then(|name| name.strip_prefix('*')) {
            options.push((name.to_owned(), heap.alloc(AllocList(Vec::<Value>::new()))));
        }
        for (name, value) in arguments.names_map()? {
            options.retain(|(given, _)| given != name.as_str());
            options.push((name.as_str().to_owned(), value));
        }
        if self.kind == "util.BuildFactory" && !options.iter().any(|(name, value)| name == "steps" && !value.is_none())
        {
            options.retain(|(name, _)| name != "steps");
            options.push(("steps".to_owned(), heap.alloc(AllocList(Vec::<Value>::new()))));
        } else if self.kind == "util.BuildFactory" {
            // A list of its own: factories made from one list do not share the steps added later.
            for (_, value) in options.iter_mut().filter(|(name, _)| name == "steps") {
                let items: Option<Vec<Value>> = value.iterate(heap).ok().map(|items| items.collect());
                *value = items.map_or(*value, |items| heap.alloc(AllocList(items)));
            }
        }
        if self.kind == "util.BuildFactory" {
            // Assigned later, as in `f.workdir = "sub"`; an assignment cannot make new keys.
            for name in ["useProgress", "workdir"] {
                if !options.iter().any(|(given, _)| given == name) {
                    options.push((name.to_owned(), Value::new_none()));
                }
            }
        }
        let node = heap.alloc(Node {
            kind: self.kind.clone(),
            known: self.known,
            first,
            last,
            options: heap.alloc(AllocDict(options)),
        });
        if let Some(all) = eval.module().extra_value() {
            let mut all = DictMut::from_value(all).map_err(starlark::Error::new_other)?;
            let key = heap.alloc(i32::try_from(all.aref.len()).unwrap_or(i32::MAX));
            all.aref.insert_hashed(key.get_hashed()?, node);
        }
        Ok(node)
    }
}

/// A constructor call: which, where, and its arguments by name.
#[derive(Clone, Debug, Trace, Coerce, Freeze, ProvidesStaticType, NoSerialize, Allocative, StarlarkPagable)]
#[repr(C)]
pub(super) struct NodeGen<V: ValueLifetimeless> {
    pub kind: String,
    pub known: bool,
    /// Its first and last line, from 1; 0 where unknown.
    pub first: usize,
    pub last: usize,
    pub options: V,
}
starlark_complex_value!(pub(super) Node);

impl<V: ValueLifetimeless> fmt::Display for NodeGen<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.kind)
    }
}

const FACTORY_METHODS: [&str; 4] = ["addStep", "addSteps", "addFactory", "append"];

#[starlark_value(type = "object")]
impl<'v, V: ValueLike<'v>> StarlarkValue<'v> for NodeGen<V>
where
    Self: ProvidesStaticType<'v>,
{
    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        let options = self.options.to_value();
        if self.kind == "util.BuildFactory" && FACTORY_METHODS.contains(&attribute) {
            return Some(heap.alloc(NodeMethod { options, name: attribute.to_owned() }));
        }
        DictRef::from_value(options)?.get(heap.alloc(attribute)).ok().flatten()
    }

    fn set_attr(&self, attribute: &str, value: Value<'v>) -> starlark::Result<()> {
        let mut options = DictMut::from_value(self.options.to_value()).map_err(starlark::Error::new_other)?;
        let found = options.aref.iter_hashed().find(|(key, _)| key.key().unpack_str() == Some(attribute));
        match found.map(|(key, _)| key) {
            Some(key) => {
                options.aref.insert_hashed(key, value);
                Ok(())
            }
            // A new key would need a heap, which Starlark does not hand to assignments.
            None => Err(starlark::Error::new_other(anyhow::anyhow!(
                "{}.{attribute} cannot be assigned; give it as an option: {attribute}=…",
                self.kind
            ))),
        }
    }

    /// So that it can be a key: `{util.Interpolate('X-%(prop:a)s'): 'b'}`. None equals another.
    fn write_hash(&self, hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        (&self.kind, self.first, self.last).hash(hasher);
        Ok(())
    }

    fn invoke(
        &self,
        _me: Value<'v>,
        arguments: &Arguments<'v, '_>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let heap = eval.heap();
        match self.kind.as_str() {
            // Used as a decorator that was written with brackets, or called as Python would.
            "util.RevlinkMatch" | "util.RevlinkMultiplexer" => {
                let given: Vec<Json> = arguments
                    .positions(heap)?
                    .map(|value| to_json(value, &mut NoFunctions, heap))
                    .collect::<Result<_, _>>()?;
                if self.kind == "util.RevlinkMatch" {
                    let options = to_json(self.options.to_value(), &mut NoFunctions, heap)?;
                    return Ok(json_value(&super::names::revlink_match(&options, &given), heap));
                }
                let positions: Vec<Value> = arguments.positions(heap)?.collect();
                let links = DictRef::from_value(self.options.to_value())
                    .and_then(|options| options.get(heap.alloc("revlinks")).ok().flatten());
                for link in links.map(|links| links.iterate(heap)).transpose()?.into_iter().flatten() {
                    let found = eval.eval_function(link, &positions, &[])?;
                    if found.to_bool() {
                        return Ok(found);
                    }
                }
                Ok(Value::new_none())
            }
            _ => Err(starlark::Error::new_other(anyhow::anyhow!("{} cannot be called", self.kind))),
        }
    }
}

/// `factory.addStep` before it is called.
#[derive(Clone, Debug, Trace, Coerce, Freeze, ProvidesStaticType, NoSerialize, Allocative, StarlarkPagable)]
#[repr(C)]
pub(super) struct NodeMethodGen<V: ValueLifetimeless> {
    options: V,
    name: String,
}
starlark_complex_value!(NodeMethod);

impl<V: ValueLifetimeless> fmt::Display for NodeMethodGen<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<method {}>", self.name)
    }
}

#[starlark_value(type = "method")]
impl<'v, V: ValueLike<'v>> StarlarkValue<'v> for NodeMethodGen<V>
where
    Self: ProvidesStaticType<'v>,
{
    fn invoke(
        &self,
        _me: Value<'v>,
        arguments: &Arguments<'v, '_>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let heap = eval.heap();
        let given = arguments.positional1(heap)?;
        arguments.no_named_args()?;
        let steps = |options: Value<'v>| {
            DictRef::from_value(options).and_then(|options| options.get(heap.alloc("steps")).ok().flatten())
        };
        let Some(list) = steps(self.options.to_value()) else {
            return Err(starlark::Error::new_other(anyhow::anyhow!("the factory has no list of steps")));
        };
        let (method, given) = match self.name.as_str() {
            "addStep" | "append" => ("append", given),
            "addFactory" => ("extend", Node::from_value(given).and_then(|node| steps(node.options)).unwrap_or(given)),
            _ => ("extend", given),
        };
        let method = list.get_attr_error(method, heap)?;
        eval.eval_function(method, &[given], &[])?;
        Ok(Value::new_none())
    }
}

/// An [`Object`] inside Starlark.
#[derive(Debug, ProvidesStaticType, NoSerialize, StarlarkPagable, Allocative)]
pub(super) struct HostObject {
    #[allocative(skip)]
    #[starlark_pagable(skip)]
    pub object: Arc<Object>,
}
starlark_simple_value!(HostObject);

impl fmt::Display for HostObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.object)
    }
}

#[starlark_value(type = "object")]
impl<'v> StarlarkValue<'v> for HostObject {
    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        if let Some((_, value)) = self.object.attributes.iter().find(|(name, _)| *name == attribute) {
            return Some(arg_value(value, heap));
        }
        let (name, _) = self.object.methods.iter().find(|(name, _)| *name == attribute)?;
        Some(heap.alloc(HostMethod { object: self.object.clone(), name: (*name).to_owned() }))
    }

    fn dir_attr(&self) -> Vec<String> {
        let attributes = self.object.attributes.iter().map(|(name, _)| *name);
        attributes.chain(self.object.methods.iter().map(|(name, _)| *name)).map(str::to_owned).collect()
    }

    fn at(&self, index: Value<'v>, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        call_method(&self.object, "__getitem__", &[to_json(index, &mut NoFunctions, heap)?], heap)
    }

    fn is_in(&self, other: Value<'v>) -> starlark::Result<bool> {
        let given = other.unpack_str().map_or(Json::Null, Json::from);
        match run_method(&self.object, "__contains__", &[given])? {
            Arg::Json(Json::Bool(found)) => Ok(found),
            _ => Ok(false),
        }
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        let other = HostObject::from_value(other);
        Ok(other.is_some_and(|other| other.object.kind == self.object.kind && other.object.id == self.object.id))
    }

    fn write_hash(&self, hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        (self.object.kind, self.object.id).hash(hasher);
        Ok(())
    }
}

/// A method of an [`Object`] inside Starlark.
#[derive(Debug, ProvidesStaticType, NoSerialize, StarlarkPagable, Allocative)]
pub(super) struct HostMethod {
    #[allocative(skip)]
    #[starlark_pagable(skip)]
    object: Arc<Object>,
    name: String,
}
starlark_simple_value!(HostMethod);

impl HostMethod {
    pub fn new(object: Object, name: &str) -> HostMethod {
        HostMethod { object: Arc::new(object), name: name.to_owned() }
    }
}

impl fmt::Display for HostMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<method {}>", self.name)
    }
}

#[starlark_value(type = "method")]
impl<'v> StarlarkValue<'v> for HostMethod {
    fn invoke(
        &self,
        _me: Value<'v>,
        arguments: &Arguments<'v, '_>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let heap = eval.heap();
        let mut given = Vec::new();
        for value in arguments.positions(heap)? {
            given.push(to_json(value, &mut NoFunctions, heap)?);
        }
        for (_, value) in arguments.names_map()? {
            given.push(to_json(value, &mut NoFunctions, heap)?);
        }
        call_method(&self.object, &self.name, &given, heap)
    }
}

fn run_method(object: &Object, name: &str, given: &[Json]) -> starlark::Result<Arg> {
    let Some((_, method)) = object.methods.iter().find(|(method, _)| *method == name) else {
        return Err(starlark::Error::new_value(anyhow::anyhow!("{} has no {name}", object.kind)));
    };
    method(given).map_err(|message| starlark::Error::new_value(anyhow::anyhow!("{message}")))
}

fn call_method<'v>(object: &Object, name: &str, given: &[Json], heap: Heap<'v>) -> starlark::Result<Value<'v>> {
    Ok(arg_value(&run_method(object, name, given)?, heap))
}

/// `'%(x)5.2f'` in front of a `%` that Starlark's own cannot do.
#[derive(Debug, ProvidesStaticType, NoSerialize, StarlarkPagable, Allocative)]
pub(super) struct Template {
    pub text: String,
}
starlark_simple_value!(Template);

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[starlark_value(type = "string")]
impl<'v> StarlarkValue<'v> for Template {
    fn percent(&self, other: Value<'v>, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        let given = match TupleRef::from_value(other) {
            Some(tuple) => Json::Array(
                tuple.iter().map(|value| to_json(value, &mut NoFunctions, heap)).collect::<starlark::Result<_>>()?,
            ),
            None => match to_json(other, &mut NoFunctions, heap)? {
                Json::Object(dict) if !dict.contains_key("$object") => Json::Object(dict),
                single => Json::Array(vec![single]),
            },
        };
        let text = super::format::percent(&self.text, &given)
            .map_err(|message| starlark::Error::new_value(anyhow::anyhow!("{message}")))?;
        Ok(heap.alloc(text))
    }
}
