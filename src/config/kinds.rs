//! The constructors this room reads itself; every other room brings its own in the [`Catalog`](super::Catalog).

use super::{
    AuthzConfig, BuilderConfig, ChangeFilter, Kind, Parameter, Problems, SchedulerConfig, Secrets, Section, StepConfig,
    WorkerConfig,
};

/// In the order of the manual.
pub(super) const KINDS: [Kind; 48] = [
    kind("util.BuilderConfig", &["name", "slavename", "slavenames", "builddir"], builder),
    kind("util.BuildFactory", &["steps"], factory),
    kind("util.Interpolate", &["fmtstring", "*args"], ignored),
    kind("util.Property", &["key", "default", "defaultWhenFalse"], ignored),
    kind("util.WithProperties", &["fmtstring", "*args"], ignored),
    kind("util.renderer", &["fn"], ignored),
    kind("util.FlattenList", &["nestedlist"], ignored),
    kind("util.ChangeFilter", &["filter_fn"], filter),
    kind("util.Authz", &[], authz),
    kind("util.BasicAuth", &["userpass"], auth),
    kind("util.HTPasswdAuth", &["file"], auth),
    kind("util.HTPasswdAprAuth", &["file"], auth),
    kind("util.UsersAuth", &[], auth),
    kind("util.FixedParameter", PARAMETER, parameter),
    kind("util.StringParameter", PARAMETER, parameter),
    kind("util.TextParameter", PARAMETER, parameter),
    kind("util.IntParameter", PARAMETER, parameter),
    kind("util.BooleanParameter", PARAMETER, parameter),
    kind("util.UserNameParameter", &["name", "label"], parameter),
    kind("util.ChoiceStringParameter", PARAMETER, parameter),
    kind("util.InheritBuildParameter", PARAMETER, parameter),
    kind("util.BuildslaveChoiceParameter", &["name"], parameter),
    kind("util.AnyPropertyParameter", PARAMETER, parameter),
    kind("util.NestedParameter", &["name", "fields"], parameter),
    kind("util.CodebaseParameter", &["codebase"], codebase),
    kind("util.RevlinkMatch", &["repo_urls", "revlink"], revlink),
    kind("util.RevlinkMultiplexer", &["*revlinks"], revlink),
    kind("util.AuthorizedKeysManhole", &["port", "keyfile"], ignored),
    kind("util.PasswordManhole", &["port", "username", "password"], ignored),
    kind("util.TelnetManhole", &["port", "username", "password"], ignored),
    kind("worker.LocalWorker", &["name"], worker),
    kind("worker.Worker", &["name", "password"], worker),
    kind("secrets.SecretInAFile", &["dirname"], secrets),
    kind("schedulers.SingleBranchScheduler", &["name"], scheduler),
    kind("schedulers.AnyBranchScheduler", &["name"], scheduler),
    kind("schedulers.Dependent", &["name", "upstream", "builderNames"], scheduler),
    kind("schedulers.Periodic", &["name", "builderNames", "periodicBuildTimer"], scheduler),
    kind("schedulers.Nightly", NIGHTLY, scheduler),
    kind("schedulers.Triggerable", &["name", "builderNames"], scheduler),
    kind("schedulers.ForceScheduler", &["name", "builderNames"], scheduler),
    kind("steps.ShellCommand", &[], step),
    kind("steps.Shell", &[], step),
    kind("steps.Configure", &[], step),
    kind("steps.Compile", &[], step),
    kind("steps.Test", &[], step),
    kind("steps.Git", &["repourl"], step),
    kind("steps.SetProperty", &["property", "value"], step),
    kind("steps.SetPropertyFromCommand", &[], step),
];

const PARAMETER: &[&str] = &["name", "label", "regex"];
const NIGHTLY: &[&str] = &["name", "builderNames", "minute", "hour", "dayOfMonth", "month", "dayOfWeek"];

const fn kind(name: &'static str, positional: &'static [&'static str], check: fn(&Section, &mut Problems)) -> Kind {
    Kind { name, positional, check }
}

fn builder(section: &Section, problems: &mut Problems) {
    BuilderConfig::read(section, problems);
}

fn factory(section: &Section, problems: &mut Problems) {
    super::builders::Factory::read(section, problems);
}

fn filter(section: &Section, problems: &mut Problems) {
    ChangeFilter::read(section, problems);
}

/// Whoever it is given to says what else it needs.
fn authz(section: &Section, problems: &mut Problems) {
    AuthzConfig::read_without_login(section, problems);
}

fn auth(section: &Section, problems: &mut Problems) {
    super::Auth::read(section, problems);
}

fn parameter(section: &Section, problems: &mut Problems) {
    Parameter::read(section, problems);
}

fn codebase(section: &Section, problems: &mut Problems) {
    super::CodebaseParameter::read(section, problems);
}

fn revlink(section: &Section, problems: &mut Problems) {
    let mut options = section.read(problems);
    if section.kind == "util.RevlinkMultiplexer" {
        options.list("revlinks");
    } else {
        if let Some(link) = options.required_text("revlink")
            && !link.contains("%s")
        {
            options.problem("revlink", "needs %s where the revision goes");
        }
        for pattern in options.text_or_texts("repo_urls").unwrap_or_default() {
            if let Err(message) = super::section::compile(&pattern) {
                options.problem("repo_urls", message);
            }
        }
    }
    options.ignored("$function");
    options.finish();
}

/// Judged where it is used: a placeholder by the option it stands in.
fn ignored(_section: &Section, _problems: &mut Problems) {}

fn worker(section: &Section, problems: &mut Problems) {
    WorkerConfig::read(section, problems);
}

fn secrets(section: &Section, problems: &mut Problems) {
    Secrets::default().read(section, problems);
}

fn scheduler(section: &Section, problems: &mut Problems) {
    SchedulerConfig::read(section, problems);
}

fn step(section: &Section, problems: &mut Problems) {
    StepConfig::read(section, None, problems);
}
