//! What a job has written: the files below its output folder, and the bytes that each is made of.

mod content;
mod listing;
mod names;
mod walk;

use grid_core::pipeline::Stage;

pub use content::{Content, content_of, content_of_entry, shared_content};
pub use listing::{OutputEntry, OutputPlace, list_outputs};
pub use names::NameFault;
pub use walk::{Deliverable, Walk, WalkError, target_of};

use super::JobView;

/// No output has a name that begins so: folders in which outputs are built do.
pub const PARTIAL: &str = ".gridmill-partial-";

/// The stages whose outputs are delivered.
pub fn delivered_stages(view: &JobView) -> impl Iterator<Item = &Stage> {
    let pipeline = &view.submission.pipeline;
    pipeline.outputs.iter().filter_map(|name| pipeline.stage(name))
}
