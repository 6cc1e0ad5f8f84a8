use super::format::{is_true, percent, python_str};
use super::{Arg, Callback, Secrets, Section};
use crate::model::{Build, Properties, SourceStamp};
use serde_json::{Map, Value};

/// A value of the configuration that is only known once there is a build: plain JSON, `Interpolate`,
/// `Property`, `WithProperties`, a `renderer` function, or a list or dict holding such.
#[derive(Debug, Clone, PartialEq)]
pub enum Renderable {
    Plain(Value),
    /// `util.Interpolate(format, *args, **kwargs)`: `%(prop:x:-default)s`, `%(src:codebase:revision)s`, `%(kw:x)s`, `%(secret:x)s`.
    Interpolate {
        format: String,
        args: Vec<Renderable>,
        kwargs: Vec<(String, Renderable)>,
    },
    /// `util.Property(key, default=None, defaultWhenFalse=True)`.
    Property {
        key: String,
        default: Box<Renderable>,
        default_when_false: bool,
    },
    /// `util.WithProperties(format, *args, **lambdas)`.
    WithProperties {
        format: String,
        args: Vec<String>,
        lambdas: Vec<(String, Callback)>,
    },
    /// A function under `@util.renderer` (here `util.renderer(f)`), called with the properties.
    Callback(Callback),
    List(Vec<Renderable>),
    Dict(Vec<(String, Renderable)>),
}

/// What there is to render with.
pub struct RenderContext<'a> {
    pub properties: &'a Properties,
    pub source_stamps: &'a [SourceStamp],
    pub secrets: &'a Secrets,
    pub build: Option<&'a Build>,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct RenderError {
    /// The function's `master.cfg:14`, or the placeholder as written.
    pub place: String,
    pub message: String,
}

/// Placeholders inside replacements of placeholders, so deep and no deeper.
const DEEPEST: usize = 20;

impl Renderable {
    /// May call functions of the configuration, so it may block: use a blocking thread.
    pub fn render(&self, context: &RenderContext) -> Result<Value, RenderError> {
        match self {
            Renderable::Plain(value) => Ok(value.clone()),
            Renderable::Interpolate { format, args, kwargs } => {
                if !args.is_empty() {
                    let values =
                        args.iter().map(|arg| arg.render(context).map(empty_for_none)).collect::<Result<_, _>>()?;
                    return percent(format, &Value::Array(values)).map(Value::String).map_err(error(format));
                }
                interpolate(format, kwargs, context, 0).map(Value::String)
            }
            Renderable::Property { key, default, default_when_false } => match context.properties.get(key) {
                Some(value) if is_true(value) || !default_when_false => Ok(value.clone()),
                _ => default.render(context),
            },
            Renderable::WithProperties { format, args, lambdas } => with_properties(format, args, lambdas, context),
            Renderable::Callback(function) => call(function, context),
            Renderable::List(items) => {
                items.iter().map(|item| item.render(context)).collect::<Result<_, _>>().map(Value::Array)
            }
            Renderable::Dict(pairs) => {
                let mut dict = Map::new();
                for (key, value) in pairs {
                    dict.insert(key.clone(), value.render(context)?);
                }
                Ok(Value::Object(dict))
            }
        }
    }

    /// As text: a string as it is, null empty, anything else as Python's `str` has it.
    pub fn render_text(&self, context: &RenderContext) -> Result<String, RenderError> {
        Ok(python_str(&empty_for_none(self.render(context)?)))
    }

    /// The value, if it needs no build to be known.
    pub fn into_plain(self) -> Option<Value> {
        match self {
            Renderable::Plain(value) => Some(value),
            Renderable::List(items) => {
                items.into_iter().map(Renderable::into_plain).collect::<Option<_>>().map(Value::Array)
            }
            Renderable::Dict(pairs) => pairs
                .into_iter()
                .map(|(key, value)| value.into_plain().map(|value| (key, value)))
                .collect::<Option<_>>()
                .map(Value::Object),
            _ => None,
        }
    }

