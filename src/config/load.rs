//! Reads a master.cfg: turn the Python of it, evaluate, judge everything it built, and only then give a configuration.

use super::callback::Limits;
use super::convert::{Functions, to_json};
use super::names::{Entry, Names};
use super::prepass::{self, Turned};
use super::problems::option_of;
use super::source::{Source, hide_secrets, hide_url_passwords, is_secret_name};
use super::values::{HostMethod, Node, Template, entry_value};
use super::{Callback, Config, Problem, Problems, Secret, Section};
use serde_json::{Map, Value};
use starlark::ErrorKind;
use starlark::environment::{FrozenModule, Globals, GlobalsBuilder, LibraryExtension, Module};
use starlark::eval::Evaluator;
use starlark::syntax::{AstModule, Dialect, DialectTypes};
use starlark::values::dict::{AllocDict, DictRef};
use starlark::values::{OwnedFrozenValue, Value as StarValue};
use starlark::{PrintHandler, starlark_module};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The constructors that exist beyond those of `config` itself: every status target, hook dialect and change source.
#[derive(Clone, Default)]
pub struct Catalog(pub Vec<Kind>);

/// A constructor another room brings.
#[derive(Clone)]
pub struct Kind {
    /// `status.MailNotifier`.
    pub name: &'static str,
    /// Names for its positional arguments, in order; one that begins with `*` takes all the rest as a list.
    pub positional: &'static [&'static str],
    /// Adds every problem with these options.
    pub check: fn(&Section, &mut Problems),
}

/// For the evaluation of a whole file.
const FILE: Limits = Limits { ticks: 200_000_000, depth: 100, heap: 512 << 20, time: Duration::from_secs(10) };

/// Reads and checks a master.cfg. On problems, all of them.
pub fn load(path: &Path, catalog: &Catalog) -> Result<Config, Problems> {
    let file = path.file_name().map_or_else(|| "master.cfg".into(), |name| name.to_string_lossy().into_owned());
    match std::fs::read(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => load_text(&file, &text, path.parent().unwrap_or(Path::new("")), catalog),
            Err(error) => {
                let line =
                    1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
                Err(Problems(vec![Problem::new(format!("{file}:{line}"), "this is not UTF-8 text")]))
            }
        },
        Err(error) => {
            let mut problem = Problem::new(path.display().to_string(), format!("cannot be read: {error}"));
            if error.kind() == std::io::ErrorKind::NotFound {
                problem.suggestion = Some("create one with \"signalbox create-master\"".to_owned());
            }
            Err(Problems(vec![problem]))
        }
    }
}

/// The same for text: `file` is the name its places carry, `basedir` the folder of relative paths.
pub fn load_text(file: &str, text: &str, basedir: &Path, catalog: &Catalog) -> Result<Config, Problems> {
    let names = Arc::new(Names::new(catalog));
    let mut source = Source::new(file, text);
    let turned = prepass::turn(&mut source);
    let mut problems = Problems::default();
    let bindings = bindings(&source, &names, &turned, &mut problems);
    let spent = catch_unwind(AssertUnwindSafe(|| evaluate(&source, &turned, bindings, &names, basedir)));
    let (built, stopped) = match spent {
        Ok((built, stopped)) => (built, stopped),
        Err(_) => (None, Some(Problem::new(source.place(1, None), "the file makes a value too large to hold"))),
    };
    let whole = stopped.is_none();
    problems.0.extend(stopped);
    let mut secrets = Vec::new();
    let mut config = None;
    if let Some(built) = built {
        let judged =
            catch_unwind(AssertUnwindSafe(|| judge(&built, &source, &names, catalog, basedir, whole, &mut problems)));
        if let Ok((read, found)) = judged {
            config = read;
            secrets = found;
        }
    }
    finish(&source, &secrets, &mut problems);
    let notes = problems.take_notes();
    match config {
        Some(mut config) if problems.is_empty() => {
            config.notes = notes;
            Ok(config)
        }
        _ if problems.is_empty() => {
            problems.add(&source.place(1, None), "the configuration could not be read");
            Err(problems)
        }
        _ => Err(problems),
    }
}

