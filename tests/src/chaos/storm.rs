//! What goes wrong, when, and to whom: all of it follows from the seed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use grid_core::random::Random;

use super::proxy::Line;
use super::seat::{Role, Seat, State};
use crate::fleet::{Fleet, LEASE_SECS};

/// What befalls a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, for longer than its leases last.
    Freeze,
    /// SIGTERM, and SIGKILL while it leaves, one time in four.
    Leave,
    /// Something is wrong with its line.
    Line(Line),
    /// Its disk is full.
    Fill,
}

/// How long the lead of a manager lasts without a word, and a bit.
const LONGER_THAN_A_LEAD: Duration = Duration::from_secs(17);

/// Storms of this length have some of everything.
const LONG: Duration = Duration::from_secs(300);

/// Longer than any run.
const FOREVER: Duration = Duration::from_secs(86_400);

/// What ends something that went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Start,
    Thaw,
    Open,
    Free,
    KillLeaving,
}

/// Programs in their seats, and what is wrong with them.
pub struct Storm<'a> {
    fleet: &'a Fleet,
    seats: Vec<Seat>,
    random: Random,
    began: Instant,
    endings: Vec<(Instant, usize, Ending)>,
    /// How often each thing happened.
    pub counts: BTreeMap<String, u32>,
    /// What happened that must not.
    pub complaints: Vec<String>,
}

impl<'a> Storm<'a> {
    /// Starts every program.
    pub fn over(fleet: &'a Fleet, mut seats: Vec<Seat>, seed: u64) -> anyhow::Result<Self> {
        for seat in &mut seats {
            seat.start(fleet)?;
        }
        let (random, began) = (Random::from_seed(seed), Instant::now());
        let (endings, counts, complaints) = Default::default();
        Ok(Self { fleet, seats, random, began, endings, counts, complaints })
    }

    /// Rages for so long: every one to two seconds another fault.
    pub fn rage(&mut self, length: Duration) -> anyhow::Result<()> {
        let end = self.began + length;
        let mut next = self.began + self.gap();
        while Instant::now() < end {
            let wake = self.endings.iter().map(|(at, ..)| *at).chain([next, end]).min().unwrap_or(end);
            std::thread::sleep(wake.saturating_duration_since(Instant::now()));
            let now = Instant::now();
            self.look()?;
            self.end(now)?;
            if now >= next {
                self.strike(now)?;
                next += self.gap();
            }
        }
        Ok(())
    }

    /// Nothing is wrong any more.
    pub fn calm(&mut self) -> anyhow::Result<()> {
        self.say("calm: nothing more goes wrong");
        // Who leaves may do so in peace.
        self.endings.retain(|(.., ending)| *ending != Ending::KillLeaving);
        self.end(Instant::now() + FOREVER)
    }

    /// Starts again who has ended, and complains where nobody asked for that.
    pub fn mind(&mut self) -> anyhow::Result<()> {
        self.look()?;
        self.end(Instant::now())
    }

    /// How often what happened whose name begins so.
    pub fn count(&self, what: &str) -> u32 {
        self.counts.iter().filter(|(name, _)| name.starts_with(what)).map(|(_, count)| count).sum()
    }

    /// A storm in which little went wrong has shown nothing: of ten things a good half are kills, of a long one some are of every kind.
    pub fn has_raged(&self, length: Duration) -> anyhow::Result<()> {
        let kills = (length.as_secs() / 4) as u32;
        ensure!(self.count("kill") >= kills, "only {} kills, where {kills} are the least", self.count("kill"));
        if length >= LONG {
            let mut kinds = vec!["kill a manager", "kill a worker", "freeze", "ask", "line"];
            kinds.extend(self.fleet.has_small_disks().then_some("fill"));
            let lacking: Vec<_> = kinds.into_iter().filter(|kind| self.count(kind) == 0).collect();
            ensure!(lacking.is_empty(), "none of these happened: {lacking:?}");
        }
        Ok(())
    }

    fn look(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        for at in 0..self.seats.len() {
            let seat = &mut self.seats[at];
            let was = seat.state;
            let complaint = seat.look()?;
            if was != State::Down && seat.state == State::Down {
                let words = complaint.clone().unwrap_or_else(|| format!("{} has left", seat.name));
                self.say(&words);
                self.complaints.extend(complaint);
                self.endings.retain(|(_, seat, ending)| *seat != at || *ending == Ending::Open);
                self.endings.push((now, at, Ending::Start));
            }
        }
        Ok(())
    }

    /// The programs, when the storm is over.
    pub fn seats(&mut self) -> &mut [Seat] {
        &mut self.seats
    }

    fn gap(&mut self) -> Duration {
        Duration::from_millis(1_000 + self.random.below(700))
    }

