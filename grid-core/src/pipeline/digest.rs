//! The identity of a pipeline: two files that say the same have the same digest.

use super::model::Pipeline;

impl Pipeline {
    /// BLAKE3 of the checked pipeline as JSON, in hex. Comments, spelling and the order of keys make no difference;
    /// the order of stages does, since it decides the order of work.
    pub fn digest(&self) -> String {
        // Fields are written in the order of their declaration, maps are sorted: one pipeline, one text.
        let canonical = serde_json::to_vec(self).expect("the model has text keys and finite numbers only");
        blake3::hash(&canonical).to_hex().to_string()
    }
}
