//! What delivered files are called, below the output folder. Pure.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use grid_core::ids::ItemIndex;
use grid_core::items::Key;
use grid_core::pipeline::{ItemSource, Per, Quoting, RenderError, Stage, TemplateValues};

/// Longest name of a file on the file systems that we know.
const MAX_PART_BYTES: usize = 255;

/// How the outputs of a stage are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The stage has one item that wrote to standard output only: `{stage}.{ext}`.
    OneFile,
    /// One process served many items: `{stage}.{ext}`, in item order; and `{stage}/{item}/{name}`.
    OneStream,
    /// `{stage}/{item}.{ext}` and `{stage}/{item}/{name}`.
    Folder,
}

/// Names the outputs of one stage, in the order of its items.
#[derive(Debug)]
pub struct Namer<'job> {
    stage: &'job Stage,
    params: &'job BTreeMap<String, String>,
    shape: Shape,
    /// Digests of the names given so far: far smaller than the names of ten million items.
    given: HashSet<[u8; 16]>,
}

/// A name that cannot be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// It leads out of the output folder, or is no file name at all.
    #[error("stage {stage}: output.name gives {name:?} for item {item}, which is no path below the output folder")]
    Escapes {
        /// The stage.
        stage: String,
        /// The name.
        name: String,
        /// The item's name.
        item: String,
    },
    /// It names something that is not there.
    #[error("stage {stage}: output.name cannot be used")]
    Unknown {
        /// The stage.
        stage: String,
        /// Why.
        source: RenderError,
    },
    /// Another item has it.
    #[error("stage {stage}: output.name gives {name:?} to item {item} and to another item before it")]
    Collides {
        /// The stage.
        stage: String,
        /// The name.
        name: String,
        /// The item's name.
        item: String,
    },
}

impl NameFault {
    /// What to do about it.
    pub const REMEDY: &str = "give every item a name of its own, for example with ${{ item }} in output.name";
}

impl Shape {
    /// The shape of a stage with so many items; `only_stdout` tells of its one item.
    pub fn of(stage: &Stage, items: u64, only_stdout: bool) -> Self {
        match stage.per {
            Per::Bundle => Self::OneStream,
            Per::Item | Per::Worker if items == 1 && only_stdout => Self::OneFile,
            Per::Item | Per::Worker => Self::Folder,
        }
    }
}

impl<'job> Namer<'job> {
    /// A namer that has not given any name.
    pub fn new(stage: &'job Stage, params: &'job BTreeMap<String, String>, shape: Shape) -> Self {
        Self { stage, params, shape, given: HashSet::new() }
    }

    /// Whether names depend on those given before. Those of a range do not: they are numbers, each of which comes once, and
    /// `7` and `7.txt` are names of the same item. So the namer of ten million of them keeps nothing.
    pub fn remembers(&self) -> bool {
        let are_numbers = matches!(self.stage.items, ItemSource::Range(_)) && self.stage.output.name.is_none();
        !(are_numbers && self.shape == Shape::Folder)
    }

    /// Where an item's standard output goes.
    pub fn stdout(&mut self, index: ItemIndex, key: &Key) -> Result<PathBuf, NameFault> {
        let extension = self.stage.output.format.extension();
        let chosen = self.chosen(key)?;
        match (self.shape, chosen) {
            (Shape::OneFile | Shape::OneStream, Some(name)) => self.checked(name, key),
            (Shape::OneFile | Shape::OneStream, None) => Ok(format!("{}.{extension}", self.stage.name).into()),
            (Shape::Folder, Some(name)) => {
                let path = self.checked(name, key)?;
                if self.give(&path) {
                    return Ok(PathBuf::from(self.stage.name.as_str()).join(path));
                }
                let (stage, name) = (self.stage.name.to_string(), path.display().to_string());
                Err(NameFault::Collides { stage, name, item: key.name() })
            }
            (Shape::Folder, None) => Ok(self.unique(index, key, &format!(".{extension}"))),
        }
    }

    /// The folder that takes the files an item left.
    pub fn folder(&mut self, index: ItemIndex, key: &Key) -> PathBuf {
        self.unique(index, key, "")
    }

    /// `{stage}/{item}{suffix}`, or with `~{index}` where an item before has that name.
    fn unique(&mut self, index: ItemIndex, key: &Key, suffix: &str) -> PathBuf {
        let item = key.name();
        let mut name = PathBuf::from(format!("{item}{suffix}"));
        if !self.give(&name) {
            name = PathBuf::from(format!("{item}~{index}{suffix}"));
            self.give(&name);
        }
        PathBuf::from(self.stage.name.as_str()).join(name)
    }

    /// What `output.name` gives; its values are percent-encoded, so that only its own text can make folders.
    fn chosen(&self, key: &Key) -> Result<Option<String>, NameFault> {
        let Some(name) = &self.stage.output.name else { return Ok(None) };
        let values = TemplateValues { params: self.params, key: Some(key) };
        let rendered = name.render(values, Quoting::FileName);
        rendered.map(Some).map_err(|source| NameFault::Unknown { stage: self.stage.name.to_string(), source })
    }

