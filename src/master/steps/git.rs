//! `Git`: the source as the source stamp has it, in the step's directory.
//!
//! However the directory looks before, the way is the same: a repository is made if there is none, the branch is
//! fetched (unless the wanted revision is there already), the work tree is set to it. The modes differ in what is
//! thrown away first.
//!
//! The step fails, with the reason in its log, where the repository cannot be reached, does not have the branch, or
//! has the revision in no fetched branch. The property `got_revision` holds what was checked out; in a build of several
//! codebases it is a dict by codebase.
//!
//! Not here: reference repositories, `config`, the finer arguments of `getDescription`.

use super::pump::Captured;
use super::{Fault, Observer, Outcome, STDIO, StepRun, Words, shell};
use crate::config::{GitMode, GitStep};
use crate::master::worker::{CommandLine, Ended, Program, Variable, Work, join};
use crate::model::*;
use serde_json::{Map, Value};
use std::cell::Cell;

/// Who sets `got_revision`.
const SOURCE: &str = "Git";

/// Files a git that was killed leaves behind, and that stop the next one.
const LOCKS: [&str; 4] = ["index.lock", "HEAD.lock", "shallow.lock", "config.lock"];

pub(super) fn words() -> Words {
    Words::new("updating", "update")
}

pub(super) async fn run(step: &mut StepRun<'_>, config: &GitStep) -> Result<Outcome, Fault> {
    let env = config.env.iter().filter_map(|(_, value)| value.clone());
    let builder_env = step.build.builder.env.iter().map(|(_, value)| value.clone());
    let options = std::iter::once(config.repourl.clone()).chain(env).chain(builder_env).collect();
    step.keep_secret(options).await?;
    let git = prepare(step, config).await?;
    step.begin(words(), &[STDIO.to_owned()]).await?;
    if let Some(patch) = &git.patch {
        step.add_log("patch", patch.body.clone()).await?;
    }
    let mut done = git.check_out(step).await?;
    if !done && config.clobber_on_failure {
        step.say("The checkout failed; everything is removed and fetched anew (clobberOnFailure).\n").await;
        git.remove(step, "").await?;
        done = git.check_out(step).await?;
    }
    if !done {
        return Ok(Results::Failure.into());
    }
    git.set_properties(step).await?;
    if config.mode == GitMode::Copy && !git.copy(step).await? {
        return Ok(Results::Failure.into());
    }
    match &git.patch {
        Some(patch) => Ok(git.apply(step, patch).await?.into()),
        None => Ok(Results::Success.into()),
    }
}

/// Everything rendered and decided before the first command.
struct Git {
    config: GitStep,
    url: String,
    branch: String,
    revision: Option<String>,
    patch: Option<Patch>,
    /// Where the repository is.
    directory: String,
    /// Where the build works; differs from `directory` in mode `copy`.
    workdir: String,
    environment: Vec<(String, Variable)>,
    /// The environment is the same for all commands; the log has it once.
    shown: Cell<bool>,
}

async fn prepare(step: &StepRun<'_>, config: &GitStep) -> Result<Git, Fault> {
    let (config, builder) = (config.clone(), step.build.builder.clone());
    let builddir = step.build.lease.session.builddir(&builder.workerbuilddir);
    step.render(move |context| {
        let stamp = context.source_stamps.iter().find(|stamp| stamp.codebase == config.codebase);
        let branch = match stamp.and_then(|stamp| stamp.branch.clone()).filter(|branch| !branch.is_empty()) {
            Some(branch) => branch,
            None => config.branch.render_text(context)?,
        };
        let revision = stamp.and_then(|stamp| stamp.revision.clone()).filter(|revision| !revision.is_empty());
        let workdir = join(&builddir, &config.workdir.render_text(context)?);
        let copies = config.mode == GitMode::Copy;
        Ok(Git {
            url: config.repourl.render_text(context)?,
            branch: if branch.is_empty() { "HEAD".to_owned() } else { branch },
            revision: if config.always_use_latest { None } else { revision },
            patch: stamp.and_then(|stamp| stamp.patch.clone()),
            directory: if copies { join(&builddir, "source") } else { workdir.clone() },
            workdir,
            environment: shell::environment(&builder.env, &config.env, context)?,
            shown: Cell::new(!config.log_environ),
            config,
        })
    })
    .await
}

impl Git {
    /// False when it could not be done; the log says why.
    async fn check_out(&self, step: &mut StepRun<'_>) -> Result<bool, Fault> {
        if self.url.starts_with('-') || self.branch.starts_with('-') {
            step.say(&format!("Neither a repository nor a branch can be named {} {}.\n", self.url, self.branch)).await;
            return Ok(false);
        }
        if let Some(revision) = self.revision.as_deref().filter(|revision| !is_name(revision)) {
            step.say(&format!("\"{revision}\" cannot be a revision of git.\n")).await;
            return Ok(false);
        }
        if self.config.mode == GitMode::Clobber {
            self.remove(step, "").await?;
        }
        if !self.make_repository(step).await? {
            return Ok(false);
        }
        if !self.fetch(step).await? {
            return Ok(false);
        }
        self.set_tree(step).await
    }