/// What imports bind, and problems for those that cannot be.
fn bindings(source: &Source, names: &Names, turned: &Turned, problems: &mut Problems) -> Vec<(String, Entry)> {
    let mut bindings = Vec::new();
    for import in &turned.imports {
        match names.import(&import.module, import.name.as_deref()) {
            Ok(bound) => {
                bindings.extend(bound.into_iter().map(|(name, entry)| (import.alias.clone().unwrap_or(name), entry)))
            }
            Err((message, suggestion)) => {
                problems.add(&source.place(import.line, Some(import.column)), message);
                problems.suggest(suggestion);
                // Bound to a namespace all the same, so that using it is not a second problem.
                let name = import.alias.clone().or_else(|| import.name.clone());
                let name = name.unwrap_or_else(|| import.module.split('.').next().unwrap_or_default().to_owned());
                bindings.push((name, Entry::Space("?".to_owned())));
            }
        }
    }
    for unsupported in &turned.unsupported {
        problems.add(
            &source.place(unsupported.line, Some(unsupported.column)),
            format!("\"{}\" is not part of this Python: {}", unsupported.keyword, unsupported.hint),
        );
    }
    bindings
}

struct LogPrints;

impl PrintHandler for LogPrints {
    fn println(&self, text: &str) -> starlark::Result<()> {
        tracing::info!("master.cfg: {text}");
        Ok(())
    }
}

#[starlark_module]
fn builtins(builder: &mut GlobalsBuilder) {
    /// What the pre-pass writes around texts in front of a `%`.
    fn __percent__(text: &str) -> anyhow::Result<Template> {
        Ok(Template { text: text.to_owned() })
    }

    fn isinstance<'v>(value: StarValue<'v>, kind: StarValue<'v>) -> anyhow::Result<bool> {
        let name = kind.to_str();
        let wanted = name.trim_matches(|c: char| !c.is_alphanumeric());
        let known = match value.get_type() {
            "string" => ["str", "string", "unicode", "basestring"].as_slice(),
            "int" => &["int", "long"],
            other => return Ok(other == wanted),
        };
        Ok(known.contains(&wanted))
    }
}

fn globals(names: &Arc<Names>) -> Globals {
    let mut globals = GlobalsBuilder::extended_by(&[
        LibraryExtension::StructType,
        LibraryExtension::Print,
        LibraryExtension::Map,
        LibraryExtension::Filter,
        LibraryExtension::SetType,
    ])
    .with(builtins);
    for name in super::names::NAMESPACES {
        globals.set(name, super::values::Namespace { name: name.to_owned(), names: names.clone() });
    }
    globals.set("unicode", HostMethod::new(super::modules::builtins(), "unicode"));
    globals.build()
}

/// What an evaluation left: its variables, and every constructor call there was.
struct Built {
    module: FrozenModule,
    calls: Option<OwnedFrozenValue>,
}

fn dialect() -> Dialect {
    Dialect {
        enable_top_level_stmt: true,
        enable_keyword_only_arguments: true,
        enable_f_strings: true,
        enable_types: DialectTypes::Disable,
        ..Dialect::Standard
    }
}

/// Also on an error what was built until then is kept, so that its problems are found in the same run.
fn evaluate(
    source: &Source,
    turned: &Turned,
    bindings: Vec<(String, Entry)>,
    names: &Arc<Names>,
    basedir: &Path,
) -> (Option<Built>, Option<Problem>) {
    let ast = match AstModule::parse(&source.file, turned.text.clone(), &dialect()) {
        Ok(ast) => ast,
        // Said already, and better.
        Err(_) if !turned.unsupported.is_empty() => return (None, None),
        Err(error) => return (None, Some(problem(source, &error))),
    };
    let globals = globals(names);
    let prints = LogPrints;
    Module::with_temp_heap(|module| {
        let heap = module.heap();
        // The manual's shorter examples leave their imports out.
        for name in names.members("*") {
            if let Some(entry) = names.member("*", name) {
                module.set(name, entry_value(&entry, names, heap));
            }
        }
        for (name, entry) in &bindings {
            module.set(name, entry_value(entry, names, heap));
        }
        module.set("basedir", heap.alloc(basedir.to_string_lossy().as_ref()));
        module.set("__file__", heap.alloc(basedir.join(&source.file).to_string_lossy().as_ref()));
        module.set_extra_value(heap.alloc(AllocDict(Vec::<(i32, StarValue)>::new())));
        let stopped = {
            let mut eval = Evaluator::new(&module);
            eval.set_print_handler(&prints);
            match FILE.apply(&mut eval) {
                Ok(()) => eval.eval_module(ast, &globals).err(),
                Err(error) => Some(error),
            }
        };
        // A name that is not there is found before anything runs.
        let ran =
            !matches!(stopped.as_ref().map(starlark::Error::kind), Some(ErrorKind::Scope(_) | ErrorKind::Parser(_)));
        let stopped = stopped.map(|error| problem(source, &error));
        if !ran {
            return (None, stopped);
        }
        match module.freeze() {
            Ok(module) => {
                let calls = module.owned_extra_value();
                (Some(Built { module, calls }), stopped)
            }
            Err(error) => {
                let why = error.err_msg;
                (None, stopped.or_else(|| Some(Problem::new(source.place(1, None), format!("cannot be kept: {why}")))))
            }
        }
    })
}

