//! From the command line to a pipeline that can be planned or submitted; everything that is wrong comes at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use grid_core::limits::MAX_PIPELINE_BYTES;
use grid_core::pipeline::{self, Faults, Pipeline};

use crate::cli::PipelineArgs;
use crate::console::Console;
use crate::exit::{Fault, Outcome};
use crate::inputs::{self, Wanted};

/// A pipeline with what it is run on.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The pipeline file.
    pub text: String,
    /// The pipeline.
    pub pipeline: Pipeline,
    /// A value for every parameter.
    pub params: BTreeMap<String, String>,
    /// Where every input is looked for.
    pub wanted: BTreeMap<String, Wanted>,
    /// The folder of the pipeline file, absolute: commands run there.
    pub folder: PathBuf,
}

/// A pipeline file that was read, and what is wrong with it.
pub fn parse(file: &Path) -> Outcome<Result<Pipeline, Faults>> {
    Ok(pipeline::parse(&read(file)?, &file.display().to_string()))
}

fn read(file: &Path) -> Outcome<String> {
    let unreadable = |error: std::io::Error| Fault::usage(error).while_doing(format!("cannot read {}", file.display()));
    let len = fs::metadata(file).map_err(unreadable)?.len();
    if len > 2 * MAX_PIPELINE_BYTES as u64 {
        let words = format!("{} has {len} bytes: that is no pipeline file", file.display());
        return Err(Fault::usage(words).help("give the pipeline first, and data with --input NAME=PATH"));
    }
    let bytes = fs::read(file).map_err(unreadable)?;
    String::from_utf8(bytes)
        .map_err(|error| Fault::usage(format!("{} is not UTF-8: {}", file.display(), error.utf8_error())))
}

/// Reads a pipeline and checks parameters and inputs against it.
pub fn load(args: &PipelineArgs, console: Console) -> Outcome<Loaded> {
    let text = read(&args.file)?;
    let pipeline = pipeline::parse(&text, &args.file.display().to_string())
        .map_err(|faults| Fault::usage(faults.render(console.colours)))?;
    let folder = fs::canonicalize(&args.file)
        .map_err(|error| Fault::usage(error).while_doing(format!("cannot find {}", args.file.display())))?;
    let folder = folder.parent().unwrap_or(Path::new("/")).to_owned();
    let mut faults = twice(&args.param);
    let given: BTreeMap<String, String> = args.param.iter().cloned().collect();
    let params = pipeline.resolve_params(&given).unwrap_or_else(|wrong| {
        faults.extend(wrong);
        BTreeMap::new()
    });
    let wanted = inputs::wanted(&pipeline, &args.input, &folder).unwrap_or_else(|wrong| {
        faults.extend(wrong);
        BTreeMap::new()
    });
    inputs::report(&format!("{} cannot be run like this", args.file.display()), faults)?;
    Ok(Loaded { text, pipeline, params, wanted, folder })
}

/// Parameters that were given two values.
fn twice(given: &[(String, String)]) -> Vec<String> {
    let differs = |place: usize| given[..place].iter().any(|(name, _)| *name == given[place].0);
    let twice = (0..given.len()).filter(|place| differs(*place));
    twice.map(|place| format!("the parameter `{}` is given more than once", given[place].0)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const QUIET: Console = Console { json: false, bars: false, colours: false };

    const PIPELINE: &str = "\
name: test
params:
  year: {type: integer}
inputs:
  books: {format: text}
  more: {format: text, default: [more/*.txt]}
stages:
  count:
    split: {input: books, by: lines, count: 10}
    run: wc -w
  other:
    split: {input: more, by: lines, count: 10}
    run: wc -w ${{ params.year }}
";

    fn args(dir: &Path, input: &[(&str, &str)], param: &[(&str, &str)]) -> PipelineArgs {
        let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
        fs::write(dir.join("p.yaml"), PIPELINE).expect("written");
        PipelineArgs { file: dir.join("p.yaml"), input: owned(input), param: owned(param) }
    }

    #[test]
    fn all_that_is_missing_comes_in_one_report() {
        let dir = tempfile::tempdir().expect("a folder");
        let args = args(dir.path(), &[("bokks", "x")], &[("yaer", "1"), ("yaer", "2")]);
        let report = load(&args, QUIET).expect_err("nothing is right").to_string();
        for words in ["`bokks`", "--input books=PATH", "`yaer`", "more than once", "`year`"] {
            assert!(report.contains(words), "{words} is not in:\n{report}");
        }
        assert!(!report.contains("`more`  is missing"), "it has a default: {report}");
    }

    #[test]
    fn given_inputs_are_relative_to_here_and_defaults_to_the_pipeline_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let args = args(dir.path(), &[("books", "a.txt"), ("books", "-")], &[("year", "2025")]);
        let loaded = load(&args, QUIET).expect("all is right");
        let root = fs::canonicalize(dir.path()).expect("it is there");
        let books = Wanted { specs: vec!["a.txt".into(), "-".into()], base: PathBuf::from(".") };
        let more = Wanted { specs: vec!["more/*.txt".into()], base: root.clone() };
        assert_eq!(loaded.wanted, BTreeMap::from([("books".into(), books), ("more".into(), more)]));
        assert_eq!((loaded.folder, loaded.params["year"].as_str()), (root, "2025"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let fault = parse(Path::new("/nowhere/p.yaml")).map(|_| ()).expect_err("there is none");
        assert_eq!(fault.to_string(), "cannot read /nowhere/p.yaml: No such file or directory (os error 2)");
    }
}
