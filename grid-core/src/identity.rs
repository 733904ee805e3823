//! What an item *is*: the digest of everything that its result depends on, never a position or a time. Two items of the
//! same identity have the same result, so that the later one need not run.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::items::Key;
use crate::pipeline::{Command, ItemSource, Per, Stage, TemplatePart};
use crate::split::Segment;
use crate::submission::Submission;

/// The identity of an item among those of stages with the same [`StageIdentity::digest`].
pub type ItemIdentity = [u8; 16];

/// What the results of a stage depend on, apart from its items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageIdentity {
    /// Its parts by name, in the order in which people are told of the first that differs.
    pub fields: Vec<(String, String)>,
    /// The digest of them all.
    pub digest: String,
}

impl StageIdentity {
    /// The first part that differs: its name, and both values; an absent part is empty.
    pub fn first_difference<'a>(&'a self, other: &'a Self) -> Option<(&'a str, &'a str, &'a str)> {
        let value = |fields: &'a [(String, String)], name: &str| {
            fields.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value.as_str())
        };
        let mut names = self.fields.iter().chain(&other.fields).map(|(name, _)| name.as_str());
        names.find_map(|name| {
            let (mine, theirs) = (value(&self.fields, name), value(&other.fields, name));
            (mine != theirs).then_some((name, mine, theirs))
        })
    }
}

/// The identities of all stages of a job, in the order of its pipeline.
pub fn stage_identities(submission: &Submission) -> Vec<StageIdentity> {
    let mut identities: Vec<StageIdentity> = Vec::new();
    for stage in &submission.pipeline.stages {
        let mut fields = own_fields(submission, stage);
        for name in stage.items.upstream() {
            // Stages come after those they take from.
            let index = submission.pipeline.position(name);
            let upstream = index.and_then(|index| identities.get(index));
            fields.push((format!("stage {name}"), upstream.map_or_else(String::new, |stage| stage.digest.clone())));
            let is_bundled = index.is_some_and(|index| submission.pipeline.stages[index].per == Per::Bundle);
            if is_bundled && matches!(stage.items, ItemSource::All { fan_in: Some(_), .. }) {
                // What a bundle wrote counts as its first item's, and every job bundles anew: in no other job have some of the
                // items the same outputs, only all of them together.
                fields.push((format!("bundles of {name}"), submission.job.to_string()));
            }
        }
        let digest = blake3::hash(text(&fields).as_bytes()).to_hex()[..32].to_owned();
        identities.push(StageIdentity { fields, digest });
    }
    identities
}

fn own_fields(submission: &Submission, stage: &Stage) -> Vec<(String, String)> {
    let mut fields = vec![("run".to_owned(), text(&stage.run))];
    fields.extend(stage.env.iter().map(|(name, value)| (format!("env.{name}"), text(value))));
    fields.extend(submission.params.iter().map(|(name, value)| (format!("params.{name}"), value.clone())));
    let programs = command_words(stage).into_iter().filter_map(|word| submission.programs.get_key_value(word));
    fields.extend(programs.map(|(word, digest)| (format!("file {word}"), digest.clone())));
    fields.push(("setup".into(), text(&stage.setup)));
    fields.push(("per".into(), text(&stage.per)));
    fields.push(("input_as".into(), text(&stage.input_as)));
    fields.push(("output".into(), text(&stage.output)));
    if !stage.cache {
        // Nobody can see what its commands read: what is made of its results is made of this job's, and of no other's.
        fields.push(("job".into(), submission.job.to_string()));
    }
    match &stage.items {
        ItemSource::Split(split) => {
            let input = submission.pipeline.inputs.get(&split.input);
            fields.push(("input format".into(), text(&input.map(|input| (input.format, input.header)))));
        }
        ItemSource::Group { by, .. } => fields.push(("by".into(), text(by))),
        ItemSource::All { fan_in, .. } => fields.push(("fan_in".into(), text(fan_in))),
        ItemSource::Matrix(_) | ItemSource::Range(_) | ItemSource::List(_) | ItemSource::Each(_) => {}
    }
    fields
}