    /// Reads a value of a section's options.
    pub(super) fn read(section: &Section, value: &Value) -> Result<Renderable, String> {
        match value {
            Value::Array(items) => {
                let items: Vec<Renderable> =
                    items.iter().map(|item| Renderable::read(section, item)).collect::<Result<_, _>>()?;
                Ok(plain_list(items))
            }
            Value::Object(object) => {
                if let Some(call) = section.nested(value) {
                    return Renderable::read_call(&call);
                }
                if object.contains_key("$function") {
                    return Err("a function must be wrapped: util.renderer(f)".to_owned());
                }
                if object.keys().any(|key| key.starts_with('$')) {
                    return Err(format!("{} cannot be used here", super::section::shown(value)));
                }
                let mut pairs = Vec::new();
                for (key, value) in object {
                    pairs.push((key.clone(), Renderable::read(section, value)?));
                }
                Ok(match pairs.iter().all(|(_, value)| matches!(value, Renderable::Plain(_))) {
                    true => Renderable::Plain(value.clone()),
                    false => Renderable::Dict(pairs),
                })
            }
            plain => Ok(Renderable::Plain(plain.clone())),
        }
    }

    /// Reads a call of one of the placeholders.
    pub(super) fn read_call(call: &Section) -> Result<Renderable, String> {
        let options = call.options.as_object().cloned().unwrap_or_default();
        let text = |name: &str| match options.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(format!("expected text, not {}", super::section::shown(other))),
            None => Err(format!("{name} is missing")),
        };
        let unknown = |known: &[&str]| match options.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) if key == "$rest" => Err("too many arguments".to_owned()),
            Some(key) => Err(format!("unknown option \"{key}\"")),
            None => Ok(()),
        };
        match call.kind.as_str() {
            "util.Interpolate" => {
                let format = text("fmtstring")?;
                let given = options.get("args").and_then(Value::as_array).cloned().unwrap_or_default();
                let args = given.iter().map(|arg| Renderable::read(call, arg)).collect::<Result<Vec<_>, _>>()?;
                let mut kwargs = Vec::new();
                for (name, value) in options.iter().filter(|(name, _)| *name != "fmtstring" && *name != "args") {
                    kwargs.push((name.clone(), Renderable::read(call, value)?));
                }
                if !args.is_empty() && !kwargs.is_empty() {
                    return Err("give positional or keyword arguments, not both".to_owned());
                }
                if args.is_empty() {
                    check(&format, &kwargs, 0)?;
                } else {
                    percent(&format, &Value::Array(vec![Value::from(0); args.len()]))?;
                }
                Ok(Renderable::Interpolate { format, args, kwargs })
            }
            "util.Property" => {
                unknown(&["key", "default", "defaultWhenFalse"])?;
                let default = Renderable::read(call, options.get("default").unwrap_or(&Value::Null))?;
                let default_when_false = options.get("defaultWhenFalse").is_none_or(is_true);
                Ok(Renderable::Property { key: text("key")?, default: Box::new(default), default_when_false })
            }
            "util.WithProperties" => {
                let given = options.get("args").and_then(Value::as_array).cloned().unwrap_or_default();
                let args: Option<Vec<String>> = given.iter().map(|arg| arg.as_str().map(str::to_owned)).collect();
                let mut lambdas = Vec::new();
                for (name, value) in options.iter().filter(|(name, _)| *name != "fmtstring" && *name != "args") {
                    let function = call.function(value).ok_or_else(|| format!("{name}: expected a function"))?;
                    lambdas.push((name.clone(), function));
                }
                let args = args.ok_or("names of properties are texts")?;
                if !args.is_empty() && !lambdas.is_empty() {
                    return Err("give positional or keyword arguments, not both".to_owned());
                }
                Ok(Renderable::WithProperties { format: text("fmtstring")?, args, lambdas })
            }
            "util.renderer" => {
                unknown(&["fn"])?;
                let function = options.get("fn").and_then(|value| call.function(value));
                function.map(Renderable::Callback).ok_or_else(|| "expected a function".to_owned())
            }
            "util.FlattenList" => {
                unknown(&["nestedlist"])?;
                let list = options.get("nestedlist").filter(|list| list.is_array()).ok_or("expected a list")?;
                let mut flat = Vec::new();
                flatten(Renderable::read(call, list)?, &mut flat);
                Ok(plain_list(flat))
            }
            other => Err(format!("{other} cannot be used here")),
        }
    }
}

