//! How results are printed.

use std::time::Duration;

use crate::rounds::Measured;

/// Prints one line a tool; ratios are to the first one, and too little CPU is not told.
pub fn print(part: &str, results: &[Measured]) {
    let title = format!("per {part}");
    println!("  {title:40} {:>12} {:>12} {:>9} {:>9}", "CPU", "time", "CPU ratio", "ratio");
    for Measured { name, cost, ratio, has_cpu } in results {
        let (cpu, cpu_ratio) =
            if *has_cpu { (short(cost.cpu), format!("{:.2}", ratio.0)) } else { ("-".into(), "-".into()) };
        println!("  {name:40} {cpu:>12} {:>12} {cpu_ratio:>9} {:>9.2}", short(cost.wall), ratio.1);
    }
}

/// Says that a peer is missing.
pub fn not_installed(name: &str) {
    println!("  {name}: not installed");
}

/// Prints a goal and what was measured.
pub fn judge(what: &str, measured: f64, limit: f64, unit: &str) {
    let verdict = if measured <= limit { "met" } else { "MISSED" };
    println!("  goal: {what} <= {limit} {unit}: {measured:.2} {unit} - {verdict}");
}

/// A duration with three digits or so.
pub fn short(duration: Duration) -> String {
    let secs = duration.as_secs_f64();
    match secs {
        _ if secs >= 1.0 => format!("{secs:.2} s"),
        _ if secs >= 1e-3 => format!("{:.2} ms", secs * 1e3),
        _ => format!("{:.2} us", secs * 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_unit_that_fits() {
        assert_eq!(short(Duration::from_millis(2_500)), "2.50 s");
        assert_eq!(short(Duration::from_micros(1_200)), "1.20 ms");
        assert_eq!(short(Duration::from_nanos(570)), "0.57 us");
    }
}
