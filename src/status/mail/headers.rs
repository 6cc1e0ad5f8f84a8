//! The headers that tell programs what kind of letter it is, and those of `extraHeaders`.

use super::config::Config;
use super::facts::Subject;
use super::mime::OWN_HEADERS;
use super::notifier::Project;
use crate::config::{RenderContext, RenderError};
use crate::model::Properties;
use url::Url;

/// No vacation program answers such a letter (RFC 3834); a mailbox can be sorted by the list's name (RFC 2919).
pub fn usual(project: &Project) -> Vec<(String, String)> {
    let host = Url::parse(&project.buildbot_url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let title: String = project.title.chars().filter(|c| !matches!(c, '<' | '>' | '"' | '\\')).collect();
    let list = format!("\"{title}\" <builds.{}>", host.unwrap_or_else(|| "localhost".to_owned()));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![header("Auto-Submitted", "auto-generated"), header("List-Id", &list)]
}

/// All of a letter. One that the configuration names takes the place of ours, unless the letter would be none without it.
pub fn of(subject: &Subject, config: &Config, project: &Project) -> Vec<(String, String)> {
    let mut headers = usual(project);
    for (name, value) in &config.extra_headers {
        let rendered =
            in_context(subject, project, |context| Ok((name.render_text(context)?, value.render_text(context)?)));
        match rendered {
            Ok((name, _)) if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) => {
                tracing::warn!("extraHeaders: not adding \"{name}\": every letter has one of its own");
            }
            Ok((name, value)) if is_name(&name) => {
                headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
                headers.push((name, value));
            }
            Ok((name, _)) => {
                tracing::warn!("extraHeaders: not adding \"{}\": no header has such a name", name.escape_debug())
            }
            Err(error) => tracing::error!("extraHeaders: {error}; the letter goes without it"),
        }
    }
    headers
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
}

/// With the one build of the letter, or with what a buildset was asked for.
fn in_context<T>(
    subject: &Subject,
    project: &Project,
    render: impl FnOnce(&RenderContext) -> Result<T, RenderError>,
) -> Result<T, RenderError> {
    let nothing = Properties::new();
    let one = subject.builds.first().filter(|_| subject.buildset.is_none()).map(|facts| &facts.build);
    let set = subject.buildset.as_ref();
    let properties = one.map(|build| &build.properties).or(set.map(|set| &set.properties)).unwrap_or(&nothing);
    let stamps = one.map(|build| build.source_stamps.as_slice()).or(set.map(|set| set.source_stamps.as_slice()));
    let context =
        RenderContext { properties, source_stamps: stamps.unwrap_or_default(), secrets: &project.secrets, build: one };
    render(&context)
}
