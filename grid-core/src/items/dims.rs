//! Which dimensions the items of a stage have, as far as the pipeline file tells.

use std::collections::BTreeMap;

use crate::ids::StageName;
use crate::items::Key;
use crate::items::source::ITEM_DIM;
use crate::pipeline::{ItemSource, List, ListItem, Matrix, Pipeline, Stage};

/// The dimension of a slice that names its file.
pub const FILE_DIM: &str = "file";
/// The dimension that numbers slices, and combiners of one level.
pub const PART_DIM: &str = "part";
/// The dimension that numbers the levels of a tree of combiners.
pub const LEVEL_DIM: &str = "level";

/// The dimensions that every item of a stage has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dims {
    /// Those that are certain, in order.
    pub names: Vec<String>,
    /// Whether there may be more, known when the inputs are: the fields of a list file, and the `NAME=VALUE` folders
    /// of an input's files.
    pub is_open: bool,
}

impl Dims {
    fn closed(names: &[&str]) -> Self {
        Self { names: names.iter().map(|&name| name.to_owned()).collect(), is_open: false }
    }

    fn open(names: &[&str]) -> Self {
        Self { is_open: true, ..Self::closed(names) }
    }

    /// Whether items may have this dimension.
    pub fn may_have(&self, name: &str) -> bool {
        self.is_open || self.names.iter().any(|known| known == name)
    }

    /// What items of either kind have.
    fn common(&self, other: &Self) -> Self {
        let mut names: Vec<String> = self.names.iter().filter(|name| other.may_have(name)).cloned().collect();
        let more = other.names.iter().filter(|name| self.may_have(name) && !self.names.contains(name));
        names.extend(more.cloned());
        Self { names, is_open: self.is_open && other.is_open }
    }
}

/// The dimensions of a stage's items, given those of the stages upstream. `None` when one of these is not known.
pub fn dims_of(source: &ItemSource, upstream: impl Fn(&StageName) -> Option<Dims>) -> Option<Dims> {
    match source {
        ItemSource::Split(_) => Some(Dims::open(&[FILE_DIM, PART_DIM])),
        ItemSource::Matrix(matrix) => Some(matrix_dims(matrix)),
        ItemSource::Range(_) => Some(Dims::closed(&[ITEM_DIM])),
        ItemSource::List(List::File(_)) => Some(Dims::open(&[])),
        ItemSource::List(List::Inline(items)) => {
            let dims = items.iter().map(ListItem::key).map(|key| dims_of_key(&key));
            Some(dims.reduce(|a, b| a.common(&b)).unwrap_or_default())
        }
        ItemSource::Each(stages) => {
            let all: Option<Vec<Dims>> = stages.iter().map(upstream).collect();
            Some(all?.into_iter().reduce(|a, b| a.common(&b)).unwrap_or_default())
        }
        ItemSource::Group { by, .. } => Some(Dims { names: by.clone(), is_open: false }),
        ItemSource::All { fan_in: None, .. } => Some(Dims::default()),
        ItemSource::All { fan_in: Some(_), .. } => Some(Dims::closed(&[LEVEL_DIM, PART_DIM])),
    }
}

/// The dimensions of a stage's items.
pub fn dims(pipeline: &Pipeline, stage: &Stage) -> Dims {
    // Stages are sorted, so that one pass sees every stage after those it takes from.
    let mut known: BTreeMap<&StageName, Dims> = BTreeMap::new();
    for earlier in &pipeline.stages {
        let dims = dims_of(&earlier.items, |name| known.get(name).cloned());
        known.insert(&earlier.name, dims.unwrap_or_default());
    }
    dims_of(&stage.items, |name| known.get(name).cloned()).unwrap_or_default()
}

/// The key of a slice of these files: the `NAME=VALUE` folders that all of them lie in, the first file, the number.
///
/// `sales/region=eu/2025.csv` has the dimension `region`, as in Hive and Spark. A folder cannot give the dimensions
/// `file` and `part`; of two folders of one name the inner one counts. A slice without files has its number only.
pub fn slice_key<'f>(mut file_names: impl Iterator<Item = &'f str>, part: u32) -> Key {
    let mut key = Key::default();
    if let Some(first) = file_names.next() {
        key.0 = folder_dims(first);
        for other in file_names.filter(|&other| other != first).map(folder_dims) {
            key.0.retain(|dim| other.contains(dim));
        }
        key.0.push((FILE_DIM.to_owned(), first.to_owned()));
    }
    key.0.push((PART_DIM.to_owned(), part.to_string()));
    key
}

fn folder_dims(file_name: &str) -> Vec<(String, String)> {
    let folders = file_name.rsplit_once('/').map_or("", |(folders, _)| folders);
    let mut dims: Vec<(String, String)> = Vec::new();
    for (name, value) in folders.split('/').filter_map(|folder| folder.split_once('=')) {
        if !crate::pipeline::is_dimension_name(name) || matches!(name, FILE_DIM | PART_DIM) {
            continue;
        }
        match dims.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => dims.push((name.to_owned(), value.to_owned())),
        }
    }
    dims
}

fn matrix_dims(matrix: &Matrix) -> Dims {
    if matrix.is_product() {
        return Dims { names: matrix.dims.iter().map(|(dim, _)| dim.clone()).collect(), is_open: false };
    }
    let all = matrix.combinations();
    all.iter().map(dims_of_key).reduce(|a, b| a.common(&b)).unwrap_or_default()
}

fn dims_of_key(key: &Key) -> Dims {
    Dims { names: key.0.iter().map(|(dim, _)| dim.clone()).collect(), is_open: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_items_of_several_stages_share_keeps_what_is_open() {
        let (open, closed) = (Dims::open(&["file", "part"]), Dims::closed(&["region", "part"]));
        assert_eq!(open.common(&closed), Dims::closed(&["part", "region"]));
        assert_eq!(closed.common(&Dims::closed(&["part"])), Dims::closed(&["part"]));
        assert!(open.may_have("anything") && !closed.may_have("anything"));
    }

    #[test]
    fn folders_of_the_form_name_is_value_are_dimensions() {
        let pairs = |name: &str| slice_key(name.split(' '), 3).0;
        let own = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        assert_eq!(pairs("a=b.csv"), own(&[("file", "a=b.csv"), ("part", "3")]));
        assert_eq!(
            pairs("x/region=eu/year=2025/a.csv"),
            own(&[("region", "eu"), ("year", "2025"), ("file", "x/region=eu/year=2025/a.csv"), ("part", "3")])
        );
        assert_eq!(pairs("r=1/file=x/9=z/r=2/a"), own(&[("r", "2"), ("file", "r=1/file=x/9=z/r=2/a"), ("part", "3")]));
        assert_eq!(
            pairs("region=eu/year=1/a region=eu/year=1/a region=eu/year=2/b"),
            own(&[("region", "eu"), ("file", "region=eu/year=1/a"), ("part", "3")]),
            "a slice of several files has what they share"
        );
        assert_eq!(slice_key(std::iter::empty(), 0).0, own(&[("part", "0")]));
    }
}
