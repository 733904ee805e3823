//! Sizes, durations and shares as people write them: `32MiB`, `10m`, `0.1%`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number of bytes. Written `512`, `64KiB`, `32MiB`, `10GB` (decimal without the `i`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

/// How many of a stage's items: a number, or a share of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allowance {
    /// So many items.
    Items(u64),
    /// So many of a hundred items, rounded down.
    Percent(f64),
}

impl Allowance {
    /// The number of items allowed out of `total`.
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Items(items) => items,
            // A share of at most u32::MAX items is exact in an f64.
            Self::Percent(percent) => (total as f64 * percent / 100.0).floor() as u64,
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < units.len() {
            value /= 1024.0;
            unit += 1;
        }
        if unit == 0 { write!(f, "{} B", self.0) } else { write!(f, "{value:.1} {}", units[unit]) }
    }
}

/// A duration in JSON: a number of seconds, under a name that ends in `_secs`.
pub mod secs {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Whole where it is.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        match duration.subsec_nanos() {
            0 => serializer.serialize_u64(duration.as_secs()),
            _ => serializer.serialize_f64(duration.as_secs_f64()),
        }
    }

    /// To the nanosecond, for durations of up to 100 days.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// As [`secs`], for what may be missing.
pub mod maybe_secs {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Secs(#[serde(with = "super::secs")] Duration);

    /// Whole where it is.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        duration.map(Secs).serialize(serializer)
    }

    /// To the nanosecond, for durations of up to 100 days.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Secs>::deserialize(deserializer)?.map(|Secs(duration)| duration))
    }
}

/// Reads a size; the error says what was expected.
pub fn parse_size(text: &str) -> Result<ByteSize, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "kb" => 1_000,
        "m" | "mib" => 1 << 20,
        "mb" => 1_000_000,
        "g" | "gib" => 1 << 30,
        "gb" => 1_000_000_000,
        "t" | "tib" => 1 << 40,
        "tb" => 1_000_000_000_000,
        _ => return Err(format!("`{text}` is not a size: write 512, 64KiB, 32MiB or 10GB")),
    };
    let bytes = match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(factor),
        Err(_) => number.parse::<f64>().ok().map(|n| n * factor as f64).filter(|n| n.is_finite()).map(|n| n as u64),
    };
    bytes.map(ByteSize).ok_or_else(|| format!("`{text}` is not a size: write 512, 64KiB, 32MiB or 10GB"))
}

/// Reads a duration: `500ms`, `30s`, `10m`, `2h`, `1d`, several in a row (`1h30m`), or plain seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration: write 500ms, 30s, 10m, 2h or 1h30m");
    let mut rest = text.trim();
    if let Ok(seconds) = rest.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| wrong());
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let seconds = match &rest[..letters] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(wrong()),
        };
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = rest[letters..].trim_start();
    }
    Ok(total)
}

/// Reads `10` or `0.1%`.
pub fn parse_allowance(text: &str) -> Result<Allowance, String> {
    let wrong = || format!("`{text}` is neither a number of items nor a share: write 10 or 0.1%");
    match text.trim().strip_suffix('%') {
        Some(share) => {
            let percent: f64 = share.trim().parse().map_err(|_| wrong())?;
            if (0.0..=100.0).contains(&percent) { Ok(Allowance::Percent(percent)) } else { Err(wrong()) }
        }
        None => text.trim().parse().map(Allowance::Items).map_err(|_| wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_in_json_and_come_back_to_the_nanosecond() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Wait {
            #[serde(with = "super::secs")]
            wait_secs: Duration,
        }
        let json = |wait_secs| serde_json::to_string(&Wait { wait_secs }).unwrap();
        assert_eq!(json(Duration::from_secs(39_600)), r#"{"wait_secs":39600}"#);
        assert_eq!(json(Duration::from_millis(1_500)), r#"{"wait_secs":1.5}"#);
        for wait_secs in [Duration::ZERO, Duration::from_nanos(39_599_123_456_789), Duration::from_nanos(1)] {
            assert_eq!(serde_json::from_str::<Wait>(&json(wait_secs)).unwrap(), Wait { wait_secs });
        }
        assert!(serde_json::from_str::<Wait>(r#"{"wait_secs":-1}"#).is_err());
    }

    #[test]
    fn sizes_are_binary_with_an_i_and_decimal_without() {
        assert_eq!(parse_size("32MiB"), Ok(ByteSize(32 << 20)));
        assert_eq!(parse_size("10 MB"), Ok(ByteSize(10_000_000)));
        assert_eq!(parse_size("1.5KiB"), Ok(ByteSize(1_536)));
        assert_eq!(parse_size("77"), Ok(ByteSize(77)));
        assert!(parse_size("many").is_err() && parse_size("").is_err() && parse_size("1XB").is_err());
        assert!(parse_size("99999999999999999999TiB").is_ok(), "a float saturates rather than overflows");
        assert!(parse_size("18446744073709551615KiB").is_err());
    }

    #[test]
    fn durations_add_up() {
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("2.5"), Ok(Duration::from_millis(2_500)));
        assert!(parse_duration("-1").is_err() && parse_duration("10 parsecs").is_err() && parse_duration("m").is_err());
    }

    #[test]
    fn nothing_is_no_duration() {
        for text in ["", "  "] {
            let fault = format!("`{text}` is not a duration: write 500ms, 30s, 10m, 2h or 1h30m");
            assert_eq!(parse_duration(text), Err(fault));
        }
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn a_share_is_rounded_down() {
        assert_eq!(parse_allowance("0.1%").map(|a| a.of(1_999)), Ok(1));
        assert_eq!(parse_allowance("3").map(|a| a.of(1)), Ok(3));
        assert!(parse_allowance("101%").is_err() && parse_allowance("-1").is_err());
    }
}
