//! What the grid has to do meanwhile: pipelines with every kind of edge, and commands that do not behave.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::fleet::{Fleet, tree};

/// Files in, rows made larger, passed through a co-process, grouped by file, added up.
const CLAIMS: &str = r#"
inputs:
  claims: {format: csv, header: true, default: [in]}
stages:
  clean: {split: {input: claims, by: records, count: 40}, run: ./clean}
  rate: {each: clean, per: worker, run: [python3, rate.py]}
  per_file: {group: rate, by: [file], run: 'sort -t, -k1,1n'}
  total: {all: per_file, run: 'awk -F, "{ sum += \$2 } END { print NR, sum }"'}
outputs: [rate, per_file, total]
"#;

/// Numbers in; small outputs and large ones, a tree, bundles, daemons, commands that do not hear SIGTERM, poison.
const NUMBERS: &str = r"
stages:
  work: {range: 1..160, run: ./work}
  bulk: {each: work, run: ./bulk, output: {format: binary}}
  tally: {range: 1..4000, per: bundle, run: ./tally}
  deaf: {range: 1..10, grace: 1s, run: ./deaf}
  odd: {range: 1..40, run: ./odd, retry: {attempts: 2, backoff: {initial: 100ms}}, skip: {limit: 3}}
  sum: {all: work, fan_in: 20, run: cat}
outputs: [work, bulk, tally, deaf, odd, sum]
";

/// The programs that they call. What fails in them has to show (`-e`): one that ends with status 0 although it could not
/// write its output, for want of room, say, has said that its output is complete.
const PROGRAMS: [(&str, &str); 7] = [
    ("clean", "#!/bin/sh -e\nsleep 0.05\nexec awk -F, 'NR > 1 { print $1 \",\" $2 * 3 }'\n"),
    (
        "rate.py",
        "import json, sys\nfor line in sys.stdin:\n    request = json.loads(line)\n    \
         rows = [row.split(',') for row in request['input'].splitlines()]\n    \
         output = ''.join(f'{row[0]},{int(row[1]) + 1}\\n' for row in rows)\n    \
         print(json.dumps({'item': request['item'], 'output': output}), flush=True)\n",
    ),
    // Every eighth leaves a daemon that has left its group and hears nothing but SIGKILL; every fifth leaves a file.
    (
        "work",
        "#!/bin/sh -e\ni=$GRIDMILL_KEY_ITEM\nsleep 0.1\n[ $((i % 8)) != 0 ] || setsid sh -c 'trap \"\" TERM HUP INT; sleep 600' \
         < /dev/null > /dev/null 2>&1 &\n[ $((i % 5)) != 0 ] || echo \"file of $i\" > \"$GRIDMILL_OUTPUT_DIR/note\"\n\
         echo $((i * i))\n",
    ),
    ("bulk", "#!/bin/sh -e\nread -r n\nyes \"row of $n\" | head -c 70000\n"),
    (
        "tally",
        "#!/bin/sh -e\nsleep 0.05\nexec seq \"$((GRIDMILL_ITEM_FIRST + 1))\" \"$((GRIDMILL_ITEM_FIRST + GRIDMILL_ITEM_COUNT))\"\n",
    ),
    // It and its child hear no SIGTERM, and the child keeps standard output.
    ("deaf", "#!/bin/sh -e\ntrap '' TERM\n(trap '' TERM; sleep 600) &\nsleep 1\necho \"deaf $GRIDMILL_KEY_ITEM\"\n"),
    (
        "odd",
        "#!/bin/sh -e\ncase \"$GRIDMILL_KEY_ITEM.$GRIDMILL_ATTEMPT\" in 7.* | 19.*) exit 4 ;; 13.1) exit 75 ;; esac\n\
         echo \"odd $GRIDMILL_KEY_ITEM\"\n",
    ),
];

/// A pipeline that is submitted again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// [`CLAIMS`].
    Claims,
    /// [`NUMBERS`].
    Numbers,
}

/// What became of a pipeline: its files, and the balance of each stage.
#[derive(Debug, PartialEq, Eq)]
pub struct Yield {
    /// The outputs by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Items, ok, skipped, dead and bytes written, by stage.
    pub balance: BTreeMap<String, [u64; 5]>,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Claims, Self::Numbers];

    fn text(self, round: u32) -> String {
        // A job takes over results of earlier ones of its name: every second one does so.
        let nth = round / 2;
        match self {
            Self::Claims => format!("name: claims-{nth}{CLAIMS}"),
            Self::Numbers => format!("name: numbers-{nth}{NUMBERS}"),
        }
    }

    /// Writes the pipeline of a round; the name of its file.
    pub fn write(self, fleet: &Fleet, round: u32) -> anyhow::Result<String> {
        let name = format!("{self:?}-{round}.yaml").to_lowercase();
        fleet.write(&name, self.text(round))?;
        Ok(name)
    }

    /// Runs it here, in one process and in peace.
    pub fn calm(self, fleet: &Fleet) -> anyhow::Result<Yield> {
        let pipeline = self.write(fleet, 0)?;
        let out = format!("calm-{self:?}");
        let output = fleet.gridmill(&["run", &pipeline, "--out", &out, "--json"])?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(matches!(output.status.code(), Some(0 | 3)), "the calm run of {pipeline} has failed: {stderr}");
        let receipt = serde_json::from_slice(&output.stdout).context("the receipt of the calm run")?;
        Ok(Yield { files: tree(&fleet.path(&out))?, balance: balance(&receipt)? })
    }
}

/// Writes inputs and programs.
pub fn lay_out(fleet: &Fleet) -> anyhow::Result<()> {
    for (name, text) in PROGRAMS {
        fleet.write(name, text)?;
        std::fs::set_permissions(fleet.path(name), std::fs::Permissions::from_mode(0o755))?;
    }
    std::fs::create_dir(fleet.path("in"))?;
    for nth in 1..=5_u32 {
        let rows: String = (0..600).map(|row| format!("{row},{}\n", row * nth)).collect();
        let rows = format!("id,amount\n{rows}");
        match nth {
            5 => {
                let mut packed = GzEncoder::new(Vec::new(), Compression::default());
                packed.write_all(rows.as_bytes())?;
                fleet.write("in/5.csv.gz", packed.finish()?)?;
            }
            _ => fleet.write(&format!("in/{nth}.csv"), rows)?,
        }
    }
    Ok(())
}

/// The numbers of a receipt that have to be the same in any weather.
pub fn balance(receipt: &Value) -> anyhow::Result<BTreeMap<String, [u64; 5]>> {
    ensure!(receipt["balanced"] == true && receipt["state"] == "succeeded", "{receipt}");
    let stages = receipt["stages"].as_array().context("a receipt has stages")?;
    let numbers = |stage: &Value| ["items", "ok", "skipped", "dead", "bytes_out"].map(|name| stage[name].as_u64());
    stages
        .iter()
        .map(|stage| {
            let name = stage["name"].as_str().context("a stage has a name")?.to_owned();
            let [Some(items), Some(ok), Some(skipped), Some(dead), Some(bytes)] = numbers(stage) else {
                anyhow::bail!("a number is missing: {stage}");
            };
            Ok((name, [items, ok, skipped, dead, bytes]))
        })
        .collect()
}
