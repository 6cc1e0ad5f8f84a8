use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// A set of properties, each with a name, a value (any JSON) and who set it (`Scheduler`, `Git`, …); the one set last
/// under a name wins.
///
/// In JSON it is a list of triples `[name, value, source]` sorted by name, as every 0.8 format has it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "Vec<(String, Value, String)>")]
pub struct Properties(BTreeMap<String, (Value, String)>);

impl Properties {
    pub fn new() -> Properties {
        Properties::default()
    }

    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>, source: impl Into<String>) {
        self.0.insert(name.into(), (value.into(), source.into()));
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).map(|(value, _)| value)
    }

    /// Who set the property of this name.
    pub fn source(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(_, source)| source.as_str())
    }

    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Takes over all of `later`, which wins where both have a name.
    pub fn update(&mut self, later: &Properties) {
        self.0.extend(later.0.iter().map(|(name, value)| (name.clone(), value.clone())));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value, &str)> {
        self.0.iter().map(|(name, (value, source))| (name.as_str(), value, source.as_str()))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl From<Vec<(String, Value, String)>> for Properties {
    fn from(triples: Vec<(String, Value, String)>) -> Self {
        Properties(triples.into_iter().map(|(name, value, source)| (name, (value, source))).collect())
    }
}
