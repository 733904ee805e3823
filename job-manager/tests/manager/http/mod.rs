//! The HTTP API through its router, on a grid in memory.

mod access;
mod answers;
mod form;
mod jobs;
mod kept;
mod moods;
mod operations;
mod outputs;
mod pages;
mod problems;
mod serve;
mod site;
mod submit;
mod tokens;
mod uploads;
mod watchers;
