//! The users' files: finding them, pinning what they are, and reading them as long as they still are that.
//!
//! Inputs are only ever read, through [`Sources`](crate::grid::Sources).

mod blocks;
mod decompress;
mod error;
mod find;
mod local;
mod names;
mod open;
mod pin;
mod slices;
#[cfg(test)]
mod tests;

pub use blocks::{SliceReader, keep_blocks};
pub use decompress::decompress;
pub use error::InputError;
pub use find::Found;
pub use open::{open, open_from};
pub use pin::{PinOptions, locate, pin_object, resolve};
pub use slices::{read_consecutive, read_slice};
