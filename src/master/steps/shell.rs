//! `ShellCommand`, `Compile`, `Test`: one command, its exit status decides.

use super::compile::{self, WarningCounter};
use super::{Fault, Observer, Outcome, STDIO, StepRun, Words, flatten};
use crate::config::{Command, RenderContext, RenderError, Renderable, ShellFlavour, ShellStep};
use crate::master::worker::{CommandLine, Ended, Program, Variable, WatchedFile, join};
use crate::model::*;
use serde_json::Value;

pub(super) async fn run(step: &mut StepRun<'_>, shell: &ShellStep) -> Result<Outcome, Fault> {
    let mut observer = match shell.flavour {
        ShellFlavour::Compile => Observer::Warnings(Box::new(WarningCounter::new(shell)?)),
        ShellFlavour::Shell | ShellFlavour::Test => Observer::Nothing,
    };
    let ended = run_command(step, shell, &mut observer).await?;
    let results = decode(shell, &ended);
    match observer {
        Observer::Warnings(counter) => compile::conclude(step, shell, *counter, results).await,
        Observer::Nothing | Observer::Capture(_) => Ok(results.into()),
    }
}

/// Renders and runs the command, with everything a shell step has.
pub(super) async fn run_command(
    step: &mut StepRun<'_>,
    shell: &ShellStep,
    observer: &mut Observer,
) -> Result<Ended, Fault> {
    step.keep_secret(options(step, shell)).await?;
    let line = prepare(step, shell).await?;
    let words = words_for(shell, &line.program);
    let names: Vec<String> = shell.logfiles.iter().map(|file| file.name.clone()).collect();
    let mut logs = vec![STDIO.to_owned()];
    if !shell.lazy_logfiles {
        logs.extend(names.iter().filter(|name| *name != STDIO).cloned());
    }
    step.begin(words, &logs).await?;
    step.watch_files(&names);
    step.command(line, observer).await
}

/// Every option that may hold a secret.
fn options(step: &StepRun<'_>, shell: &ShellStep) -> Vec<Renderable> {
    let mut options = match &shell.command {
        Command::Arguments(parts) => parts.clone(),
        Command::Line(line) => vec![line.clone()],
    };
    options.extend(step.build.builder.env.iter().map(|(_, value)| value.clone()));
    options.extend(shell.env.iter().filter_map(|(_, value)| value.clone()));
    options.extend(shell.initial_stdin.clone());
    options
}

/// The words for a step that is not run.
pub(super) async fn words(step: &mut StepRun<'_>, shell: &ShellStep) -> Result<Words, Fault> {
    step.keep_secret(options(step, shell)).await?;
    let command = shell.command.clone();
    let program = step.render(move |context| render_program(&command, context)).await?;
    Ok(words_for(shell, &program))
}

fn words_for(shell: &ShellStep, program: &Program) -> Words {
    match shell.flavour {
        ShellFlavour::Shell => {
            let words = command_words(program);
            Words { running: words.clone(), done: words, done_is_fixed: false }
        }
        ShellFlavour::Compile => Words::new("compiling", "compile"),
        ShellFlavour::Test => Words::new("testing", "test"),
    }
}

/// The first words of a command in quotes, as 0.8 shows a step that has no description.
fn command_words(program: &Program) -> Vec<String> {
    let words: Vec<&str> = match program {
        Program::Arguments(arguments) => arguments.iter().map(String::as_str).collect(),
        Program::Line(line) => line.split_whitespace().collect(),
    };
    match words.as_slice() {
        [] => vec!["???".to_owned()],
        [only] => vec![format!("'{only}'")],
        [first, second] => vec![format!("'{first}"), format!("{second}'")],
        [first, second, ..] => vec![format!("'{first}"), (*second).to_owned(), "...'".to_owned()],
    }
}