fn plain_list(items: Vec<Renderable>) -> Renderable {
    if items.iter().all(|item| matches!(item, Renderable::Plain(_))) {
        return Renderable::Plain(Value::Array(items.into_iter().filter_map(Renderable::into_plain).collect()));
    }
    Renderable::List(items)
}

fn flatten(item: Renderable, flat: &mut Vec<Renderable>) {
    match item {
        Renderable::List(items) => items.into_iter().for_each(|item| flatten(item, flat)),
        Renderable::Plain(Value::Array(items)) => {
            items.into_iter().for_each(|item| flatten(Renderable::Plain(item), flat));
        }
        other => flat.push(other),
    }
}

fn empty_for_none(value: Value) -> Value {
    if value.is_null() { Value::String(String::new()) } else { value }
}

fn error(format: &str) -> impl Fn(String) -> RenderError {
    let place = format!("{format:?}");
    move |message| RenderError { place: place.clone(), message }
}

fn call(function: &Callback, context: &RenderContext) -> Result<Value, RenderError> {
    let properties = super::objects::properties_object(context.properties, context.build);
    function
        .call_blocking(vec![Arg::Object(properties)])
        .map_err(|error| RenderError { place: error.place, message: format!("{}: {}", error.name, error.message) })
}

/// One piece of a format: text, or `%(inside)` with its conversion (`s`, `05d`).
enum Piece<'a> {
    Text(&'a str),
    Field { inside: &'a str, conversion: &'a str },
}

/// Cuts a format into its pieces. Errors are sentences.
fn pieces(format: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        pieces.push(Piece::Text(&rest[..at]));
        let after = &rest[at + 1..];
        if let Some(left) = after.strip_prefix('%') {
            pieces.push(Piece::Text("%"));
            rest = left;
            continue;
        }
        let Some(inner) = after.strip_prefix('(') else {
            return Err(format!("\"%\" must be followed by \"(…)s\" or \"%\" in {format:?}"));
        };
        let mut depth = 1;
        let end = inner.char_indices().find_map(|(at, c)| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            (depth == 0).then_some(at)
        });
        let Some(end) = end else { return Err(format!("\"%(\" without \")\" in {format:?}")) };
        let tail = &inner[end + 1..];
        let length = tail
            .find(|c: char| c.is_ascii_alphabetic())
            .filter(|length| tail[..*length].chars().all(|c| "-+ #0123456789.".contains(c)));
        let Some(length) = length else {
            return Err(format!("%({}) needs an \"s\" behind it", &inner[..end]));
        };
        pieces.push(Piece::Field { inside: &inner[..end], conversion: &tail[..=length] });
        rest = &tail[length + 1..];
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// What stands inside `%(…)s` of Interpolate.
struct Field<'a> {
    selector: &'a str,
    /// The codebase of `src`, otherwise empty.
    codebase: &'a str,
    key: &'a str,
    otherwise: Otherwise<'a>,
}