    fn checked(&self, name: String, key: &Key) -> Result<PathBuf, NameFault> {
        let plain = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= MAX_PART_BYTES;
        if name.split('/').all(plain) && !name.contains('\0') && !name.starts_with(super::PARTIAL) {
            return Ok(name.into());
        }
        Err(NameFault::Escapes { stage: self.stage.name.to_string(), name, item: key.name() })
    }

    /// Whether nobody had the name before.
    fn give(&mut self, name: &std::path::Path) -> bool {
        if !self.remembers() {
            return true;
        }
        let digest = blake3::hash(name.as_os_str().as_encoded_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&digest.as_bytes()[..16]);
        self.given.insert(short)
    }
}

#[cfg(test)]
mod tests {
    use grid_core::pipeline::{Template, TemplatePart};

    use super::*;

    /// A stage of that name with text on standard output.
    fn stage(name: &str) -> Stage {
        let text = format!("name: test\nstages:\n  {name}:\n    list: [a, b]\n    run: 'true'\n");
        grid_core::pipeline::parse(&text, "p.yaml").expect("it is sound").stages.remove(0)
    }

    /// A key of one dimension, `d`.
    fn key(value: &str) -> Key {
        Key(vec![("d".into(), value.into())])
    }

    fn template(parts: &[TemplatePart]) -> Template {
        Template { parts: parts.to_vec() }
    }

    fn path(text: &str) -> PathBuf {
        PathBuf::from(text)
    }

    #[test]
    fn one_item_with_only_standard_output_is_one_file() {
        let stage = stage("report");
        let none = BTreeMap::new();
        assert_eq!(Shape::of(&stage, 1, true), Shape::OneFile);
        assert_eq!(Namer::new(&stage, &none, Shape::OneFile).stdout(0, &Key::default()), Ok(path("report.txt")));
        assert_eq!(Shape::of(&stage, 1, false), Shape::Folder);
        let mut namer = Namer::new(&stage, &none, Shape::Folder);
        assert_eq!(namer.stdout(0, &Key::default()), Ok(path("report/all.txt")));
        assert_eq!(namer.folder(0, &Key::default()), path("report/all"));
    }

    #[test]
    fn numbers_that_come_once_are_not_remembered() {
        let text = "name: test\nstages:\n  work:\n    range: 1..9\n    run: 'true'\n";
        let range = grid_core::pipeline::parse(text, "p.yaml").expect("it is sound").stages.remove(0);
        let none = BTreeMap::new();
        let mut namer = Namer::new(&range, &none, Shape::Folder);
        assert_eq!(namer.stdout(6, &key("7")), Ok(path("work/7.txt")));
        assert_eq!(namer.folder(6, &key("7")), path("work/7"));
        assert!(!namer.remembers() && namer.given.is_empty());
        let list = stage("work");
        assert!(Namer::new(&list, &none, Shape::Folder).remembers());
        let mut named = range.clone();
        named.output.name = Some(template(&[TemplatePart::Text("same".into())]));
        assert!(Namer::new(&named, &none, Shape::Folder).remembers());
    }

    #[test]
    fn items_of_one_name_are_told_apart_by_their_index() {
        let (stage, none) = (stage("clean"), BTreeMap::new());
        let mut namer = Namer::new(&stage, &none, Shape::Folder);
        assert_eq!(namer.stdout(3, &key("a")), Ok(path("clean/a.txt")));
        assert_eq!(namer.stdout(8, &key("a")), Ok(path("clean/a~8.txt")));
        assert_eq!(namer.folder(3, &key("a")), path("clean/a"));
        assert_eq!(namer.folder(9, &key("a.txt")), path("clean/a.txt~9"), "a file has that name");
    }

    #[test]
    fn a_chosen_name_may_have_folders_but_not_leave_the_output_folder() {
        let params = BTreeMap::from([("up".to_owned(), "..".to_owned())]);
        let named = |parts: &[TemplatePart], value: &str| {
            let mut stage = stage("clean");
            stage.output.name = Some(template(parts));
            Namer::new(&stage, &params, Shape::Folder).stdout(0, &key(value))
        };
        let (text, dim) = (|text: &str| TemplatePart::Text(text.into()), TemplatePart::Key("d".into()));
        assert_eq!(named(&[text("by/"), dim.clone(), text(".csv")], "eu/de"), Ok(path("clean/by/eu%2Fde.csv")));
        for bad in ["../x", "/etc/x", "a//b", "a/./b", "a\0b", ""] {
            let fault = named(&[text(bad)], "x").expect_err(bad);
            assert!(matches!(fault, NameFault::Escapes { .. }), "{fault}");
        }
        let fault = named(&[TemplatePart::Param("missing".into())], "x").expect_err("there is none");
        assert!(matches!(fault, NameFault::Unknown { .. }), "{fault}");
    }

    #[test]
    fn a_chosen_name_that_two_items_share_is_refused() {
        let mut stage = stage("clean");
        stage.output.name = Some(template(&[TemplatePart::Param("year".into())]));
        let params = BTreeMap::from([("year".to_owned(), "2025".to_owned())]);
        let mut namer = Namer::new(&stage, &params, Shape::Folder);
        assert_eq!(namer.stdout(0, &key("a")), Ok(path("clean/2025")));
        let fault = namer.stdout(1, &key("b")).expect_err("it is taken");
        assert!(matches!(&fault, NameFault::Collides { item, .. } if item == "b"), "{fault}");
    }
}
