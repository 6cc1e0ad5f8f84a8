//! The handlebars registry: built-in templates, with those of the operator's folders in their place.

use super::asdict::quote;
use super::counted::Counted;
use super::times::{self, Shape};
use crate::model::Time;
use handlebars::{Context, Handlebars, Helper, HelperResult, Output, RenderContext, RenderErrorReason};
use rust_embed::RustEmbed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

/// How often the folders are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(RustEmbed)]
#[folder = "templates/"]
struct BuiltIn;

/// Templates by name, the name being the file's without `.hbs`.
///
/// A file in one of the folders takes the place of the built-in template of its name, the first folder going first.
/// Files that come, change or go are noticed without a restart. A broken one is reported and the last good one of
/// its name stays in use.
pub struct Templates {
    folders: Vec<PathBuf>,
    built_in: Handlebars<'static>,
    loaded: RwLock<Loaded>,
}

struct Loaded {
    registry: Arc<Handlebars<'static>>,
    /// The folders' files as they were when `registry` was made.
    files: Vec<Found>,
    looked: Instant,
    /// The text of every override that has compiled, by name, while its file is there.
    good: BTreeMap<String, String>,
    problems: Vec<String>,
    /// Grows when the files have changed.
    edition: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    name: String,
    path: PathBuf,
    changed: Option<SystemTime>,
    size: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("template \"{name}\" could not be filled in")]
    Template {
        name: String,
        #[source]
        cause: Box<handlebars::RenderError>,
    },
}

impl Templates {
    /// With the `.hbs` files of these folders in place of built-in ones; folders that do not exist are empty.
    pub fn new(folders: Vec<PathBuf>) -> Templates {
        let built_in = built_in();
        let loaded = Loaded {
            registry: Arc::new(built_in.clone()),
            files: Vec::new(),
            looked: Instant::now(),
            good: BTreeMap::new(),
            problems: Vec::new(),
            edition: 1,
        };
        let templates = Templates { folders, built_in, loaded: RwLock::new(loaded) };
        templates.look_again(true);
        templates
    }

    /// Fills in a template. If the operator's version of it fails, that is reported and the built-in one is shown.
    pub fn render(&self, name: &str, view: &impl Serialize) -> Result<String, RenderError> {
        self.look_again(false);
        let registry = self.loaded.read().unwrap_or_else(PoisonError::into_inner).registry.clone();
        let failed = |cause| RenderError::Template { name: name.to_owned(), cause: Box::new(cause) };
        registry.render(name, view).or_else(|error| {
            let overridden = self.loaded.read().unwrap_or_else(PoisonError::into_inner).good.len();
            if overridden == 0 {
                return Err(failed(error));
            }
            self.report(format!("template \"{name}\": {error}; the built-in one is shown instead"));
            self.built_in.render(name, view).map_err(failed)
        })
    }

    /// A greater number once files of the folders have changed: what was filled in before may look different now.
    pub fn edition(&self) -> u64 {
        self.look_again(false);
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).edition
    }

    /// What is wrong with the operator's templates just now, for the about page.
    pub fn problems(&self) -> Vec<String> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).problems.clone()
    }

    fn report(&self, problem: String) {
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        if !loaded.problems.contains(&problem) {
            tracing::warn!("{problem}");
            loaded.problems.push(problem);
        }
    }

    fn look_again(&self, at_once: bool) {
        if self.folders.is_empty() {
            return;
        }
        if !at_once && self.loaded.read().unwrap_or_else(PoisonError::into_inner).looked.elapsed() < LOOK_EVERY {
            return;
        }
        let files = find(&self.folders);
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        loaded.looked = Instant::now();
        if files == loaded.files {
            return;
        }
        let mut registry = self.built_in.clone();
        let mut good = BTreeMap::new();
        let mut problems = Vec::new();
        for file in &files {
            let taken = std::fs::read_to_string(&file.path)
                .map_err(|error| error.to_string())
                .and_then(|text| register(&mut registry, &file.name, &text).map(|()| text));
            match taken {
                Ok(text) => drop(good.insert(file.name.clone(), text)),
                Err(error) => {
                    let before = loaded.good.get(&file.name);
                    let stays = if before.is_some() { "the one before it" } else { "the built-in one" };
                    problems.push(format!("{}: {error}; {stays} stays in use", file.path.display()));
                    if let Some(text) = before
                        && register(&mut registry, &file.name, text).is_ok()
                    {
                        good.insert(file.name.clone(), text.clone());
                    }
                }
            }
        }
        problems.iter().for_each(|problem| tracing::warn!("{problem}"));
        let edition = loaded.edition + 1;
        *loaded = Loaded { registry: Arc::new(registry), files, looked: Instant::now(), good, problems, edition };
    }
}

