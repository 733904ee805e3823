//! Names of an input's files: what items call them.

use std::collections::BTreeMap;

use crate::inputs::find::Found;

/// Makes names unique by taking more of the path where two files share one; URIs are unique already.
pub(super) fn make_unique(files: &mut [Found]) {
    loop {
        let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, file) in files.iter().enumerate() {
            places.entry(&file.name).or_default().push(at);
        }
        let shared: Vec<usize> = places.into_values().filter(|places| places.len() > 1).flatten().collect();
        if shared.is_empty() {
            return;
        }
        for at in shared {
            let file = &mut files[at];
            file.name = longer(&file.uri, &file.name);
        }
    }
}

/// The name with one more folder of the path before it; the whole URI when there is none.
fn longer(uri: &str, name: &str) -> String {
    let path = uri.split_once("://").map_or(uri, |(_, path)| path).trim_start_matches('/');
    let before = path.strip_suffix(name).and_then(|before| before.strip_suffix('/'));
    match before {
        Some(before) => path[before.rfind('/').map_or(0, |slash| slash + 1)..].to_owned(),
        None => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_take_more_of_the_path_and_others_stay() {
        let found = |uri: &str, name: &str| Found { uri: uri.into(), name: name.into() };
        let mut files = [
            found("file:///d/2024/q1/x.csv", "x.csv"),
            found("file:///d/2025/q1/x.csv", "x.csv"),
            found("file:///d/2025/q2/x.csv", "x.csv"),
            found("file:///y.csv", "y.csv"),
            found("s3://bucket/y.csv", "y.csv"),
            found("file:///z.csv", "z.csv"),
        ];
        make_unique(&mut files);
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["2024/q1/x.csv", "2025/q1/x.csv", "q2/x.csv", "file:///y.csv", "bucket/y.csv", "z.csv"]);
    }
}
