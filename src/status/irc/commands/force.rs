//! `force build [--branch=…] [--revision=…] [--props=…] <which> <reason>`
//!
//! Options are GNU's: `--branch=x` or `--branch x`, shortened as far as they stay one of a kind, before the builder.

use super::{Act, Call, Sorry};
use crate::config::Validation;
use crate::master::SubmitBuildset;
use crate::master::authz::{Action, Subject};
use crate::model::{Properties, SourceStamp};

pub const USAGE: &str = "force build [--branch=branch] [--revision=revision] [--props=prop1=val1,prop2=val2...] \
                         <which> <reason> - Force a build";

const TRY: &str = "force build [--branch=BRANCH] [--revision=REVISION] [--props=PROP1=VAL1,PROP2=VAL2...]  \
                   <WHICH> <REASON>";

/// Who set the properties, as builds show it.
const SOURCE: &str = "Force Build IRC";

const OPTIONS: [&str; 5] = ["branch", "builder", "props", "reason", "revision"];

pub async fn run(call: &Call) -> Result<Vec<Act>, Sorry> {
    let words = call.words()?;
    let wish = match words.split_first() {
        Some((word, rest)) if word == "build" => Wish::read(rest)?,
        _ => return Err(Sorry::usage(TRY)),
    };
    wish.check(&call.in_force.validation)?;
    call.rights.open(Action::ForceBuild)?;
    let builder = call.builder(&wish.builder).await?;
    call.may(Action::ForceBuild, Subject::Builder(&builder)).await?;
    let (_, requests) = call.desk.master.send(wish.order(&call.who())).await??;
    Ok(requests.into_iter().map(Act::Await).collect())
}

/// What somebody wants built.
#[derive(Clone, Debug, Default, PartialEq)]
struct Wish {
    builder: String,
    branch: Option<String>,
    revision: Option<String>,
    props: Vec<(String, String)>,
    reason: Option<String>,
}

impl Wish {
    /// Reads what follows `build`.
    fn read(words: &[String]) -> Result<Wish, Sorry> {
        let (options, rest) = options(words)?;
        let (mut wish, mut builder) = (Wish::default(), None);
        for (name, value) in options {
            wish.set(name, value, &mut builder)?;
        }
        if builder.is_some() && !rest.is_empty() {
            return Err(sorry("--builder provided in two ways"));
        }
        let missing = || sorry(format!("you must provide a Builder, try '{TRY}'"));
        wish.builder = builder.or_else(|| rest.first().cloned()).ok_or_else(missing)?;
        match (rest.get(1..).unwrap_or_default(), &wish.reason) {
            ([], _) => {}
            (_, Some(_)) => return Err(sorry("--reason provided in two ways")),
            (words, None) => wish.reason = Some(words.join(" ")),
        }
        Ok(wish)
    }

    fn set(&mut self, name: &str, value: String, builder: &mut Option<String>) -> Result<(), Sorry> {
        match name {
            "branch" => self.branch = Some(value),
            "revision" => self.revision = Some(value),
            "reason" => self.reason = Some(value),
            "builder" => *builder = Some(value),
            _ => self.props = props(&value)?,
        }
        Ok(())
    }

    /// What is typed here goes to programs: it must look as the configuration says.
    fn check(&self, validation: &Validation) -> Result<(), Sorry> {
        let fits = |regex: &regex::Regex, text: &str| regex.find(text).is_some_and(|found| found.start() == 0);
        if let Some(branch) = self.branch.as_deref().filter(|branch| !fits(&validation.branch, branch)) {
            return Err(sorry(format!("sorry, bad branch '{branch}'")));
        }
        if let Some(revision) = self.revision.as_deref().filter(|revision| !fits(&validation.revision, revision)) {
            return Err(sorry(format!("sorry, bad revision '{revision}'")));
        }
        let bad = |(name, value): &&(String, String)| {
            name.is_empty() || !fits(&validation.property_name, name) || !fits(&validation.property_value, value)
        };
        match self.props.iter().find(bad) {
            Some((name, value)) => Err(sorry(format!("sorry, bad property name='{name}', value='{value}'"))),
            None => Ok(()),
        }
    }

    fn order(self, who: &str) -> SubmitBuildset {
        let mut properties = Properties::new();
        for (name, value) in self.props {
            properties.set(name, value, SOURCE);
        }
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let stamp =
            SourceStamp { branch: given(self.branch), revision: given(self.revision), ..SourceStamp::default() };
        let reason = self.reason.as_deref().unwrap_or("None");
        SubmitBuildset {
            scheduler: String::new(),
            builders: vec![self.builder],
            source_stamps: vec![stamp],
            properties,
            reason: format!("forced: by {who}: {reason}"),
            external_idstring: None,
            state: Vec::new(),
        }
    }
}