enum Otherwise<'a> {
    /// `:-`, the default.
    Missing(&'a str),
    /// `:~`.
    False(&'a str),
    /// `:+`.
    Present(&'a str),
    /// `:?|a|b` and, for truth instead of presence, `:#?|a|b`.
    Either { truth: bool, yes: &'a str, no: &'a str },
}

fn field(inside: &str) -> Result<Field<'_>, String> {
    let Some((selector, rest)) = inside.split_once(':') else {
        return Err(format!("%({inside}): needs a selector: prop:, src:, kw:, slave: or secret:"));
    };
    let (codebase, rest) = match selector {
        "src" => rest.split_once(':').ok_or_else(|| format!("%({inside}): src needs a codebase and an attribute"))?,
        "prop" | "kw" | "slave" | "worker" | "secret" => ("", rest),
        other => {
            return Err(format!(
                "%({inside}): unknown selector \"{other}\"; there are prop, src, kw, slave and secret"
            ));
        }
    };
    let (key, how) = rest.split_once(':').unwrap_or((rest, "-"));
    let otherwise = match how.chars().next() {
        None => Otherwise::Missing(""),
        Some('-') => Otherwise::Missing(&how[1..]),
        Some('~') => Otherwise::False(&how[1..]),
        Some('+') => Otherwise::Present(&how[1..]),
        Some('?') => alternatives(inside, &how[1..], false)?,
        Some('#') if how.starts_with("#?") => alternatives(inside, &how[2..], true)?,
        Some(_) => return Err(format!("%({inside}): behind the key comes :-, :~, :+, :? or :#?, not \":{how}\"")),
    };
    Ok(Field { selector, codebase, key, otherwise })
}

/// The two texts of `?|yes|no`, behind the question mark.
fn alternatives<'a>(inside: &str, text: &'a str, truth: bool) -> Result<Otherwise<'a>, String> {
    let Some(mark) = text.chars().next().filter(|mark| *mark != '(') else {
        return Err(format!("%({inside}): \"?\" needs a mark behind it, as in ?|yes|no"));
    };
    let texts = &text[mark.len_utf8()..];
    // The mark parts the two texts, but not inside a placeholder of the first.
    let mut depth = 0;
    let at = texts.char_indices().find_map(|(at, c)| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        (c == mark && depth == 0).then_some(at)
    });
    let at = at.ok_or_else(|| format!("%({inside}): \"{mark}\" must part two texts"))?;
    Ok(Otherwise::Either { truth, yes: &texts[..at], no: &texts[at + mark.len_utf8()..] })
}

/// Finds at load what could not be filled in later.
fn check(format: &str, kwargs: &[(String, Renderable)], depth: usize) -> Result<(), String> {
    if depth > DEEPEST {
        return Err("placeholders are nested too deeply".to_owned());
    }
    for piece in pieces(format)? {
        let Piece::Field { inside, .. } = piece else { continue };
        let field = field(inside)?;
        if field.selector == "kw" && !kwargs.iter().any(|(name, _)| name == field.key) {
            return Err(format!("%({inside}): there is no argument {}=…", field.key));
        }
        if field.selector == "src" && !ATTRIBUTES.contains(&field.key) {
            return Err(format!("%({inside}): a source stamp has {}", ATTRIBUTES.join(", ")));
        }
        match field.otherwise {
            Otherwise::Missing(text) | Otherwise::False(text) | Otherwise::Present(text) => {
                check(text, kwargs, depth + 1)?
            }
            Otherwise::Either { yes, no, .. } => {
                check(yes, kwargs, depth + 1)?;
                check(no, kwargs, depth + 1)?;
            }
        }
    }
    Ok(())
}

const ATTRIBUTES: [&str; 9] = [
    "branch",
    "revision",
    "repository",
    "project",
    "codebase",
    "changes",
    "patch_author",
    "patch_comment",
    "patch_level",
];

fn interpolate(
    format: &str,
    kwargs: &[(String, Renderable)],
    context: &RenderContext,
    depth: usize,
) -> Result<String, RenderError> {
    if depth > DEEPEST {
        return Err(error(format)("placeholders are nested too deeply".to_owned()));
    }
    let fill = |text: &str| interpolate(text, kwargs, context, depth + 1).map(Value::String);
    let mut out = String::new();
    for piece in pieces(format).map_err(error(format))? {
        let (inside, conversion) = match piece {
            Piece::Text(text) => {
                out.push_str(text);
                continue;
            }
            Piece::Field { inside, conversion } => (inside, conversion),
        };
        let field = field(inside).map_err(error(format))?;
        let found = lookup(&field, kwargs, context).map_err(|message| match message {
            Lookup::Failed(message) => error(format)(message),
            Lookup::Render(inner) => inner,
        })?;
        let value = match (field.otherwise, found) {
            (Otherwise::Missing(_), Some(value)) => value,
            (Otherwise::Missing(text), None) => fill(text)?,
            (Otherwise::False(_), Some(value)) if is_true(&value) => value,
            (Otherwise::False(text), _) => fill(text)?,
            (Otherwise::Present(text), Some(_)) => fill(text)?,
            (Otherwise::Present(_), None) => Value::String(String::new()),
            (Otherwise::Either { truth, yes, no }, found) => {
                let holds = found.is_some_and(|value| !truth || is_true(&value));
                fill(if holds { yes } else { no })?
            }
        };
        let value = empty_for_none(value);
        out.push_str(&percent(&format!("%{conversion}"), &Value::Array(vec![value])).map_err(error(format))?);
    }
    Ok(out)
}

