//! The pipeline file: what a user writes, checked and ready to be run.
//!
//! Text becomes a tree that knows its places (`tree`), the tree a draft (`read`, by the table in `grammar`), the
//! draft a [`Pipeline`] (`check`). All three tell their faults to one collector, which makes one report.

mod check;
mod digest;
mod fault;
pub(crate) mod grammar;
pub mod model;
mod names;
pub(crate) mod nearest;
mod params;
pub(crate) mod read;
mod schema;
mod shell;
mod template;
pub(crate) mod tree;

#[cfg(test)]
mod tests;

pub use fault::{Fault, Faults};
pub use model::*;
pub(crate) use names::is_identifier as is_dimension_name;
pub use schema::schema;
pub use template::{Quoting, RenderError, TemplateValues};

use crate::limits::MAX_PIPELINE_BYTES;
use fault::Collector;

/// Reads a pipeline file, YAML or JSON. The file name is for the report only.
///
/// # Errors
/// Every fault of the file, each with its place.
pub fn parse(text: &str, file_name: &str) -> Result<Pipeline, Faults> {
    // A byte order mark is no part of the text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut faults = Collector::new(text);
    match checked(text, &mut faults) {
        Some(pipeline) if faults.is_empty() => Ok(pipeline),
        _ => Err(faults.finish(file_name)),
    }
}

fn checked<'a>(text: &'a str, faults: &mut Collector<'a>) -> Option<Pipeline> {
    if text.len() > MAX_PIPELINE_BYTES {
        let message = format!("the file has {} bytes, at most {MAX_PIPELINE_BYTES} are allowed", text.len());
        faults.help(&(0..0), message, "long lists belong in a file of their own: `list: FILE`");
        return None;
    }
    let root = tree::build(text, faults)?;
    let draft = read::Reader { faults }.pipeline(&root)?;
    check::check(draft, faults)
}