    fn strike(&mut self, now: Instant) -> anyhow::Result<()> {
        let fault = self.draw();
        let candidates: Vec<usize> = (0..self.seats.len()).filter(|at| self.may_befall(*at, fault)).collect();
        // Managers are fewer, and every death of the leader costs everybody the length of its lease.
        let managers = candidates.iter().filter(|at| self.seats[**at].role == Role::Manager).count();
        let is_for_manager = managers > 0 && self.random.chance(0.15);
        let pool: Vec<usize> =
            candidates.into_iter().filter(|at| (self.seats[*at].role == Role::Manager) == is_for_manager).collect();
        let Some(at) = pool.get(self.random.below(pool.len().max(1) as u64) as usize) else { return Ok(()) };
        self.befall(*at, fault, now)
    }

    fn draw(&mut self) -> Fault {
        // Kills are most, since each of them meets the program at another place.
        match self.random.below(100) {
            0..70 => Fault::Kill,
            70..75 => Fault::Freeze,
            75..80 => Fault::Leave,
            80..85 => Fault::Fill,
            _ => Fault::Line(match self.random.below(4) {
                0 => Line::Slow(Duration::from_millis(200 + self.random.below(3_000))),
                1 => Line::Silent,
                2 => Line::Dead,
                _ => Line::Torn(self.random.below(40_000)),
            }),
        }
    }

    fn may_befall(&self, at: usize, fault: Fault) -> bool {
        let seat = &self.seats[at];
        let has = |ending| self.endings.iter().any(|(_, seat, other)| *seat == at && *other == ending);
        match fault {
            Fault::Kill => seat.state != State::Down,
            Fault::Freeze | Fault::Leave => seat.state == State::Up,
            Fault::Line(_) => !has(Ending::Open),
            Fault::Fill => seat.role == Role::WorkerOnSmallDisk && seat.state == State::Up && !has(Ending::Free),
        }
    }

    fn befall(&mut self, at: usize, fault: Fault, now: Instant) -> anyhow::Result<()> {
        let some_time = |random: &mut Random, most: u64| Duration::from_millis(500 + random.below(most));
        let seat = &mut self.seats[at];
        let role = if seat.role == Role::Manager { "manager" } else { "worker" };
        let (what, ending, length) = match fault {
            Fault::Kill => {
                seat.kill()?;
                self.endings.retain(|(_, seat, ending)| *seat != at || *ending == Ending::Open);
                (format!("kill a {role}"), Ending::Start, some_time(&mut self.random, 1_000))
            }
            Fault::Freeze => {
                seat.freeze()?;
                let longer = match seat.role {
                    Role::Manager => LONGER_THAN_A_LEAD,
                    Role::Worker | Role::WorkerOnSmallDisk => Duration::from_secs(LEASE_SECS + 1),
                };
                (format!("freeze a {role}"), Ending::Thaw, longer + some_time(&mut self.random, 2_000))
            }
            Fault::Leave => {
                seat.ask_to_leave()?;
                let is_killed = self.random.chance(0.25);
                let until = if is_killed { some_time(&mut self.random, 3_000) } else { FOREVER };
                (format!("ask a {role} to leave"), Ending::KillLeaving, until)
            }
            Fault::Line(line) => {
                seat.proxy.set(line);
                let name = format!("{line:?}").to_lowercase();
                let kind = name.split('(').next().unwrap_or_default().to_owned();
                (format!("line of a {role}: {kind}"), Ending::Open, some_time(&mut self.random, 15_000))
            }
            Fault::Fill => {
                seat.fill(self.fleet)?;
                ("fill the disk of a worker".to_owned(), Ending::Free, some_time(&mut self.random, 8_000))
            }
        };
        let words = format!("{what}: {}", self.seats[at].name);
        self.say(&words);
        *self.counts.entry(what).or_default() += 1;
        self.endings.push((now + length, at, ending));
        Ok(())
    }

    /// Ends what was to last until now.
    fn end(&mut self, now: Instant) -> anyhow::Result<()> {
        let (due, later) = std::mem::take(&mut self.endings).into_iter().partition(|(at, ..)| *at <= now);
        self.endings = later;
        let mut due: Vec<(Instant, usize, Ending)> = due;
        due.sort_by_key(|(at, ..)| *at);
        for (_, at, ending) in due {
            let seat = &mut self.seats[at];
            match ending {
                Ending::Start => seat.start(self.fleet)?,
                Ending::Thaw => seat.thaw()?,
                Ending::Open => seat.proxy.set(Line::Open),
                Ending::Free => seat.free(self.fleet)?,
                Ending::KillLeaving => {
                    let words = format!("kill {} while it leaves", seat.name);
                    seat.kill()?;
                    self.say(&words);
                    *self.counts.entry("kill what leaves".to_owned()).or_default() += 1;
                    self.endings.push((now, at, Ending::Start));
                }
            }
        }
        Ok(())
    }

    #[allow(clippy::print_stdout, reason = "what it did is what the command prints")]
    fn say(&self, words: &str) {
        println!("{:7.1} s  {words}", self.began.elapsed().as_secs_f64());
    }
}