enum Lookup {
    Failed(String),
    Render(RenderError),
}

fn lookup(field: &Field, kwargs: &[(String, Renderable)], context: &RenderContext) -> Result<Option<Value>, Lookup> {
    match field.selector {
        "prop" => Ok(context.properties.get(field.key).cloned()),
        "src" => {
            let stamp = context.source_stamps.iter().find(|stamp| stamp.codebase == field.codebase);
            Ok(stamp.and_then(|stamp| attribute(stamp, field.key)))
        }
        "kw" => match kwargs.iter().find(|(name, _)| name == field.key) {
            Some((_, value)) => value.render(context).map(Some).map_err(Lookup::Render),
            None => Ok(None),
        },
        "secret" => match context.secrets.get(field.key) {
            Some(secret) => Ok(Some(secret.reveal().into())),
            None => Err(Lookup::Failed(format!("there is no secret \"{}\"", field.key))),
        },
        // What a worker says of itself is not known where this is rendered.
        _ => Ok(None),
    }
}

/// An attribute of a source stamp; `None` where it has no value.
fn attribute(stamp: &SourceStamp, key: &str) -> Option<Value> {
    let patch = stamp.patch.as_ref();
    match key {
        "branch" => stamp.branch.clone().map(Value::from),
        "revision" => stamp.revision.clone().map(Value::from),
        "repository" => Some(stamp.repository.as_str().into()),
        "project" => Some(stamp.project.as_str().into()),
        "codebase" => Some(stamp.codebase.as_str().into()),
        "changes" => Some(Value::Array(stamp.changes.iter().map(super::objects::change_dict).collect())),
        "patch_author" => patch.map(|patch| patch.author.as_str().into()),
        "patch_comment" => patch.map(|patch| patch.comment.as_str().into()),
        "patch_level" => patch.map(|patch| patch.level.into()),
        _ => None,
    }
}

fn with_properties(
    format: &str,
    args: &[String],
    lambdas: &[(String, Callback)],
    context: &RenderContext,
) -> Result<Value, RenderError> {
    let property = |name: &str| match context.properties.get(name) {
        Some(value) => Ok(empty_for_none(value.clone())),
        None => Err(error(format)(format!("the build has no property \"{name}\""))),
    };
    if !args.is_empty() {
        let values = args.iter().map(|name| property(name)).collect::<Result<_, _>>()?;
        return percent(format, &Value::Array(values)).map(Value::String).map_err(error(format));
    }
    let mut out = String::new();
    for piece in pieces(format).map_err(error(format))? {
        let (inside, conversion) = match piece {
            Piece::Text(text) => {
                out.push_str(text);
                continue;
            }
            Piece::Field { inside, conversion } => (inside, conversion),
        };
        let text = |text: &str| Value::String(text.to_owned());
        let find = |name: &str| context.properties.get(name);
        let value = if let Some((name, replacement)) = inside.split_once(":-") {
            find(name).cloned().unwrap_or_else(|| text(replacement))
        } else if let Some((name, replacement)) = inside.split_once(":~") {
            find(name).filter(|value| is_true(value)).cloned().unwrap_or_else(|| text(replacement))
        } else if let Some((name, replacement)) = inside.split_once(":+") {
            find(name).map_or_else(|| text(""), |_| text(replacement))
        } else if let Some((_, function)) = lambdas.iter().find(|(name, _)| name == inside) {
            call(function, context)?
        } else {
            property(inside)?
        };
        let value = Value::Array(vec![empty_for_none(value)]);
        out.push_str(&percent(&format!("%{conversion}"), &value).map_err(error(format))?);
    }
    Ok(Value::String(out))
}