fn decode(shell: &ShellStep, ended: &Ended) -> Results {
    match ended {
        Ended::Exit(status) => shell.decode_rc.get(status).copied().unwrap_or(match status {
            0 => Results::Success,
            _ => Results::Failure,
        }),
        Ended::Signal(_) | Ended::NotStarted | Ended::Lost => Results::Failure,
    }
}

async fn prepare(step: &StepRun<'_>, shell: &ShellStep) -> Result<CommandLine, Fault> {
    let (shell, builder) = (shell.clone(), step.build.builder.clone());
    let builddir = step.build.lease.session.builddir(&builder.workerbuilddir);
    step.render(move |context| {
        let program = render_program(&shell.command, context)?;
        let files = shell
            .logfiles
            .iter()
            .map(|file| Ok(WatchedFile { path: file.path.render_text(context)?, follow: file.follow }));
        let stdin = shell.initial_stdin.as_ref().map(|stdin| stdin.render_text(context)).transpose()?;
        Ok(CommandLine {
            program,
            directory: join(&builddir, &shell.workdir.render_text(context)?),
            environment: environment(&builder.env, &shell.env, context)?,
            want_stdout: shell.want_stdout,
            want_stderr: shell.want_stderr,
            log_environ: shell.log_environ,
            timeout: shell.timeout,
            max_time: shell.max_time,
            sigterm_time: shell.sigterm_time,
            stdin: stdin.map(String::into_bytes),
            files: files.collect::<Result<_, RenderError>>()?,
        })
    })
    .await
}

fn render_program(command: &Command, context: &RenderContext) -> Result<Program, RenderError> {
    match command {
        Command::Line(line) => match line.render(context)? {
            // A property may hold a list: then it is one.
            Value::Array(values) => Ok(arguments(Value::Array(values))),
            _ => Ok(Program::Line(line.render_text(context)?)),
        },
        Command::Arguments(parts) => {
            let parts = parts.iter().map(|part| part.render(context)).collect::<Result<Vec<_>, _>>()?;
            Ok(arguments(Value::Array(parts)))
        }
    }
}

fn arguments(value: Value) -> Program {
    let mut words = Vec::new();
    flatten(value, &mut words);
    Program::Arguments(words)
}

/// The variables of the builder and of the step, which win; a value of `None` removes.
pub(super) fn environment(
    builder: &[(String, Renderable)],
    step: &[(String, Option<Renderable>)],
    context: &RenderContext,
) -> Result<Vec<(String, Variable)>, RenderError> {
    let mut all = Vec::new();
    for (name, value) in builder.iter().filter(|(name, _)| !step.iter().any(|(other, _)| other == name)) {
        all.push((name.clone(), variable(value.render(context)?)));
    }
    for (name, value) in step {
        let value = match value {
            Some(value) => variable(value.render(context)?),
            None => Variable::Removed,
        };
        all.push((name.clone(), value));
    }
    Ok(all)
}

fn variable(value: Value) -> Variable {
    let mut words = Vec::new();
    match value {
        Value::Null => Variable::Removed,
        Value::Array(_) => {
            flatten(value, &mut words);
            Variable::List(words)
        }
        other => {
            flatten(other, &mut words);
            Variable::Text(words.concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_command_is_shown_by_its_first_words() {
        let shown = |words: &[&str]| command_words(&Program::Arguments(words.iter().map(|&w| w.into()).collect()));
        assert_eq!(shown(&["false"]), ["'false'"]);
        assert_eq!(shown(&["echo", "warming"]), ["'echo", "warming'"]);
        assert_eq!(shown(&["make", "all", "-j"]), ["'make", "all", "...'"]);
        assert_eq!(command_words(&Program::Line("make  test".into())), ["'make", "test'"]);
    }

    #[test]
    fn values_become_variables() {
        assert_eq!(variable(json!(null)), Variable::Removed);
        assert_eq!(variable(json!("x")), Variable::Text("x".into()));
        assert_eq!(variable(json!(3)), Variable::Text("3".into()));
        assert_eq!(variable(json!(["a", "b"])), Variable::List(vec!["a".into(), "b".into()]));
    }
}
