//! What a program costs: the CPU of all its processes, and the time until it ends.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// What something cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// User and system time of all its processes.
    pub cpu: Duration,
    /// From its start to its end.
    pub wall: Duration,
}

impl Cost {
    /// The cost of each of `count` equal parts.
    pub fn each(self, count: u64) -> Self {
        let part = |whole: Duration| whole.div_f64(count as f64);
        Self { cpu: part(self.cpu), wall: part(self.wall) }
    }
}

/// Runs a program to its end with nothing on its standard input; what it prints is not kept.
pub fn of_program(command: &mut Command) -> anyhow::Result<Cost> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let (cpu, began) = (cpu_of_children()?, Instant::now());
    let ran = command.output().with_context(|| format!("failed to start {command:?}"))?;
    let wall = began.elapsed();
    if !ran.status.success() {
        bail!("{command:?} ended with {}: {}", ran.status, String::from_utf8_lossy(&ran.stderr));
    }
    Ok(Cost { cpu: cpu_of_children()?.saturating_sub(cpu), wall })
}

/// User and system time of all processes that this one has waited for, and of those that they have waited for.
/// In steps of the kernel's clock ticks, 10 ms as a rule.
fn cpu_of_children() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").context("CPU times are read from /proc")?;
    let ticks = children_ticks(&stat).context("/proc/self/stat has no times of children")?;
    Ok(Duration::from_secs(ticks).div_f64(rustix::param::clock_ticks_per_second() as f64))
}

/// The fields `cutime` and `cstime`, behind the name in brackets, which may hold blanks.
fn children_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(13);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// User and system time of this process.
pub fn cpu_of_this_process() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(spent.tv_sec).unwrap_or(0), u32::try_from(spent.tv_nsec).unwrap_or(0))
}

/// The most memory that this process had resident since it began, KiB.
pub fn peak_kib() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("/proc has no peak of memory")?;
    let kib = line.trim().strip_suffix("kB").context("memory is not in kB")?;
    Ok(kib.trim().parse()?)
}

/// The load of the last minute: others that want the processors.
pub fn load() -> anyhow::Result<String> {
    let load = fs::read_to_string("/proc/loadavg")?;
    ensure!(!load.is_empty(), "/proc/loadavg is empty");
    Ok(load.split(' ').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_children_stand_behind_a_name_with_blanks_and_brackets() {
        let stat = "17 (a ) b) S 1 17 17 0 -1 4194304 100 200 0 0 5 6 70 800 20 0 4 0 99 1 1";
        assert_eq!(children_ticks(stat), Some(870));
    }
}