    async fn make_repository(&self, step: &mut StepRun<'_>) -> Result<bool, Fault> {
        let there = Work::Exists(join(&self.directory, ".git"));
        let ours = self.config.mode != GitMode::Clobber && step.work(there, &mut Observer::Nothing).await?.is_success();
        if ours {
            for lock in LOCKS {
                self.remove(step, &format!(".git/{lock}")).await?;
            }
            let clean: &[&str] = match self.config.mode {
                GitMode::Clean => &["clean", "-d", "-f", "-f"],
                GitMode::Fresh => &["clean", "-d", "-f", "-f", "-x"],
                GitMode::Incremental | GitMode::Clobber | GitMode::Copy => &[],
            };
            if !clean.is_empty() && !self.git(step, clean).await?.is_success() {
                step.say("The repository is damaged; it is made anew.\n").await;
                self.remove(step, "").await?;
                return self.initialise(step).await;
            }
            return self.set_remote(step).await;
        }
        // Something else may be in the way, such as a checkout that was interrupted.
        self.remove(step, "").await?;
        self.initialise(step).await
    }

    async fn initialise(&self, step: &mut StepRun<'_>) -> Result<bool, Fault> {
        Ok(self.git(step, &["init", "--quiet"]).await?.is_success() && self.set_remote(step).await?)
    }

    /// Submodules with relative addresses are looked up from here.
    async fn set_remote(&self, step: &mut StepRun<'_>) -> Result<bool, Fault> {
        let key = format!("remote.{}.url", self.config.origin);
        Ok(self.git(step, &["config", &key, &self.url]).await?.is_success())
    }

    async fn fetch(&self, step: &mut StepRun<'_>) -> Result<bool, Fault> {
        // A name may mean something else by now; only a hash can be there already.
        if let Some(revision) = &self.revision
            && is_hash(revision)
            && self.has(step, revision).await?
        {
            return Ok(true);
        }
        let mut command = vec!["fetch", "--force", "--tags"];
        if self.config.shallow {
            command.extend(["--depth", "1"]);
        }
        if self.config.progress {
            command.push("--progress");
        }
        command.extend([self.url.as_str(), self.branch.as_str()]);
        let (pause, mut tries) = self.config.retry.unwrap_or_default();
        loop {
            if self.git(step, &command).await?.is_success() {
                break;
            }
            if tries == 0 {
                step.say(&format!("Branch {} of {} could not be fetched.\n", self.branch, self.url)).await;
                return Ok(false);
            }
            tries -= 1;
            step.say(&format!("The fetch is tried again in {} s.\n", pause.as_secs_f64())).await;
            step.show(vec!["updating".to_owned(), "(again)".to_owned()]).await?;
            step.pause(pause).await?;
        }
        let Some(revision) = &self.revision else { return Ok(true) };
        if self.has(step, revision).await? {
            return Ok(true);
        }
        let why = if self.config.shallow { ", of which only the newest is fetched (shallow)" } else { "" };
        step.say(&format!(
            "Revision {revision} is not in branch {} of {}{why}; it may have been removed by a forced push, or belong \
             to another branch.\n",
            self.branch, self.url
        ))
        .await;
        Ok(false)
    }

    async fn has(&self, step: &mut StepRun<'_>, revision: &str) -> Result<bool, Fault> {
        let commit = format!("{revision}^{{commit}}");
        Ok(self.git(step, &["cat-file", "-e", &commit]).await?.is_success())
    }

    async fn set_tree(&self, step: &mut StepRun<'_>) -> Result<bool, Fault> {
        let target = self.revision.as_deref().unwrap_or("FETCH_HEAD");
        let named = self.branch != "HEAD" && !self.branch.starts_with("refs/");
        if named {
            // So that what the build asks git for the branch gets its name.
            let head = format!("refs/heads/{}", self.branch);
            if !self.git(step, &["symbolic-ref", "HEAD", &head]).await?.is_success() {
                return Ok(false);
            }
        }
        if !self.git(step, &["reset", "--hard", target, "--"]).await?.is_success() {
            return Ok(false);
        }
        if !self.config.submodules {
            return Ok(true);
        }
        let clean: &[&str] = match self.config.mode {
            GitMode::Clean => &["clean", "-d", "-f", "-f"],
            GitMode::Fresh => &["clean", "-d", "-f", "-f", "-x"],
            GitMode::Incremental | GitMode::Clobber | GitMode::Copy => &[],
        };
        // Newer gits refuse submodules in local folders; where the repository itself is one, they are meant.
        let local = self.url.starts_with('/') || self.url.starts_with("file:");
        let allow: &[&str] = if local { &["-c", "protocol.file.allow=always"] } else { &[] };
        let sync = [allow, &["submodule", "sync", "--recursive"]].concat();
        let update = [allow, &["submodule", "update", "--init", "--recursive", "--force"]].concat();
        if !self.git(step, &sync).await?.is_success() || !self.git(step, &update).await?.is_success() {
            return Ok(false);
        }
        if clean.is_empty() {
            return Ok(true);
        }
        let each = format!("git {}", clean.join(" "));
        Ok(self.git(step, &["submodule", "foreach", "--recursive", &each]).await?.is_success())
    }

