use crate::config::Section;
use std::sync::Arc;

/// What runs for the sections of one list of the configuration: change sources, or status targets.
pub struct Sections<R> {
    running: Vec<(Arc<Section>, R)>,
}

impl<R> Sections<R> {
    pub fn new() -> Sections<R> {
        Sections { running: Vec::new() }
    }

    pub fn iter(&self) -> impl Iterator<Item = &R> {
        self.running.iter().map(|(_, running)| running)
    }

    /// Those whose section has changed go on under another of the same kind, where one of `wanted` is new and `adopts` says
    /// that it can.
    pub fn adopt(&mut self, wanted: &[Arc<Section>], adopts: impl Fn(&R, &Section) -> bool) {
        let mut new = self.missing(wanted);
        let mut wanted: Vec<&Section> = wanted.iter().map(AsRef::as_ref).collect();
        for (section, running) in &mut self.running {
            if let Some(place) = wanted.iter().position(|wanted| *wanted == section.as_ref()) {
                wanted.swap_remove(place);
            } else if let Some(place) =
                new.iter().position(|other| other.kind == section.kind && adopts(running, other))
            {
                *section = new.swap_remove(place);
            }
        }
    }

    /// Takes out those that `wanted` has no more, or that `keep` refuses, last started first.
    pub fn take_gone(&mut self, wanted: &[Arc<Section>], keep: impl Fn(&R) -> bool) -> Vec<R> {
        let mut wanted: Vec<&Section> = wanted.iter().map(AsRef::as_ref).collect();
        let (kept, gone) = std::mem::take(&mut self.running).into_iter().partition(|(section, running)| {
            let place = wanted.iter().position(|wanted| *wanted == section.as_ref());
            keep(running) && place.map(|place| wanted.swap_remove(place)).is_some()
        });
        self.running = kept;
        gone.into_iter().rev().map(|(_, running): (_, R)| running).collect()
    }

    /// Those of `wanted` for which nothing runs, in the order of the file.
    pub fn missing(&self, wanted: &[Arc<Section>]) -> Vec<Arc<Section>> {
        let mut there: Vec<&Section> = self.running.iter().map(|(section, _)| section.as_ref()).collect();
        let missing = wanted.iter().filter(|wanted| {
            let place = there.iter().position(|there| *there == wanted.as_ref());
            place.map(|place| there.swap_remove(place)).is_none()
        });
        missing.cloned().collect()
    }

    pub fn add(&mut self, section: Arc<Section>, running: R) {
        self.running.push((section, running));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn section(name: &str) -> Arc<Section> {
        Arc::new(Section::new("status.StatusPush", "master.cfg:1", json!({ "file": name })))
    }

    #[test]
    fn what_has_changed_goes_on_where_it_can() {
        let mut sections = Sections::new();
        for name in ["a", "b", "c"] {
            sections.add(section(name), name);
        }
        let wanted = [section("c"), section("a"), section("b2"), section("d")];
        sections.adopt(&wanted, |running, other| other.options["file"] == format!("{running}2"));
        assert_eq!(sections.take_gone(&wanted, |_| true), [] as [&str; 0]);
        assert_eq!(sections.missing(&wanted), [section("d")]);
        assert_eq!(sections.iter().copied().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn what_did_not_change_stays_also_where_it_is_there_twice() {
        let mut sections = Sections::new();
        for (number, name) in ["a", "b", "a"].iter().enumerate() {
            sections.add(section(name), number);
        }
        let wanted = [section("c"), section("a")];
        assert_eq!(sections.take_gone(&wanted, |_| true), [2, 1]);
        assert_eq!(sections.missing(&wanted), [section("c")]);
        assert_eq!(sections.iter().copied().collect::<Vec<_>>(), [0]);
    }
}