fn register(registry: &mut Handlebars<'static>, name: &str, text: &str) -> Result<(), String> {
    registry.register_template_string(name, text).map_err(|error| error.to_string())
}

/// The template files of the folders, one per name; the first folder that has a name wins.
fn find(folders: &[PathBuf]) -> Vec<Found> {
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for folder in folders {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let (Some(name), Ok(data)) = (template_name(&path), std::fs::metadata(&path)) else { continue };
            if data.is_file() && !found.contains_key(&name) {
                found.insert(name.clone(), Found { name, path, changed: data.modified().ok(), size: data.len() });
            }
        }
    }
    found.into_values().collect()
}

fn template_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_suffix(".hbs")?;
    (!name.is_empty() && !name.starts_with('.')).then(|| name.to_owned())
}

fn built_in() -> Handlebars<'static> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    registry.register_helper("time", Box::new(time));
    registry.register_helper("count", Box::new(count));
    registry.register_helper("quote", Box::new(quoted));
    for file in BuiltIn::iter() {
        if let (Some(name), Some(text)) = (template_name(Path::new(file.as_ref())), BuiltIn::get(&file)) {
            let text = String::from_utf8_lossy(&text.data);
            // A test compiles them all.
            if let Err(error) = register(&mut registry, &name, &text) {
                tracing::error!("built-in template {name}: {error}");
            }
        }
    }
    registry
}

/// `{{time started "minute"}}`: a `<time>` element; nothing where there is no time.
fn time(helper: &Helper, _: &Handlebars, _: &Context, _: &mut RenderContext, out: &mut dyn Output) -> HelperResult {
    let shape = helper.param(1).and_then(|shape| shape.value().as_str()).and_then(Shape::named);
    let shape = shape.ok_or(RenderErrorReason::ParamNotFoundForIndex("time", 1))?;
    if let Some(time) = helper.param(0).and_then(|time| time.value().as_i64()) {
        out.write(&times::element(Time(time), shape))?;
    }
    Ok(())
}

/// `{{count age}}`: words that the page counts on; nothing where there are none.
fn count(helper: &Helper, _: &Handlebars, _: &Context, _: &mut RenderContext, out: &mut dyn Output) -> HelperResult {
    let value = helper.param(0).ok_or(RenderErrorReason::ParamNotFoundForIndex("count", 0))?.value();
    if !value.is_null() {
        let counted = Counted::deserialize(value).map_err(RenderErrorReason::from)?;
        out.write(&counted.element())?;
    }
    Ok(())
}

/// `{{quote name}}`: a name as one element of a path.
fn quoted(helper: &Helper, _: &Handlebars, _: &Context, _: &mut RenderContext, out: &mut dyn Output) -> HelperResult {
    let name = helper.param(0).and_then(|name| name.value().as_str());
    let name = name.ok_or(RenderErrorReason::ParamNotFoundForIndex("quote", 0))?;
    out.write(&quote(name))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_built_in_template_compiles() {
        let mut registry = Handlebars::new();
        for file in BuiltIn::iter() {
            let text = BuiltIn::get(&file).unwrap();
            register(&mut registry, &file, std::str::from_utf8(&text.data).unwrap()).unwrap();
        }
    }

    #[test]
    fn an_override_is_taken_broken_ones_are_reported_and_removed_ones_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.hbs");
        let templates = Templates::new(vec![folder.path().to_owned()]);
        let render = || {
            templates.look_again(true);
            templates.render("mine", &json!({ "who": "<ada>" })).ok()
        };
        assert_eq!(render(), None);

        std::fs::write(&file, "hello {{who}}").unwrap();
        assert_eq!(render().as_deref(), Some("hello &lt;ada&gt;"));

        std::fs::write(&file, "hello {{#if who}} and no end").unwrap();
        assert_eq!(render().as_deref(), Some("hello &lt;ada&gt;"));
        assert_eq!(templates.problems().len(), 1);

        std::fs::remove_file(&file).unwrap();
        assert_eq!(render(), None);
        assert_eq!(templates.problems(), Vec::<String>::new());
    }
}
