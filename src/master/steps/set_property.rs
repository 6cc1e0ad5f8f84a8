//! `SetProperty`: a property from a value that may be made from others.

use super::{Fault, Outcome, StepRun, Words};
use crate::config::Renderable;
use crate::model::*;

/// Who sets it.
const SOURCE: &str = "SetProperty Step";

pub(super) async fn run(step: &mut StepRun<'_>, property: &str, value: &Renderable) -> Result<Outcome, Fault> {
    step.begin(words(property), &[]).await?;
    let value = value.clone();
    let value = step.render(move |context| value.render(context)).await?;
    step.set_property(property, value, SOURCE);
    Ok(Results::Success.into())
}

pub(super) fn words(property: &str) -> Words {
    Words::new(&format!("setting property '{property}'"), &format!("property '{property}' set"))
}