/// Words of a stage's commands that may name a file of the pipeline's folder: `./clean`, `scripts/clean.py`.
pub fn command_words(stage: &Stage) -> BTreeSet<&str> {
    let templates = [Some(&stage.run), stage.setup.as_ref()].into_iter().flatten().flat_map(|command| match command {
        Command::Shell(template) => std::slice::from_ref(template),
        Command::Argv(templates) => templates.as_slice(),
    });
    let texts = templates.flat_map(|template| &template.parts).filter_map(|part| match part {
        TemplatePart::Text(text) => Some(text.as_str()),
        TemplatePart::Param(_) | TemplatePart::Key(_) | TemplatePart::Item => None,
    });
    let between = |c: char| c.is_whitespace() || ";|&()<>\"'`={}$,".contains(c);
    let words = texts.flat_map(move |text| text.split(between));
    words.filter(|word| !word.is_empty() && !word.starts_with(['-', '/'])).collect()
}

/// The identity of an item that has nothing but its key.
pub fn of_key(key: &Key) -> ItemIdentity {
    short(blake3::Hasher::new().update(b"key").update(text(key).as_bytes()))
}

/// Computes the identity of an item that is a slice of an input: what its bytes are, and where in its files they lie.
///
/// Equal identities mean equal bytes. The reverse does not hold: of the digests that cover a piece, the finest are taken, and
/// they cover bytes beside it.
#[derive(Clone, Debug)]
pub struct SliceIdentity(blake3::Hasher);

impl SliceIdentity {
    /// The item's key; its pieces follow in order, the header first.
    pub fn new(key: &Key) -> Self {
        let mut hasher = blake3::Hasher::new();
        let key = text(key);
        hasher.update(b"slice").update(&(key.len() as u64).to_le_bytes()).update(key.as_bytes());
        Self(hasher)
    }

    /// A piece of a file of which only the digest of all its bytes is known.
    pub fn file(&mut self, digest: &str, piece: Segment) {
        self.piece(b"file", piece);
        self.0.update(&(digest.len() as u64).to_le_bytes()).update(digest.as_bytes());
    }

    /// A piece that lies in blocks with these digests: all those that it [touches](crate::blocks::touched).
    pub fn blocks(&mut self, digests: impl IntoIterator<Item = impl AsRef<[u8]>>, piece: Segment) {
        self.piece(b"blocks", piece);
        digests.into_iter().for_each(|digests| _ = self.0.update(digests.as_ref()));
    }

    fn piece(&mut self, kind: &[u8], piece: Segment) {
        self.0.update(kind).update(&piece.start.to_le_bytes()).update(&piece.len.to_le_bytes());
    }

    /// The identity.
    pub fn finish(&self) -> ItemIdentity {
        short(&self.0)
    }
}

/// The identity of an item that is made of one other, which is of the stage at this place among those that its stage reads.
/// Items of two stages may have the same key, and are not the same; nor are those that come by different ways from the same
/// item, so that every step counts, the first place as well.
pub fn of_member(place: u32, member: ItemIdentity) -> ItemIdentity {
    short(blake3::Hasher::new().update(b"member").update(&place.to_le_bytes()).update(&member))
}

/// The identity of an item that is made of others, each with the place of its stage among those that are read.
pub fn of_members<'a>(key: &Key, members: impl Iterator<Item = &'a (u32, ItemIdentity)>) -> ItemIdentity {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"members").update(text(key).as_bytes());
    members.for_each(|(place, member)| _ = hasher.update(&place.to_le_bytes()).update(member));
    short(&hasher)
}

