//! Processes that left their group and lost their parents: daemons. They become our children, since this process is a
//! subreaper, and are known by the cookie in their environment.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, RawPid, Signal, WaitOptions, getpid, kill_process, pidfd_open, waitpid};

use super::environment::{RUN, TASK_NONCE};

/// How long we wait for a killed process to go: one that hangs in the kernel cannot be waited for.
const KILL_PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Between two looks at a process that is just being executed, or is on its way out.
const NEXT_LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// How long a zombie is left to whoever may want to wait for it.
const ZOMBIE_PATIENCE: Duration = Duration::from_secs(1);

/// The flag of a thread of the kernel: `include/linux/sched.h`.
const PF_KTHREAD: u32 = 0x0020_0000;

/// The flag of a process on its way out, there as well.
#[cfg(test)]
const PF_EXITING: u32 = 0x4;

/// Children of ours that are waited for elsewhere; one list for the process, whose children they are.
static WAITED_FOR: Mutex<BTreeMap<RawPid, Keep>> = Mutex::new(BTreeMap::new());

/// Why a child is in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    /// Somebody holds it.
    Held,
    /// A zombie, seen first at this time.
    Zombie(Instant),
}

/// Whose orphans to end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose<'a> {
    /// Those of one execution of a task.
    Task(&'a str),
    /// Those of the runner.
    Runner,
}

/// Keeps a child of ours from being taken for an orphan, until it is dropped.
#[derive(Debug)]
pub(super) struct Held(Pid);

impl Held {
    /// Holds a child.
    pub(super) fn new(pid: Pid) -> Self {
        lock().insert(pid.as_raw_pid(), Keep::Held);
        Self(pid)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        lock().remove(&self.0.as_raw_pid());
    }
}

/// Makes this process the parent of every orphan among its descendants.
pub(super) fn become_subreaper() -> rustix::io::Result<()> {
    rustix::process::set_child_subreaper(Some(getpid()))
}

/// Kills and reaps the orphans that carry `cookie`, until there are none.
pub(super) fn sweep(cookie: &str, whose: Whose<'_>) {
    // The kernel's list may lack one when another is reaped while it is read (`children` in proc(5)).
    let mut looks = 2;
    while looks > 0 {
        let ours: Vec<Pid> = adopted().into_iter().filter(|pid| carries(*pid, cookie, whose)).collect();
        looks = if ours.is_empty() { looks - 1 } else { 2 };
        for pid in &ours {
            // Ours and not waited for: the id cannot have passed to another process.
            let _ = kill_process(*pid, Signal::KILL);
        }
        if !ours.into_iter().all(is_reaped) {
            return;
        }
    }
}

/// Whether the environment of a process has the runner's cookie, and the task's number when one is asked for.
pub(super) fn carries(pid: Pid, cookie: &str, whose: Whose<'_>) -> bool {
    let Some(environment) = environment(pid) else { return false };
    let has = |name: &str, value: &str| {
        environment.split(|byte| *byte == 0).any(|variable| {
            variable.strip_prefix(name.as_bytes()).and_then(|v| v.strip_prefix(b"=")) == Some(value.as_bytes())
        })
    };
    has(RUN, cookie)
        && match whose {
            Whose::Task(nonce) => has(TASK_NONCE, nonce),
            Whose::Runner => true,
        }
}

/// The environment of a process, as far as we may see it. While a program is put in the place of another there is none, and none any
/// more once it is on its way out, which may take long where pages have to come from a slow disk: that is waited for.
fn environment(pid: Pid) -> Option<Vec<u8>> {
    let until = Instant::now() + Duration::from_secs(KILL_PATIENCE.tv_sec.unsigned_abs());
    let mut place_before = 0;
    loop {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        if !environment.is_empty() {
            return Some(environment);
        }
        let stat = Stat::of(pid).filter(|stat| !stat.has_ended() && !stat.is_kernels())?;
        // One without any variable has a place for them all the same, at another address for every program.
        let is_its_own = stat.environment != 0 && stat.environment == place_before;
        if is_its_own || Instant::now() >= until {
            return Some(environment);
        }
        place_before = stat.environment;
        let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let _ = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&NEXT_LOOK));
    }
}

/// What the kernel says of a process in `/proc/PID/stat`, by proc_pid_stat(5).
#[derive(Clone, Copy, Debug)]
pub(super) struct Stat {
    state: char,
    flags: u32,
    /// Where it has its environment, 0 if nowhere.
    environment: u64,
}

impl Stat {
    /// None for a process that is not there.
    pub(super) fn of(pid: Pid) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // From the third field on: the second is a name, in which anything may stand.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        Some(Self {
            state: fields.first()?.parse().ok()?,
            flags: fields.get(6)?.parse().ok()?,
            environment: fields.get(47)?.parse().ok()?,
        })
    }

    fn is_zombie(&self) -> bool {
        self.state == 'Z'
    }

    /// Whether it is dead, waited for or not.
    fn has_ended(&self) -> bool {
        self.is_zombie() || self.state == 'X'
    }

    fn is_kernels(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }

    /// Whether it runs nothing any more, or soon: it may still be giving back what it had.
    #[cfg(test)]
    pub(super) fn is_going(&self) -> bool {
        self.has_ended() || self.flags & PF_EXITING != 0
    }
}

/// Children of the main thread that nobody holds: what a subreaper inherits falls to its first thread, while commands
/// are children of the thread that started them. Zombies among them are reaped in passing.
fn adopted() -> Vec<Pid> {
    let list = fs::read_to_string(format!("/proc/self/task/{}/children", getpid())).unwrap_or_default();
    let children: Vec<Pid> = list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect();
    if children.is_empty() {
        return children;
    }
    let mut kept = lock();
    kept.retain(|pid, keep| *keep == Keep::Held || children.iter().any(|child| child.as_raw_pid() == *pid));
    let mut adopted = children;
    adopted.retain(|pid| kept.get(&pid.as_raw_pid()) != Some(&Keep::Held) && !bury(*pid, &mut kept));
    adopted
}

/// Whether a child is a zombie; one that nobody has waited for in a while is reaped. A zombie has no environment, so
/// that it cannot be known as ours.
fn bury(pid: Pid, kept: &mut BTreeMap<RawPid, Keep>) -> bool {
    if !Stat::of(pid).is_some_and(|stat| stat.is_zombie()) {
        return false;
    }
    match *kept.entry(pid.as_raw_pid()).or_insert_with(|| Keep::Zombie(Instant::now())) {
        Keep::Zombie(since) if since.elapsed() >= ZOMBIE_PATIENCE => {
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            kept.remove(&pid.as_raw_pid());
        }
        Keep::Zombie(_) | Keep::Held => {}
    }
    true
}

fn is_reaped(pid: Pid) -> bool {
    if let Ok(exit) = pidfd_open(pid, PidfdFlags::empty()) {
        let _ = poll(&mut [PollFd::new(&exit, PollFlags::IN)], Some(&KILL_PATIENCE));
    }
    match waitpid(Some(pid), WaitOptions::NOHANG) {
        Ok(Some(_)) | Err(_) => true,
        Ok(None) => {
            tracing::warn!(%pid, "a process that a task left behind was killed and does not end");
            false
        }
    }
}

fn lock() -> std::sync::MutexGuard<'static, BTreeMap<RawPid, Keep>> {
    WAITED_FOR.lock().unwrap_or_else(PoisonError::into_inner)
}
