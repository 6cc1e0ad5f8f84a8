//! `SetPropertyFromCommand`: properties from what a command prints.
//!
//! With `property` a command that fails sets nothing; `extract_fn` is called however the command ended.

use super::{Fault, Observer, Outcome, StepRun, shell};
use crate::config::{Arg, Extract, ShellStep};
use crate::master::worker::Ended;
use crate::model::*;
use serde_json::Value;

use super::pump::Captured;

/// Who sets them.
const SOURCE: &str = "SetPropertyFromCommand Step";

pub(super) async fn run(step: &mut StepRun<'_>, config: &ShellStep, extract: &Extract) -> Result<Outcome, Fault> {
    let mut observer = Observer::Capture(Captured::default());
    let ended = shell::run_command(step, config, &mut observer).await?;
    let Observer::Capture(captured) = observer else { return Ok(Results::Exception.into()) };
    let stdout = String::from_utf8_lossy(&captured.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&captured.stderr).into_owned();
    let found = match extract {
        Extract::Property { .. } if !ended.is_success() => Vec::new(),
        Extract::Property { name, strip } => {
            let text = if *strip { stdout.trim().to_owned() } else { stdout };
            vec![(name.clone(), Value::from(text))]
        }
        Extract::Callback(callback) => {
            let args = vec![Value::from(ended.status()), Value::from(stdout), Value::from(stderr)];
            match callback.call(args.into_iter().map(Arg::Json).collect()).await {
                Ok(Value::Object(found)) => found.into_iter().collect(),
                Ok(Value::Null) => Vec::new(),
                Ok(other) => return Err(Fault::Exception(format!("extract_fn: expected a dict, got {other}"))),
                Err(cause) => return Err(Fault::Exception(format!("extract_fn: {cause}"))),
            }
        }
    };
    let results = match ended {
        Ended::Exit(0) => Results::Success,
        Ended::Exit(status) => config.decode_rc.get(&status).copied().unwrap_or(Results::Failure),
        Ended::Signal(_) | Ended::NotStarted | Ended::Lost => Results::Failure,
    };
    match found.as_slice() {
        [] => {}
        [(name, _)] => step.set_done_words(vec![format!("property '{name}' set")]),
        several => step.set_done_words(vec![format!("{} properties set", several.len())]),
    }
    if !found.is_empty() {
        let listed: String = found.iter().map(|(name, value)| format!("{name}: {}\n", shown(value))).collect();
        step.add_log("property changes", listed).await?;
    }
    for (name, value) in found {
        step.set_property(&name, value, SOURCE);
    }
    Ok(results.into())
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{text}'"),
        other => other.to_string(),
    }
}
