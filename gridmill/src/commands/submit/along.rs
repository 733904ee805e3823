//! What goes along with a submission: small files within its form, large ones and oddly named ones ahead of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use grid_api::InputUris;
use infra::inputs::InputError;

use super::files::{Given, LocalFile, given};
use crate::client::{Client, Form, OnBytes};
use crate::console::Console;
use crate::exit::{Fault, Outcome};
use crate::inputs::{Wanted, list_files, report};
use crate::load::Loaded;
use crate::programs::{self, Program};
use crate::progress::ByteCounter;

/// Bytes of files that go within a form: it is sent as a whole again when the connection breaks.
const MAX_FORM_BYTES: u64 = 64 << 20;

/// Files that go within a form: a manager takes 10,000, programs included.
const MAX_FORM_FILES: usize = 9_000;

/// Files uploaded at the same time, each of them in several parts.
const UPLOADS_AT_ONCE: usize = 2;

/// The files of a submission.
#[derive(Debug, Default)]
pub struct Along {
    /// Files that go within the form, by the name of their part.
    form: Vec<(String, LocalFile)>,
    /// Inputs that are named by URI, after their files were uploaded.
    ahead: BTreeMap<String, Vec<Given>>,
    programs: Vec<Program>,
}

impl Along {
    /// Finds everything that goes along. All that is missing comes at once.
    pub async fn gather(loaded: &Loaded) -> Outcome<Self> {
        let mut along = Self::default();
        let mut faults = Vec::new();
        for (name, wanted) in &loaded.wanted {
            match given(wanted).await {
                Ok(files) => along.add_input(name, files),
                Err(error) => faults.push(format!("input `{name}`: {}", words(error)?)),
            }
        }
        for (stage, path) in list_files(&loaded.pipeline) {
            let wanted = Wanted { specs: vec![path.to_owned()], base: loaded.folder.clone() };
            match given(&wanted).await.map_err(words) {
                Ok(files) => faults.extend(along.add_list(stage, path, files)),
                Err(words) => faults.push(format!("list of stage `{stage}`: {}", words?)),
            }
        }
        let found = programs::along(&loaded.folder, &loaded.pipeline);
        along.programs = found.map_err(|error| Fault::usage(error).while_doing("a program cannot be read"))?;
        let odd = along.programs.iter().filter(|program| !Form::can_name(&program.place));
        faults.extend(odd.map(|program| format!("the program {:?} has a name that cannot be sent", program.place)));
        report("the job cannot be submitted", faults).map(|()| along)
    }

    fn add_input(&mut self, name: &str, files: Vec<Given>) {
        let so_far: u64 = self.form.iter().map(|(_, file)| file.len).sum();
        let size: u64 = files.iter().map(Given::len).sum();
        let is_few = files.len() + self.form.len() <= MAX_FORM_FILES;
        let fits = is_few && size.saturating_add(so_far) <= MAX_FORM_BYTES;
        let is_plain = |given: &Given| matches!(given, Given::File(file) if Form::can_name(&file.name));
        // An input is named in one way, or the order of its files would not be known.
        match fits && files.iter().all(is_plain) {
            true => self.form.extend(files.into_iter().filter_map(|given| match given {
                Given::File(file) => Some((format!("input.{name}"), file)),
                Given::Uri(_) => None,
            })),
            false => drop(self.ahead.insert(name.to_owned(), files)),
        }
    }

    /// Takes the one file of a list, unless the manager finds it by itself. Answers what is wrong.
    fn add_list(&mut self, stage: &str, path: &str, mut files: Vec<Given>) -> Option<String> {
        match (files.len(), files.pop()) {
            (1, Some(Given::Uri(_))) => None,
            (1, Some(Given::File(file))) if Form::can_name(&file.name) => {
                self.form.push((format!("list.{stage}"), file));
                None
            }
            (1, Some(Given::File(file))) => Some(format!("the list {:?} has a name that cannot be sent", file.name)),
            (count, _) => Some(format!("{path} names {count} files, where a list is one file")),
        }
    }

    /// Whether nothing goes within the form.
    pub fn is_empty(&self) -> bool {
        self.form.is_empty() && self.programs.is_empty()
    }

