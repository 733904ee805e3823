//! The HTTP API through its router, on a grid in memory.

mod access;
mod form;
mod jobs;
mod kept;
mod outputs;
mod problems;
mod serve;
mod site;
mod submit;
mod tokens;
mod uploads;
