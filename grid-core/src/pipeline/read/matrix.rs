//! `matrix`, with `include` and `exclude`.

use std::collections::{BTreeMap, BTreeSet};

use super::Reader;
use crate::items::source::repeated_name;
use crate::limits::{MAX_ITEMS, MAX_LISTED_COMBINATIONS};
use crate::pipeline::grammar;
use crate::pipeline::model::Matrix;
use crate::pipeline::names;
use crate::pipeline::tree::{Entry, Node, Value};

/// Every entry of `include` and `exclude` is compared with every combination: about a second at this many.
const MAX_COMPARISONS: u64 = 10_000_000;

impl Reader<'_, '_> {
    pub(super) fn matrix(&mut self, node: &Node) -> Option<Matrix> {
        let Value::Map(entries) = &node.value else {
            self.faults.at(&node.span, "`matrix` must be a map of dimensions, each with a list of values");
            return None;
        };
        let mut matrix = Matrix::default();
        let mut is_sound = true;
        let dims = || entries.iter().filter(|entry| grammar::MATRIX.key(&entry.key).is_none());
        self.check_variables(dims());
        for entry in dims() {
            self.check_name(&entry.key, &entry.key_span, "a dimension", names::is_identifier);
            match self.matrix_values(entry) {
                Some(values) => matrix.dims.push((entry.key.clone(), values)),
                None => is_sound = false,
            }
        }
        for entry in entries {
            match entry.key.as_str() {
                "include" => matrix.include = self.filters(entry)?,
                "exclude" => matrix.exclude = self.excludes(entry, &matrix, is_sound)?,
                _ => {}
            }
        }
        if !is_sound {
            return None;
        }
        self.check_size(node, &matrix)?;
        self.check_repeats(node, &matrix)?;
        Some(matrix)
    }

    fn matrix_values(&mut self, entry: &Entry) -> Option<Vec<String>> {
        let Value::List(nodes) = &entry.value.value else {
            self.faults.at(&entry.value.span, format!("`{}` must be a list of values", entry.key));
            return None;
        };
        if nodes.is_empty() {
            self.faults.at(&entry.value.span, format!("`{}` has no values", entry.key));
            return None;
        }
        let mut seen = BTreeSet::new();
        let mut values = Vec::new();
        for node in nodes {
            let value = self.text(node, "a value")?;
            if !seen.insert(value.clone()) {
                self.faults.at(&node.span, format!("`{value}` is listed twice"));
                return None;
            }
            values.push(value);
        }
        Some(values)
    }

    fn filters(&mut self, entry: &Entry) -> Option<Vec<BTreeMap<String, String>>> {
        let Value::List(nodes) = &entry.value.value else {
            self.faults.at(&entry.value.span, format!("`{}` must be a list of maps", entry.key));
            return None;
        };
        nodes.iter().map(|node| Some(self.dimensions(node)?.into_iter().collect())).collect()
    }

    /// What leaves out a dimension that does not exist leaves out nothing: a typing error.
    fn excludes(&mut self, entry: &Entry, matrix: &Matrix, is_sound: bool) -> Option<Vec<BTreeMap<String, String>>> {
        let filters = self.filters(entry)?;
        let Value::List(nodes) = &entry.value.value else {
            return None;
        };
        let dims: Vec<&str> = matrix.dims.iter().map(|(dim, _)| dim.as_str()).collect();
        for entry in
            nodes.iter().flat_map(|node| if let Value::Map(entries) = &node.value { &entries[..] } else { &[] })
        {
            if is_sound && !dims.contains(&entry.key.as_str()) {
                let message = format!("the matrix has no dimension `{}`", entry.key);
                self.faults.nearest(&entry.key_span, message, &entry.key, dims.iter().copied());
            }
        }
        Some(filters)
    }

    fn check_size(&mut self, node: &Node, matrix: &Matrix) -> Option<()> {
        let is_listed = !matrix.include.is_empty() || !matrix.exclude.is_empty();
        let (limit, with) =
            if is_listed { (MAX_LISTED_COMBINATIONS, " with `include` or `exclude`") } else { (MAX_ITEMS, "") };
        match matrix.product() {
            0 if matrix.include.is_empty() => self.faults.at(&node.span, "the matrix has no dimensions"),
            product if product > limit => {
                let message = format!("the matrix has {product} combinations, at most {limit} are allowed{with}");
                self.faults.at(&node.span, message);
            }
            product
                if product.saturating_mul((matrix.include.len() + matrix.exclude.len()) as u64) > MAX_COMPARISONS =>
            {
                self.faults.at(&node.span, "the matrix has too many entries in `include` and `exclude` for its size");
            }
            _ => return Some(()),
        }
        None
    }

    /// Only `include` can make two combinations of one name, only `exclude` can leave none.
    fn check_repeats(&mut self, node: &Node, matrix: &Matrix) -> Option<()> {
        if matrix.include.is_empty() && matrix.exclude.is_empty() {
            return Some(());
        }
        let keys = matrix.combinations();
        if keys.is_empty() {
            self.faults.at(&node.span, "`exclude` leaves no combination");
            return None;
        }
        let Some(repeated) = repeated_name(keys.iter().cloned()) else {
            return Some(());
        };
        self.faults.at(&node.span, format!("the combination `{}` occurs twice", keys[repeated].name()));
        None
    }
}