    /// The files of this machine that the job reads.
    pub fn local_files(&self) -> BTreeSet<PathBuf> {
        let ahead = self.ahead.values().flatten().filter_map(|given| match given {
            Given::File(file) => Some(file),
            Given::Uri(_) => None,
        });
        self.form.iter().map(|(_, file)| file).chain(ahead).map(|file| file.path.clone()).collect()
    }

    /// Uploads what goes ahead. Answers the URIs of the inputs that are named by them.
    pub async fn upload(&self, client: &Client, console: Console) -> Outcome<BTreeMap<String, InputUris>> {
        let size = self.ahead.values().flatten().map(Given::len).sum();
        let (_counter, on_bytes) = counter(console, "uploading", size);
        let mut inputs = BTreeMap::new();
        for (name, files) in &self.ahead {
            let uris = files.iter().map(|given| uri(client, given, &on_bytes));
            let uris = stream::iter(uris.collect::<Vec<_>>()).buffered(UPLOADS_AT_ONCE).try_collect().await?;
            inputs.insert(name.clone(), InputUris::Several(uris));
        }
        Ok(inputs)
    }

    /// Adds the rest to a form. Answers how many bytes that is.
    pub fn add_to(&self, form: &mut Form) -> u64 {
        for (part, file) in &self.form {
            form.file(part, &file.name, &file.path, file.len);
        }
        for program in &self.programs {
            form.file(&format!("program.{}", program.place), &program.place, &program.path, program.len);
        }
        let files = self.form.iter().map(|(_, file)| file.len);
        files.chain(self.programs.iter().map(|program| program.len)).sum()
    }
}

async fn uri(client: &Client, given: &Given, on_bytes: &OnBytes) -> Outcome<String> {
    match given {
        Given::Uri(uri) => Ok(uri.clone()),
        Given::File(file) => {
            let uri = client.upload(&file.name, &file.path, file.len, on_bytes).await;
            uri.map_err(|error| Fault::from(error).while_doing(format!("failed to upload {}", file.path.display())))
        }
    }
}

/// Shows how much of `size` bytes has been sent, for as long as the counter lives.
pub fn counter(console: Console, what: &'static str, size: u64) -> (Arc<ByteCounter>, OnBytes) {
    let counter = Arc::new(ByteCounter::new(console, what).of(size));
    let counted = counter.clone();
    (counter, Arc::new(move |bytes| counted.add(bytes)))
}

/// What is wrong with an input, unless nobody can do anything about it.
fn words(error: InputError) -> Outcome<String> {
    match error {
        InputError::Store(error) => Err(error.into()),
        other => Ok(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, len: u64) -> Given {
        Given::File(LocalFile::new(name, PathBuf::from("/x"), len))
    }

    fn ways(inputs: Vec<(&str, Vec<Given>)>) -> (Vec<String>, Vec<String>) {
        let mut along = Along::default();
        for (name, files) in inputs {
            along.add_input(name, files);
        }
        let form = along.form.iter().map(|(part, file)| format!("{part} {}", file.name)).collect();
        (form, along.ahead.into_keys().collect())
    }

    #[test]
    fn small_files_go_with_the_form_and_the_others_ahead() {
        let (form, ahead) = ways(vec![
            ("a", vec![file("x", 10), file("y", 0)]),
            ("b", vec![file("large", MAX_FORM_BYTES), file("small", 1)]),
            ("c", vec![file("o\"dd", 1)]),
            ("d", vec![file("x", 1), Given::Uri("s3://bucket/key".into())]),
            ("e", vec![file("z", MAX_FORM_BYTES - 10)]),
            ("f", vec![file("z", 1)]),
        ]);
        assert_eq!(form, ["input.a x", "input.a y", "input.e z"]);
        assert_eq!(ahead, ["b", "c", "d", "f"]);
    }

    #[test]
    fn a_list_is_one_file() {
        let mut along = Along::default();
        assert_eq!(along.add_list("s", "l.txt", vec![file("l.txt", 1)]), None);
        assert_eq!(along.add_list("t", "s3://b/k", vec![Given::Uri("s3://b/k".into())]), None);
        assert!(
            along
                .add_list("u", "l*", vec![file("l1", 1), file("l2", 1)])
                .is_some_and(|words| words.contains("2 files"))
        );
        assert_eq!(along.form.iter().map(|(part, _)| part.as_str()).collect::<Vec<_>>(), ["list.s"]);
    }
}
