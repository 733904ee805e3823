//! Templates of a command and its environment, with failures of the item where the parser could not know.

use grid_core::pipeline::{Quoting, Template, TemplateValues};
use grid_core::reason::{Failure, Reason};

/// Whether a template has the same value for every item.
pub(super) fn is_constant(template: &Template) -> bool {
    use grid_core::pipeline::TemplatePart::{Item, Key, Param, Text};
    template.parts.iter().all(|part| match part {
        Text(_) | Param(_) => true,
        Key(_) | Item => false,
    })
}

/// The template with its values; `owner` is what it belongs to, as in "the command".
pub(super) fn render(
    template: &Template,
    values: TemplateValues<'_>,
    quoting: Quoting,
    owner: &str,
) -> Result<String, Failure> {
    template
        .render(values, quoting)
        .map_err(|error| Failure::new(Reason::Input, format!("{owner} cannot be made for this item: {error}")))
}
