use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One build property as 0.8 shows it: name, value (any JSON), and who set it (`Scheduler`, `Git`, …).
///
/// In JSON it is the triple `[name, value, source]` of the sheets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "(String, Value, String)", from = "(String, Value, String)")]
pub struct Property {
    pub name: String,
    pub value: Value,
    pub source: String,
}

impl From<Property> for (String, Value, String) {
    fn from(property: Property) -> Self {
        (property.name, property.value, property.source)
    }
}

impl From<(String, Value, String)> for Property {
    fn from((name, value, source): (String, Value, String)) -> Self {
        Property { name, value, source }
    }
}

/// A set of properties, sorted by name; the one set last under a name wins.
///
/// In JSON it is the list of triples sorted by name, as every 0.8 format has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "Vec<Property>", from = "Vec<Property>")]
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

impl From<Properties> for Vec<Property> {
    fn from(properties: Properties) -> Self {
        let triple = |(name, (value, source))| Property { name, value, source };
        properties.0.into_iter().map(triple).collect()
    }
}

impl From<Vec<Property>> for Properties {
    fn from(properties: Vec<Property>) -> Self {
        Properties(properties.into_iter().map(|p| (p.name, (p.value, p.source))).collect())
    }
}