fn short(hasher: &blake3::Hasher) -> ItemIdentity {
    let mut identity = ItemIdentity::default();
    identity.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    identity
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("our own types have string keys and finite numbers")
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::ids::JobId;

    /// The digests of the stages `read` and `sum`, the second made of the first.
    fn digests(job: &str, read: &str) -> Vec<String> {
        digests_of(job, read, "all: read")
    }

    fn digests_of(job: &str, read: &str, sum: &str) -> Vec<String> {
        let pipeline =
            format!("name: n\nstages:\n  read: {{range: 1..3, run: cat export, {read}}}\n  sum: {{{sum}, run: add}}\n");
        let pipeline = crate::pipeline::parse(&pipeline, "n.yaml").expect("it is right");
        let submission = Submission::new(JobId::new(job), jiff::Timestamp::UNIX_EPOCH, "/", pipeline);
        stage_identities(&submission).into_iter().map(|stage| stage.digest).collect()
    }

    #[test]
    fn the_same_stages_in_another_job_are_the_same() {
        assert_eq!(digests("1", "cache: true"), digests("2", "cache: true"));
    }

    /// The identity of a slice whose pieces are told by `tell`.
    fn slice(part: u32, tell: impl Fn(&mut SliceIdentity)) -> ItemIdentity {
        let mut identity = SliceIdentity::new(&Key(vec![("part".into(), part.to_string())]));
        tell(&mut identity);
        identity.finish()
    }

    fn piece(file: u32, start: u64, len: u64) -> Segment {
        Segment { file, start, len }
    }

    #[test]
    fn a_slice_is_its_key_and_the_bytes_of_its_pieces_in_order() {
        let (a, b) = ([1; 32], [2; 32]);
        let identities = [
            slice(0, |it| it.blocks([a], piece(0, 5, 9))),
            slice(1, |it| it.blocks([a], piece(0, 5, 9))),
            slice(0, |it| it.blocks([b], piece(0, 5, 9))),
            slice(0, |it| it.blocks([a], piece(0, 6, 9))),
            slice(0, |it| it.blocks([a], piece(0, 5, 8))),
            slice(0, |it| it.blocks([a, b], piece(0, 5, 9))),
            slice(0, |it| it.file("blake3:a", piece(0, 5, 9))),
            slice(0, |it| it.file("blake3:b", piece(0, 5, 9))),
            slice(0, |it| {
                it.blocks([b], piece(0, 0, 3));
                it.blocks([a], piece(0, 5, 9));
            }),
            slice(0, |it| {
                it.blocks([a], piece(0, 5, 9));
                it.blocks([b], piece(0, 0, 3));
            }),
        ];
        let different: BTreeSet<ItemIdentity> = identities.into_iter().collect();
        assert_eq!(different.len(), identities.len());
        assert_eq!(
            slice(0, |it| it.blocks([a], piece(7, 5, 9))),
            identities[0],
            "the place among the files is no part"
        );
        assert_eq!(slice(0, |it| it.blocks([[a, b].concat()], piece(0, 5, 9))), identities[5], "digests come in pages");
    }

    #[test]
    fn items_of_two_stages_are_not_the_same_though_their_keys_are() {
        let key = Key(vec![("item".into(), "1".into())]);
        let item = of_key(&key);
        assert_ne!(of_member(0, item), of_member(1, item));
        assert_ne!(of_member(0, of_member(1, item)), of_member(1, of_member(0, item)), "two ways from one item");
        let of = |members: &[(u32, ItemIdentity)]| of_members(&key, members.iter());
        let different = BTreeSet::from([of(&[(0, item)]), of(&[(1, item)]), of(&[(0, item), (1, item)]), of(&[])]);
        assert_eq!(different.len(), 4);
    }

    #[test]
    fn a_command_names_files_by_its_words() {
        let text = "name: n\nstages:\n  a: {range: 1..2, run: './clean -x|sort /etc/hosts >\"$OUT/x.txt\"', setup: [python3, lib/a.py]}\n";
        let pipeline = crate::pipeline::parse(text, "n.yaml").expect("it is right");
        let words: Vec<&str> = command_words(&pipeline.stages[0]).into_iter().collect();
        assert_eq!(words, ["./clean", "OUT/x.txt", "lib/a.py", "python3", "sort"]);
    }

    #[test]
    fn what_is_made_of_some_bundles_is_taken_from_no_other_job_and_what_is_made_of_all_of_them_is() {
        let tree = |job| digests_of(job, "per: bundle", "all: read, fan_in: 2");
        let (mine, theirs) = (tree("1"), tree("2"));
        assert_eq!(mine, tree("1"));
        assert!(mine[0] == theirs[0] && mine[1] != theirs[1], "{mine:?} {theirs:?}");
        assert_eq!(digests("1", "per: bundle"), digests("2", "per: bundle"));
    }

    #[test]
    fn nothing_that_is_made_of_an_uncached_stage_is_taken_from_another_job() {
        let (mine, theirs) = (digests("1", "cache: false"), digests("2", "cache: false"));
        assert_eq!(mine, digests("1", "cache: false"));
        assert!(mine[0] != theirs[0] && mine[1] != theirs[1], "{mine:?} {theirs:?}");
    }
}
