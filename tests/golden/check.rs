//! Holds values against the golden files in `v1`. Included by the tests of the crates that own the formats.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A golden file, by its name in `v1`.
macro_rules! golden {
    ($name:literal) => {
        $crate::check::Golden {
            name: $name,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/v1/", $name)),
        }
    };
}
pub(crate) use golden;

/// What everybody sees whose change alters a format.
const VERSIONED: &str = "formats are versioned: a value that was written once must be read for ever. Is the change \
                         meant? See `Tests` in CONTRIBUTING.md";

/// A value as it was written by the first program of that version.
pub struct Golden {
    pub name: &'static str,
    pub text: &'static str,
}

impl Golden {
    /// The file is read as `value`, and `value` is written as the file, to the letter. The file is also read as `value`
    /// when there are fields that we do not know in the objects at `structs` (JSON pointers; the whole is "").
    #[track_caller]
    pub fn holds<T: Serialize + DeserializeOwned + PartialEq + Debug>(&self, value: &T, structs: &[&str]) {
        let name = self.name;
        let written = serde_json::to_string_pretty(value).expect("every format can be written") + "\n";
        assert!(written == self.text, "{name} is not what is written now; {VERSIONED}\n{written}");
        assert_eq!(&read::<T>(name, self.text), value, "{name} is not read as it was meant; {VERSIONED}");
        let later = self.later(structs);
        assert_eq!(&read::<T>(name, &later), value, "{name} with fields of a later version is read as something else");
    }

    /// The file as a later program might write it: with fields that we do not know.
    #[track_caller]
    fn later(&self, structs: &[&str]) -> String {
        let mut json: Value = read(self.name, self.text);
        for pointer in structs {
            let object = json.pointer_mut(pointer).and_then(Value::as_object_mut);
            object.expect("there is an object at the pointer").insert("of_later".into(), json!({"v": [2, null]}));
        }
        json.to_string()
    }
}

#[track_caller]
fn read<T: DeserializeOwned>(name: &str, text: &str) -> T {
    let read = serde_json::from_str(text);
    assert!(read.is_ok(), "{name} cannot be read: {:?}; {VERSIONED}", read.err());
    read.expect("it was asked just now")
}