/// A Starlark error as a problem with its place and, inside functions, how it got there.
fn problem(source: &Source, error: &starlark::Error) -> Problem {
    let message = error.without_diagnostic().to_string();
    let mut message = FILE.explain(&message).map_or(message, |why| format!("the evaluation {why}"));
    message = message.trim_start_matches("error: ").trim_end().to_owned();
    let calls: Vec<String> = error
        .call_stack()
        .frames
        .iter()
        .filter_map(|frame| Some((frame.name.clone(), frame.location.as_ref()?.resolve_span().begin.line + 1)))
        .map(|(name, line)| format!("{name}, called at {}", source.place(line, None)))
        .collect();
    if !calls.is_empty() {
        let mut shown: Vec<&str> = calls.iter().rev().map(String::as_str).collect();
        shown.dedup();
        shown.truncate(5);
        message = format!("{message} (in {})", shown.join("; in "));
    }
    let place = match error.span() {
        Some(span) => {
            let begin = span.resolve_span().begin;
            let line = begin.line + 1;
            source.place(line, Some(source.written_column(line, begin.column + 1)))
        }
        None => source.place(1, None),
    };
    let mut problem = Problem::new(place, message);
    problem.suggestion = hint(&problem.message);
    if let (Some(_), Some(at)) = (&problem.suggestion, problem.message.find(", did you mean")) {
        problem.message.truncate(at);
    }
    problem
}

/// What to write instead, for Python that is not Starlark.
fn hint(message: &str) -> Option<String> {
    let hints = [
        ("Unsupported format character", "write util.fmt(text, dict) for %(name)s"),
        ("Variable `open`", "files cannot be read here; secrets come from c['secretsProviders']"),
        ("Variable `execfile`", "other files cannot be executed here"),
        ("Variable `file`", "files cannot be read here"),
        ("reserved keyword `class`", "there are no classes here; options that took a class take a function"),
        ("unexpected symbol '<'", "write a < b and b < c"),
    ];
    hints.iter().find(|(part, _)| message.contains(part)).map(|(_, hint)| (*hint).to_owned())
}

/// Turns values into JSON, keeping the functions it meets.
struct Collector<'a> {
    source: &'a Source,
    owner: OwnedFrozenValue,
    digest: u64,
    functions: Vec<Callback>,
    /// By the first line of a call, its last.
    extents: BTreeMap<usize, usize>,
    /// Names that do not exist: `status.MailNotifer`, and where they were called.
    unknown: BTreeSet<(String, Option<String>)>,
    /// The line of the call just being read, for functions without a name.
    line: usize,
}

impl<'v> Functions<'v> for Collector<'_> {
    fn function(&mut self, value: StarValue<'v>) -> starlark::Result<Value> {
        let Some(frozen) = value.unpack_frozen() else {
            return Err(starlark::Error::new_value(anyhow::anyhow!("this function cannot be kept")));
        };
        let shown = value.to_str();
        let name = shown.rsplit('.').next().unwrap_or(&shown).trim_matches(['<', '>']).to_owned();
        let defined = self.source.find_code(&format!("def {name}(")).map(|(line, _)| line);
        let place = self.source.place(defined.unwrap_or(self.line.max(1)), None);
        let index = self.functions.len();
        // The owner keeps the heap alive that holds the function.
        let function = self.owner.map(|_| frozen);
        self.functions.push(Callback { function, name, place, index, digest: self.digest });
        Ok(serde_json::json!({ "$function": index }))
    }

    fn place(&mut self, first: usize, last: usize) -> String {
        self.line = first;
        let extent = self.extents.entry(first).or_insert(last);
        *extent = last.max(*extent);
        self.source.place(first, None)
    }

    fn unknown(&mut self, kind: &str, place: Option<String>) {
        self.unknown.insert((kind.to_owned(), place));
    }
}