/// An option's whole name and its value.
type Given = (&'static str, String);

/// The options at the front, and what follows them.
fn options(words: &[String]) -> Result<(Vec<Given>, &[String]), Sorry> {
    let (mut options, mut rest) = (Vec::new(), words);
    while let Some((word, others)) = rest.split_first() {
        rest = match word.strip_prefix("--") {
            Some("") => return Ok((options, others)),
            Some(option) => match (option.split_once('='), others) {
                (Some((name, value)), _) => {
                    options.push((known(name)?, value.to_owned()));
                    others
                }
                (None, [value, others @ ..]) => {
                    options.push((known(option)?, value.clone()));
                    others
                }
                (None, []) => return Err(sorry(format!("option --{} needs a value", known(option)?))),
            },
            None if word.starts_with('-') && word.len() > 1 => return Err(unknown(word)),
            None => break,
        };
    }
    Ok((options, rest))
}

/// The option that this is, or is short for.
fn known(name: &str) -> Result<&'static str, Sorry> {
    if let Some(option) = OPTIONS.into_iter().find(|option| *option == name) {
        return Ok(option);
    }
    let meant: Vec<&'static str> = OPTIONS.into_iter().filter(|option| option.starts_with(name)).collect();
    match meant.as_slice() {
        [option] => Ok(option),
        [] => Err(unknown(&format!("--{name}"))),
        several => Err(sorry(format!("option --{name} may be --{}", several.join(" or --")))),
    }
}

fn unknown(option: &str) -> Sorry {
    sorry(format!("there is no option {option}; there are --{}", OPTIONS.join(", --")))
}

/// `a=1,b=2`
fn props(text: &str) -> Result<Vec<(String, String)>, Sorry> {
    let pair = |prop: &str| match prop.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(sorry(format!("'{prop}' is no property: write --props=NAME=VALUE,NAME=VALUE"))),
    };
    text.split(',').map(pair).collect()
}

fn sorry(text: impl Into<String>) -> Sorry {
    Sorry::Said(text.into())
}

#[cfg(test)]
mod tests {
    use super::super::super::shell_words::split;
    use super::*;

    fn read(line: &str) -> Result<Wish, String> {
        Wish::read(&split(line).unwrap()).map_err(|sorry| sorry.to_string())
    }

    #[test]
    fn options_come_first_and_may_be_short() {
        let wish = read("--branch=release/1.0 --rev 1234 --p=a=1,b=x=y docs a 'real test' --now").unwrap();
        assert_eq!((wish.builder.as_str(), wish.reason.as_deref()), ("docs", Some("a real test --now")));
        assert_eq!((wish.branch.as_deref(), wish.revision.as_deref()), (Some("release/1.0"), Some("1234")));
        assert_eq!(wish.props, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "x=y".to_owned())]);
        assert_eq!(read("docs").unwrap().reason, None);
        assert_eq!(read("--builder docs --reason=r").unwrap().reason.as_deref(), Some("r"));
        assert_eq!(read("-- --odd why").unwrap().builder, "--odd");
    }

    #[test]
    fn every_mistake_is_named() {
        let said = |line| read(line).unwrap_err();
        assert_eq!(said("--builder=docs two ways"), "--builder provided in two ways");
        assert_eq!(said("--reason=r1 docs more"), "--reason provided in two ways");
        assert_eq!(said(""), format!("you must provide a Builder, try '{TRY}'"));
        let known = "there are --branch, --builder, --props, --reason, --revision";
        assert_eq!(said("--bogus docs why"), format!("there is no option --bogus; {known}"));
        assert_eq!(said("-b x docs"), format!("there is no option -b; {known}"));
        assert_eq!(said("--b=x docs"), "option --b may be --branch or --builder");
        assert_eq!(said("--branch"), "option --branch needs a value");
        assert_eq!(said("--props=a docs"), "'a' is no property: write --props=NAME=VALUE,NAME=VALUE");
    }

    #[test]
    fn what_is_typed_is_checked_as_the_configuration_says() {
        let checked = |line| read(line).unwrap().check(&Validation::default()).map_err(|sorry| sorry.to_string());
        assert_eq!(checked("--branch='bad branch;' docs").unwrap_err(), "sorry, bad branch 'bad branch;'");
        assert_eq!(checked("--revision=zz!zz docs").unwrap_err(), "sorry, bad revision 'zz!zz'");
        assert_eq!(checked("--props=bad!name=1 docs").unwrap_err(), "sorry, bad property name='bad!name', value='1'");
        assert_eq!(checked("--branch= --revision='1 2' --props=a=b:c docs"), Ok(()));
    }
}
