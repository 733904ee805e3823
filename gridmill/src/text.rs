//! Numbers, rates and times as people read them.

use std::time::Duration;

use grid_core::units::ByteSize;

/// `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 item`, `1,234 items`.
pub fn counted(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{} {noun}s", count(number)),
    }
}

/// `32.0 MiB`.
pub fn bytes(number: u64) -> String {
    ByteSize(number).to_string()
}

/// `12.3 MiB/s`.
pub fn bytes_rate(per_second: f64) -> String {
    format!("{}/s", bytes(per_second.max(0.0) as u64))
}

/// `0.52/s`, `17/s`, `1,234/s`.
pub fn rate(per_second: f64) -> String {
    match per_second {
        slow if slow < 10.0 => format!("{slow:.2}/s"),
        fast => format!("{}/s", count(fast as u64)),
    }
}

/// `0.4s`, `12.3s`, `4m07s`, `3h12m`, `2d05h`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", duration.as_secs_f64().min(59.9)),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// As [`duration`], of a number of seconds that may be anything.
pub fn seconds(seconds: f64) -> String {
    duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// Text of strangers on a terminal: control characters are shown as what they are, so that they do nothing.
pub fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_control() => {
                char::from_u32(0x2400 + u32::from(c)).filter(|_| (c as u32) < 0x20).unwrap_or('\u{fffd}')
            }
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_three() {
        assert_eq!([0, 999, 1_000, 12_345, 1_234_567].map(count), ["0", "999", "1,000", "12,345", "1,234,567"]);
        assert_eq!((counted(1, "item"), counted(0, "item")), ("1 item".into(), "0 items".into()));
    }

    #[test]
    fn times_have_two_units_at_most() {
        let shown = [0.0, 12.34, 59.99, 61.0, 3_725.0, 90_000.0].map(seconds);
        assert_eq!(shown, ["0.0s", "12.3s", "59.9s", "1m01s", "1h02m", "1d01h"]);
        assert_eq!(seconds(f64::NAN), "0.0s");
    }

    #[test]
    fn rates_keep_digits_while_they_are_small() {
        assert_eq!([0.5, 9.0, 1_234.5].map(rate), ["0.50/s", "9.00/s", "1,234/s"]);
        assert_eq!(bytes_rate(1_572_864.0), "1.5 MiB/s");
    }

    #[test]
    fn a_command_cannot_steer_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\tc\r\n"), "a\u{241b}[2Jb\tc\u{240d}\n");
        assert_eq!(harmless("\u{9b}31m"), "\u{fffd}31m");
    }
}