/// Checks every call there was, then reads the configuration as a whole.
fn judge(
    built: &Built,
    source: &Source,
    names: &Names,
    catalog: &Catalog,
    basedir: &Path,
    whole: bool,
    problems: &mut Problems,
) -> (Option<Config>, Vec<Secret>) {
    let root = ["BuildmasterConfig", "c"].iter().find_map(|name| built.module.get_any_visibility(name).ok());
    let Some(calls_owner) = &built.calls else { return (None, Vec::new()) };
    let mut digest = DefaultHasher::new();
    source.text.hash(&mut digest);
    let digest = digest.finish();
    let (calls, root, functions, extents, unknown) = Module::with_temp_heap(|module| {
        let heap = module.heap();
        let mut collector = Collector {
            source,
            owner: calls_owner.clone(),
            digest,
            functions: Vec::new(),
            extents: BTreeMap::new(),
            unknown: BTreeSet::new(),
            line: 0,
        };
        let mut calls = Vec::new();
        let all = module.frozen_heap().alloc(calls_owner.clone()).to_value();
        let all: Vec<StarValue> = DictRef::from_value(all).map_or_else(Vec::new, |all| all.values().collect());
        for call in all {
            let line = Node::from_value(call).map_or(1, |node| node.first);
            match to_json(call, &mut collector, heap) {
                Ok(call) => calls.push(call),
                Err(error) => problems.add(&source.place(line, None), error.without_diagnostic().to_string()),
            }
        }
        let root = root.as_ref().map(|(root, _)| {
            collector.owner = root.clone();
            collector.line = 0;
            let mut keys = Map::new();
            match DictRef::from_value(module.frozen_heap().alloc(root.clone()).to_value()) {
                Some(dict) => {
                    for (key, value) in dict.iter() {
                        let key = key.to_str();
                        match to_json(value, &mut collector, heap) {
                            Ok(value) => {
                                keys.insert(key, value);
                            }
                            Err(error) => {
                                let message = format!("c['{key}']: {}", error.without_diagnostic());
                                problems.add_option(&source.place(1, None), &format!("c:{key}"), message);
                            }
                        }
                    }
                }
                None => problems.add(&source.place(1, None), "c is not a dict"),
            }
            Value::Object(keys)
        });
        (calls, root, collector.functions, collector.extents, collector.unknown)
    });
    let functions = Arc::new(functions);
    let mut secrets = Vec::new();
    for call in &calls {
        collect_secrets(call, &mut secrets);
    }
    root.iter().for_each(|root| collect_secrets(root, &mut secrets));
    for (kind, place) in unknown {
        let (space, name) = kind.split_once('.').unwrap_or(("", &kind));
        if space == "?" {
            continue;
        }
        let place = place.unwrap_or_else(|| {
            let found = source.find_code(&kind);
            found.map_or_else(|| source.place(1, None), |(line, column)| source.place(line, Some(column)))
        });
        problems.add_option(&place, &format!(".:{name}"), format!("{space} has no \"{name}\""));
        problems.suggest(super::problems::did_you_mean(name, names.members(space)).or_else(|| {
            let members = names.members(space);
            (space == "steps" && !members.is_empty()).then(|| format!("there are {}", members.join(", ")))
        }));
    }
    let root_section = |options: Value| Section {
        kind: "c".to_owned(),
        place: source.place(1, None),
        options,
        functions: functions.clone(),
    };
    let holder = root_section(Value::Null);
    let kinds: BTreeMap<&str, fn(&Section, &mut Problems)> =
        super::kinds::KINDS.iter().chain(&catalog.0).map(|kind| (kind.name, kind.check)).collect();
    for section in calls.iter().filter_map(|call| holder.nested(call)) {
        if let Some(check) = kinds.get(section.kind.as_str()) {
            check(&section, problems);
        }
    }
    let config = match root {
        Some(root) if whole => Some(super::global::read(&root_section(root), basedir, problems)),
        Some(_) => None,
        None if whole => {
            problems.add(&source.place(1, None), "the file defines neither c nor BuildmasterConfig");
            problems.suggest(Some("begin it with c = BuildmasterConfig = {}".to_owned()));
            None
        }
        None => None,
    };
    locate(source, &extents, problems);
    (config, secrets)
}

