//! Draws a pipeline.

use grid_core::random::Random;

use super::{Edition, Source, Split, StagePlan, Temper, Workload};

/// Most items of a stage that comes first: enough for bundles, few enough for thousands of seeds.
const MOST_ITEMS: u64 = 40;

impl Workload {
    /// The pipeline of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut random = Random::from_seed(seed ^ 0x0770_12ad);
        let files = (0..1 + random.below(4))
            .map(|file| (0..random.below(30)).map(|line| file * 1_000 + line + random.below(3)).collect())
            .collect();
        // Drawn apart from the rest, which stays what it was.
        let is_steady = Random::from_seed(seed ^ 0x57ea_d1e5).chance(0.3);
        let mut workload = Self { files, has_header: random.chance(0.3), is_steady, ..Self::of(seed, Vec::new()) };
        let malice = if random.chance(0.5) { 0.0 } else { random.unit() * 0.15 };
        for _ in 0..2 + random.below(6) {
            let source = workload.draw_source(&mut random);
            let stage = workload.draw_stage(source, malice, &mut random);
            workload.stages.push(stage);
        }
        workload
    }

    /// A chain that has every kind of edge once, with nothing but good items: for runs that try every call in turn.
    pub fn small(seed: u64) -> Self {
        let stages = vec![
            StagePlan::plain("source", Source::Range(3)),
            StagePlan::plain("same", Source::Each(vec![0])),
            StagePlan { notifies: true, ..StagePlan::plain("pairs", Source::Group(vec![0, 1], "item")) },
            StagePlan::plain("total", Source::All(vec![2], Some(2))),
        ];
        Self::of(seed, stages)
    }

    /// Stages that have the rest: an input that is cut, outputs in objects of their own, a bundle with an item that fails and one that
    /// wants more memory, items that are given up on and left out.
    pub fn troubled(seed: u64) -> Self {
        let stages = vec![
            StagePlan::plain("cut", Source::Split(Split::Lines(1))),
            StagePlan { digits: 40_000, skip_limit: 1, ..StagePlan::plain("large", Source::Each(vec![0])) },
            StagePlan { per_bundle: true, attempts: 2, skip_limit: 1, ..StagePlan::plain("bundle", Source::Range(16)) },
            StagePlan::plain("total", Source::All(vec![1, 2], None)),
        ];
        let tempers = [((1, 1), Temper::Needless), ((2, 13), Temper::Hungry), ((2, 14), Temper::Sour)];
        Self { tempers: tempers.into(), ..Self::of(seed, stages) }
    }

    /// Stages over a small input, with items that behave.
    pub fn of(seed: u64, stages: Vec<StagePlan>) -> Self {
        Self {
            seed,
            stages,
            files: vec![vec![1, 2, 3]],
            has_header: false,
            tempers: Default::default(),
            is_steady: false,
            edition: Edition::default(),
        }
    }

    fn draw_stage(&self, source: Source, malice: f64, random: &mut Random) -> StagePlan {
        let place = self.stages.len();
        let is_malicious = random.chance(0.6);
        let has_items = matches!(source, Source::Range(_) | Source::List(_) | Source::Split(_) | Source::Matrix(..));
        // `after` may name any stage before that is not read already.
        let before = (place > 0 && random.chance(0.1)).then(|| random.below(place as u64) as usize);
        let after = before.filter(|before| !upstream(&source).contains(before)).into_iter().collect();
        StagePlan {
            name: format!("s{place}"),
            source,
            after,
            per_bundle: has_items && random.chance(0.12),
            attempts: 2 + random.below(3) as u32,
            skip_limit: [10_000, 10_000, 10_000, 0, 0, 1 + random.below(3) as u32][random.below(6) as usize],
            on_failure: ["continue", "drain", "cancel"][random.below(3) as usize],
            malice: if is_malicious { malice } else { 0.0 },
            item_ms: [5, 50, 400, 400, 5, 50, 50, 40_000][random.below(8) as usize],
            digits: if random.chance(0.1) { 20_000 } else { 1 },
            notifies: random.chance(0.1),
        }
    }

    fn draw_source(&self, random: &mut Random) -> Source {
        let open: Vec<usize> = (0..self.stages.len()).filter(|stage| !self.stages[*stage].per_bundle).collect();
        if self.stages.is_empty() || random.chance(0.2) {
            return self.draw_first(random);
        }
        if open.is_empty() || random.chance(0.25) {
            let mut read = vec![random.below(self.stages.len() as u64) as usize];
            if random.chance(0.3) {
                read.push(random.below(self.stages.len() as u64) as usize);
            }
            read.sort_unstable();
            read.dedup();
            let fan_in = random.chance(0.6).then(|| 2 + random.below(6) as u32);
            return Source::All(read, fan_in);
        }
        let first = open[random.below(open.len() as u64) as usize];
        let dims = self.dims(first);
        let alike: Vec<usize> = open.iter().copied().filter(|stage| self.dims(*stage) == dims).collect();
        let second = alike[random.below(alike.len() as u64) as usize];
        let mut read = if random.chance(0.25) { vec![first, second] } else { vec![first] };
        read.sort_unstable();
        read.dedup();
        if !dims.is_empty() && random.chance(0.4) {
            return Source::Group(read, dims[random.below(dims.len() as u64) as usize]);
        }
        Source::Each(read)
    }

    fn draw_first(&self, random: &mut Random) -> Source {
        let mut some = |most: u64| 1 + random.below(most) as u32;
        let (few, many) = (some(7), some(MOST_ITEMS));
        match some(8) {
            1..=3 => Source::Range(many),
            4 => Source::Matrix(few, some(6)),
            5 => Source::List(many),
            6 => Source::Split(Split::Lines(some(9))),
            7 => Source::Split(Split::Files(some(2))),
            _ => Source::Split(if few % 2 == 0 { Split::Even(some(12)) } else { Split::Bytes(20 + many) }),
        }
    }

    /// The dimensions of the items of a stage.
    pub fn dims(&self, stage: usize) -> Vec<&'static str> {
        match &self.stages[stage].source {
            Source::Range(_) | Source::List(_) => vec!["item"],
            Source::Matrix(..) => vec!["a", "b"],
            Source::Split(_) => vec!["file"],
            Source::Each(up) => up.first().map_or_else(Vec::new, |up| self.dims(*up)),
            Source::Group(_, by) => vec![by],
            Source::All(..) => Vec::new(),
        }
    }
}

impl StagePlan {
    /// A stage with nothing but good items, of which it may lose none.
    pub fn plain(name: &str, source: Source) -> Self {
        Self {
            name: name.to_owned(),
            source,
            after: Vec::new(),
            per_bundle: false,
            attempts: 3,
            skip_limit: 0,
            on_failure: "continue",
            malice: 0.0,
            item_ms: 20,
            digits: 1,
            notifies: false,
        }
    }
}

fn upstream(source: &Source) -> &[usize] {
    match source {
        Source::Each(up) | Source::Group(up, _) | Source::All(up, _) => up,
        Source::Range(_) | Source::Matrix(..) | Source::List(_) | Source::Split(_) => &[],
    }
}
