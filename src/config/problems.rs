use std::fmt;

/// One thing wrong with the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// `master.cfg:14` or, with a column, `master.cfg:14:9`.
    pub place: String,
    /// What is wrong, as a sentence naming the option: `status.MailNotifier: unknown option "mod"`.
    pub message: String,
    /// The offending line of the file with its caret, if there is one.
    pub snippet: Option<String>,
    /// `did you mean "mode"?`
    pub suggestion: Option<String>,
}

/// All problems found, so that the operator mends the file once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Problems(pub Vec<Problem>);

/// Marks the place of a problem with one option until the loader has found its line: `master.cfg:14?mode`.
const OPTION_MARK: char = '?';

/// Marks a note, which is no problem: the file is good, but something in it has no effect.
const NOTE_MARK: char = '!';

impl Problems {
    /// Adds a problem with an option (`MailNotifier.extraRecipients`) at `place`.
    pub fn add(&mut self, place: &str, message: impl Into<String>) {
        self.0.push(Problem::new(place, message));
    }

    /// Adds a problem with one option of the call at `place`.
    pub(super) fn add_option(&mut self, place: &str, option: &str, message: impl Into<String>) {
        match option {
            "" => self.add(place, message),
            _ => self.add(&format!("{place}{OPTION_MARK}{option}"), message),
        }
    }

    /// Adds a note about one option of the call at `place`.
    pub(super) fn note(&mut self, place: &str, option: &str, message: impl Into<String>) {
        self.add(&format!("{NOTE_MARK}{place}{OPTION_MARK}{option}"), message);
    }

    /// Gives the problem added last a suggestion.
    pub(super) fn suggest(&mut self, suggestion: Option<String>) {
        if let (Some(problem), Some(suggestion)) = (self.0.last_mut(), suggestion) {
            problem.suggestion = Some(suggestion);
        }
    }

    /// Takes the notes out.
    pub(super) fn take_notes(&mut self) -> Vec<Problem> {
        let (mut notes, problems): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.0).into_iter().partition(|problem| problem.place.starts_with(NOTE_MARK));
        self.0 = problems;
        notes.iter_mut().for_each(|note| note.place = note.place.trim_start_matches(NOTE_MARK).to_owned());
        notes
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The place and the option of a problem added by [`Problems::add_option`].
pub(super) fn option_of(place: &str) -> (&str, Option<&str>) {
    match place.split_once(OPTION_MARK) {
        Some((place, option)) => (place, Some(option)),
        None => (place, None),
    }
}

/// `did you mean "mode"?`, if one of the known words is near enough.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = word.to_lowercase();
    let near = |candidate: &&str| {
        let distance = strsim::osa_distance(&lower, &candidate.to_lowercase());
        let longest = word.chars().count().max(candidate.chars().count());
        (distance * 3 <= longest).then_some(distance)
    };
    let best =
        known.into_iter().filter_map(|candidate| Some((near(&candidate)?, candidate))).min_by_key(|(d, _)| *d)?;
    Some(format!("did you mean \"{}\"?", best.1))
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, ", {suggestion}")?;
        }
        if let Some(snippet) = &self.snippet {
            write!(f, "\n{snippet}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problems {
    /// One paragraph per problem, in the order of the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| writeln!(f, "{problem}"))
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        assert_eq!(did_you_mean("mod", ["mode", "tags"]).as_deref(), Some("did you mean \"mode\"?"));
        assert_eq!(did_you_mean("relayHost", ["relayhost"]).as_deref(), Some("did you mean \"relayhost\"?"));
        assert_eq!(did_you_mean("colour", ["mode", "tags"]), None);
    }
}