/// Finds the line of the option each problem names.
fn locate(source: &Source, extents: &BTreeMap<usize, usize>, problems: &mut Problems) {
    for problem in &mut problems.0 {
        let (place, option) = option_of(&problem.place);
        let Some(option) = option else { continue };
        let note = if place.starts_with('!') { "!" } else { "" };
        let bare = place.trim_start_matches('!');
        let line = source.parse_place(bare).map(|(line, _)| line);
        let found = match (option.split_once(':'), line) {
            (Some(("c", key)), _) => source
                .find_code(&format!("['{key}']"))
                .or_else(|| source.find_code(&format!("[\"{key}\"]")))
                .or_else(|| source.find_option(1, usize::MAX, key)),
            (Some((".", name)), Some(line)) => {
                let text = source.line(line).unwrap_or("");
                text.find(name).map(|at| (line, text[..at].chars().count() + 1))
            }
            (_, Some(line)) => source.find_option(line, extents.get(&line).copied().unwrap_or(line), option),
            _ => None,
        };
        problem.place = match found {
            Some((line, column)) => format!("{note}{}", source.place(line, Some(column))),
            None => place.to_owned(),
        };
    }
}

/// Every text that stands where a secret belongs.
fn collect_secrets(value: &Value, secrets: &mut Vec<Secret>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_secrets(item, secrets)),
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(text) if is_secret_name(key) => secrets.push(Secret::new(text.as_str())),
                    Value::Array(pairs) if is_secret_name(key) || key == "userpass" => {
                        let second = pairs.iter().filter_map(|pair| pair.as_array()?.get(1)?.as_str());
                        secrets.extend(second.map(Secret::new));
                    }
                    other => collect_secrets(other, secrets),
                }
            }
        }
        _ => {}
    }
}

/// Sorts, drops what was said twice, adds snippets and hides secrets.
fn finish(source: &Source, secrets: &[Secret], problems: &mut Problems) {
    for problem in &mut problems.0 {
        problem.message = secrets_out(&problem.message, secrets);
        if problem.snippet.is_none()
            && let Some((line, column)) = source.parse_place(problem.place.trim_start_matches('!'))
        {
            problem.snippet = source.snippet(line, column, secrets);
        }
    }
    let line = |problem: &Problem| source.parse_place(problem.place.trim_start_matches('!'));
    problems.0.sort_by_key(|problem| line(problem).unwrap_or((usize::MAX, None)));
    let mut seen = BTreeSet::new();
    problems.0.retain(|problem| seen.insert((problem.place.clone(), problem.message.clone())));
}

fn secrets_out(message: &str, secrets: &[Secret]) -> String {
    let known = secrets.iter().filter(|secret| message.contains(secret.reveal())).cloned().collect::<Vec<_>>();
    if known.is_empty() { hide_url_passwords(message) } else { hide_secrets(message, &known) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, Problems> {
        load_text("master.cfg", text, Path::new("/tmp"), &Catalog::default())
    }

    #[test]
    fn a_small_file_becomes_a_configuration() {
        let config = read(
            "from buildbot.plugins import *\n\
             c = BuildmasterConfig = {}\n\
             c['workers'] = [worker.LocalWorker('w', max_builds=2)]\n\
             f = util.BuildFactory()\n\
             f.addStep(steps.ShellCommand(command=['echo', util.Interpolate('%(prop:x)s')]))\n\
             f.addStep(steps.Compile())\n\
             c['builders'] = [util.BuilderConfig(name='b', workernames=['w'], factory=f, nextBuild=lambda b, r: r[0])]\n\
             c['schedulers'] = [schedulers.SingleBranchScheduler(name='s', branch='main', builderNames=['b'])]\n",
        )
        .unwrap();
        assert_eq!(config.builders[0].steps.len(), 2);
        assert_eq!(config.workers[0].max_builds, Some(2));
        let next = config.builders[0].next_build.as_ref().unwrap();
        let answer = next.call_blocking(vec![
            super::super::Arg::Json(Value::Null),
            super::super::Arg::Json(serde_json::json!([7, 8])),
        ]);
        assert_eq!(answer.unwrap(), 7);
    }

    #[test]
    fn every_problem_is_reported() {
        let problems = read(
            "c = {}\n\
             c['buildbotURl'] = 'x'\n\
             c['builders'] = [util.BuilderConfig(name='b', workernames=['w'], factory=util.BuildFactroy())]\n\
             c['schedulers'] = [schedulers.Periodic('p', ['b'], 0)]\n",
        )
        .unwrap_err();
        let said = problems.to_string();
        for expected in ["no key \"buildbotURl\"", "did you mean \"BuildFactory\"?", "must be more than 0 seconds"] {
            assert!(said.contains(expected), "{said}");
        }
        // What only follows from the misspelt name is not said.
        assert!(!said.contains("expected util.BuildFactory") && !said.contains("not in c['builders']"), "{said}");
    }
}