    async fn set_properties(&self, step: &mut StepRun<'_>) -> Result<(), Fault> {
        let (ended, head) = self.ask(step, &["rev-parse", "HEAD"]).await?;
        if !ended.is_success() {
            return Err(Fault::Exception("git does not say which revision was checked out".to_owned()));
        }
        let codebase = &self.config.codebase;
        if codebase.is_empty() {
            step.set_property("got_revision", head, SOURCE);
        } else {
            let mut all = match step.property("got_revision") {
                Some(Value::Object(all)) => all,
                _ => Map::new(),
            };
            all.insert(codebase.clone(), Value::from(head));
            step.set_property("got_revision", all, SOURCE);
        }
        if self.config.get_description {
            let (ended, description) = self.ask(step, &["describe", "HEAD"]).await?;
            if ended.is_success() {
                let name = match codebase.as_str() {
                    "" => "commit-description".to_owned(),
                    codebase => format!("commit-description-{codebase}"),
                };
                step.set_property(&name, description, SOURCE);
            }
        }
        Ok(())
    }

    async fn copy(&self, step: &mut StepRun<'_>) -> Result<bool, Fault> {
        let copy = Work::Copy { from: self.directory.clone(), to: self.workdir.clone() };
        Ok(step.work(copy, &mut Observer::Nothing).await?.is_success())
    }

    async fn apply(&self, step: &mut StepRun<'_>, patch: &Patch) -> Result<Results, Fault> {
        let level = format!("-p{}", patch.level);
        let below =
            patch.subdir.as_deref().filter(|subdir| !subdir.is_empty()).map(|subdir| format!("--directory={subdir}"));
        let mut command = vec!["apply", "--index", &level];
        command.extend(below.as_deref());
        let line = CommandLine { stdin: Some(patch.body.clone().into_bytes()), ..self.line(&command, &self.workdir) };
        let ended = step.command(line, &mut Observer::Nothing).await?;
        Ok(if ended.is_success() { Results::Success } else { Results::Failure })
    }

    async fn remove(&self, step: &mut StepRun<'_>, below: &str) -> Result<(), Fault> {
        step.work(Work::Remove(join(&self.directory, below)), &mut Observer::Nothing).await?;
        Ok(())
    }

    async fn git(&self, step: &mut StepRun<'_>, arguments: &[&str]) -> Result<Ended, Fault> {
        step.command(self.line(arguments, &self.directory), &mut Observer::Nothing).await
    }

    /// Runs git and gives what it prints, without surrounding white space.
    async fn ask(&self, step: &mut StepRun<'_>, arguments: &[&str]) -> Result<(Ended, String), Fault> {
        let mut observer = Observer::Capture(Captured::default());
        let ended = step.command(self.line(arguments, &self.directory), &mut observer).await?;
        let Observer::Capture(captured) = observer else { return Ok((ended, String::new())) };
        Ok((ended, String::from_utf8_lossy(&captured.stdout).trim().to_owned()))
    }

    fn line(&self, arguments: &[&str], directory: &str) -> CommandLine {
        let words = std::iter::once("git").chain(arguments.iter().copied());
        CommandLine {
            program: Program::Arguments(words.map(str::to_owned).collect()),
            directory: directory.to_owned(),
            environment: self.environment.clone(),
            want_stdout: true,
            want_stderr: true,
            log_environ: !self.shown.replace(true),
            timeout: self.config.timeout,
            max_time: None,
            sigterm_time: None,
            stdin: None,
            files: Vec::new(),
        }
    }
}

/// Whether git could take it for anything but an option or a range.
fn is_name(text: &str) -> bool {
    !text.starts_with('-') && !text.contains("..") && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

fn is_hash(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_ranges_are_no_revisions() {
        assert!(is_name("568835359792a7d5fb2892e2f1e09dcb6c22a634"));
        assert!(is_name("v1.0"));
        assert!(!is_name("--upload-pack=x"));
        assert!(!is_name("a..b"));
        assert!(!is_name("a b"));
    }

    #[test]
    fn only_hexadecimal_names_are_hashes() {
        assert!(is_hash("5688353"));
        assert!(!is_hash("v1.0.0.0"));
        assert!(!is_hash("abc"));
    }
}
