//! Values for the parameters of a pipeline.

use std::collections::BTreeMap;

use super::model::{ParamType, Pipeline};

impl Pipeline {
    /// A value for every parameter: as given, else its default.
    ///
    /// # Errors
    /// All of: names that no parameter has, values that are not of the parameter's type, parameters that have neither
    /// a value nor a default.
    pub fn resolve_params(&self, given: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Vec<String>> {
        let mut faults: Vec<String> =
            given.keys().filter(|name| !self.params.contains_key(*name)).map(|name| self.no_param(name)).collect();
        let mut resolved = BTreeMap::new();
        for (name, param) in &self.params {
            let Some(value) = given.get(name).or(param.default.as_ref()) else {
                faults.push(format!("the parameter `{name}` has no default and must be given"));
                continue;
            };
            if let Err(wrong) = check_value(name, param.kind, value) {
                faults.push(wrong);
            }
            resolved.insert(name.clone(), value.clone());
        }
        if faults.is_empty() { Ok(resolved) } else { Err(faults) }
    }

    /// Whether there is such a parameter, and it can have this value; the error is for people.
    pub fn check_param(&self, name: &str, value: &str) -> Result<(), String> {
        let param = self.params.get(name).ok_or_else(|| self.no_param(name))?;
        check_value(name, param.kind, value)
    }

    fn no_param(&self, name: &str) -> String {
        let hint = super::nearest::hint(name, self.params.keys().map(String::as_str));
        let hint = hint.unwrap_or_else(|| "see its `params`".to_owned());
        format!("the pipeline has no parameter `{name}`: {hint}")
    }
}

/// Whether a value is of a type; the error is for people.
pub(super) fn check_value(name: &str, kind: ParamType, value: &str) -> Result<(), String> {
    let (is_right, what) = match kind {
        ParamType::String => (!value.contains('\0'), "a text without zero bytes"),
        ParamType::Integer => (value.parse::<i64>().is_ok(), "a whole number"),
        ParamType::Number => (value.parse::<f64>().is_ok_and(f64::is_finite), "a number"),
        ParamType::Boolean => (matches!(value, "true" | "false"), "`true` or `false`"),
    };
    if is_right { Ok(()) } else { Err(format!("the parameter `{name}` is `{value}`, which is not {what}")) }
}
