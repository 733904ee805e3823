//! Whole numbers as JSON Schema has them: `1.0` is one.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// Floating point numbers beyond this leave out whole numbers, so that nobody knows which one was meant.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

struct Whole<T>(T);

impl<'de, T: TryFrom<i128>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData)).map(Self)
    }
}

struct Reader<T>(PhantomData<T>);

impl<T: TryFrom<i128>> Visitor<'_> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number in its bounds")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::try_from(number.into()).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        T::try_from(number.into()).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        let is_whole = number.fract() == 0.0 && number.abs() <= MAX_EXACT;
        let wrong = || E::invalid_value(Unexpected::Float(number), &self);
        if is_whole { T::try_from(number as i128).map_err(|_| wrong()) } else { Err(wrong()) }
    }
}

/// A whole number.
pub(crate) fn number<'de, D: Deserializer<'de>, T: TryFrom<i128>>(deserializer: D) -> Result<T, D::Error> {
    Whole::deserialize(deserializer).map(|Whole(number)| number)
}

/// A whole number, or none.
pub(crate) fn maybe<'de, D: Deserializer<'de>, T: TryFrom<i128>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map(|Whole(number)| number))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Numbers {
        #[serde(deserialize_with = "super::number")]
        one: u32,
        #[serde(default, deserialize_with = "super::maybe")]
        other: Option<i64>,
    }

    fn read(text: &str) -> Option<Numbers> {
        serde_json::from_str(text).ok()
    }

    #[test]
    fn a_number_is_whole_however_it_is_written() {
        let numbers = |one, other| Some(Numbers { one, other });
        assert_eq!(read(r#"{"one": 1}"#), numbers(1, None));
        assert_eq!(read(r#"{"one": 4294967295.0, "other": null}"#), numbers(u32::MAX, None));
        assert_eq!(read(r#"{"one": 0, "other": -3e0}"#), numbers(0, Some(-3)));
        for wrong in ["-1", "1.5", "4294967296", "4294967296.0", "1e300", "\"1\"", "true", "null", "[]"] {
            assert_eq!(read(&format!(r#"{{"one": {wrong}}}"#)), None, "{wrong}");
        }
    }
}
