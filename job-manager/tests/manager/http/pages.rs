//! Lists that are read page by page cost what is on the pages.

use grid_api::{JobStatus, JobSummary, OutputFile, Page};
use grid_core::ids::JobId;
use grid_core::job::JobState;
use grid_core::wire::{Outputs, Pack};
use serde_json::Value;
use tokio::time::{Duration, sleep};

use super::moods::Moods;
use super::outputs::{commit, crc};
use super::site::{Site, TWO};
use crate::yard::{Leader, Yard};

/// Items whose names people chose: what their files are called depends on those before.
fn named(items: u32) -> String {
    let names: Vec<String> = (0..items).map(|item| format!("n{item}")).collect();
    format!("name: many\nstages:\n  work: {{list: [{}], run: [\"true\"]}}\n", names.join(", "))
}

/// A job each of whose items has printed its number.
async fn printed(yard: &Yard, site: &Site, pipeline: &str) -> JobId {
    let job = site.submit(None, pipeline).await;
    let leader = Leader::start(&yard.grid);
    while yard.meta(&job).await.is_none_or(|meta| !meta.state.is_final()) {
        for task in yard.tasks().await {
            let lines: Vec<String> = (task.first..task.first + task.count).map(|item| format!("{item}\n")).collect();
            let stdout = lines.iter().map(|line| (line.len() as u64, crc(line))).collect();
            let outputs = Outputs { pack: Pack::Text(lines.concat()), stdout, files: Vec::new(), bundled: false };
            commit(yard, &task, outputs).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
    leader.stop().await;
    assert_eq!(yard.meta(&job).await.unwrap().state, JobState::Succeeded);
    job
}

async fn page(site: &Site, job: &JobId, limit: usize, cursor: Option<&str>) -> Page<OutputFile> {
    let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
    site.get(&format!("/v1/jobs/{job}/outputs?limit={limit}{cursor}")).await.json()
}

/// All pages, each read from the next one of some managers.
async fn all(sites: &[&Site], job: &JobId, limit: usize) -> Vec<OutputFile> {
    let (mut entries, mut cursor) = (Vec::new(), None);
    for site in sites.iter().cycle() {
        let page = page(site, job, limit, cursor.as_deref()).await;
        assert!(page.entries.len() == limit || page.next_cursor.is_none());
        entries.extend(page.entries);
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    entries
}

#[tokio::test(start_paused = true)]
async fn a_page_of_outputs_costs_what_is_on_it() {
    let moods = Moods::default();
    let yard = Yard { grid: moods.grid() };
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let job = printed(&yard, &site, &named(600)).await;
    moods.object_reads();
    let whole = page(&site, &job, 1_000, None).await;
    assert_eq!((whole.entries.len(), whole.next_cursor), (600, None));
    let once = moods.object_reads();
    assert_eq!(all(&[&site], &job, 10).await, whole.entries, "sixty pages are the list");
    let by_pages = moods.object_reads();
    assert!(by_pages <= once + 10, "{by_pages} objects were read for 60 pages, and {once} for the whole list");
}

#[tokio::test(start_paused = true)]
async fn any_manager_goes_on_where_another_one_ended() {
    for pipeline in [named(50), "name: p\nstages:\n  work: {range: 1..50, run: [\"true\"]}\n".to_owned()] {
        let yard = Yard::new();
        let [one, other] = [(); 2].map(|()| Site::on(yard.grid.clone(), Site::this_machine()));
        let job = printed(&yard, &one, &pipeline).await;
        let whole = page(&one, &job, 1_000, None).await.entries;
        assert_eq!(whole.len(), 50);
        assert_eq!(all(&[&one, &other], &job, 7).await, whole);
        // A cursor is good again, and for a manager that never gave a page.
        let first = page(&one, &job, 20, None).await;
        for _ in 0..2 {
            let again = page(&other, &job, 20, first.next_cursor.as_deref()).await;
            assert_eq!(again.entries, whole[20..40]);
        }
        // Nobody reads on: the lists are closed, and the cursor is good all the same.
        sleep(Duration::from_secs(600)).await;
        assert_eq!(page(&one, &job, 20, first.next_cursor.as_deref()).await.entries, whole[20..40]);
    }
}

/// The numbers of a range are names that never repeat: a manager that has never seen the list begins in its midst.
#[tokio::test(start_paused = true)]
async fn what_depends_on_nothing_before_is_not_read_from_the_beginning() {
    let moods = Moods::default();
    let yard = Yard { grid: moods.grid() };
    let [one, other] = [(); 2].map(|()| Site::on(yard.grid.clone(), Site::this_machine()));
    let job = printed(&yard, &one, "name: p\nstages:\n  work: {range: 1..600, run: [\"true\"]}\n").await;
    moods.object_reads();
    page(&other, &job, 1_000, None).await;
    let whole = moods.object_reads();
    let near_end = "0.594.0";
    assert_eq!(page(&other, &job, 10, Some(near_end)).await.entries.len(), 5);
    let tail = moods.object_reads();
    // The submission, and the manifest of the last five.
    assert!(
        tail == 2 && tail < whole,
        "{tail} objects were read for the last five files of 600, {whole} for all of them"
    );
}

#[tokio::test(start_paused = true)]
async fn jobs_are_listed_with_their_stages_where_these_are_asked_for() {
    let site = Site::new();
    let jobs = [site.submit(None, TWO).await, site.submit(None, TWO).await];
    let plain = site.get("/v1/jobs").await.json::<Value>();
    assert!(plain["entries"].as_array().unwrap().iter().all(|entry| entry.get("stages").is_none()), "{plain}");
    let full = site.get("/v1/jobs?stages=true").await.json::<Page<JobSummary>>();
    for (summary, job) in full.entries.iter().zip(jobs.iter().rev()) {
        let shown = site.get(&format!("/v1/jobs/{job}")).await.json::<JobStatus>();
        assert_eq!((&summary.job, summary.stages.as_ref()), (job, Some(&shown.stages)));
    }
    assert_eq!(site.get("/v1/jobs?stages=x").await.pointers(), ["query:stages"]);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_named_by_its_item_costs_the_same_in_a_large_job() {
    let moods = Moods::default();
    let yard = Yard { grid: moods.grid() };
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let stages: String = (0..20).map(|stage| format!("  s{stage:02}: {{range: 1..9, run: [\"true\"]}}\n")).collect();
    let job = printed(&yard, &site, &format!("name: large\nstages:\n{stages}")).await;
    let files = page(&site, &job, 1_000, None).await.entries;
    assert_eq!(files.len(), 180);
    moods.row_reads();
    moods.rows_found();
    moods.object_reads();
    for file in [&files[0], &files[100], &files[179]] {
        let answer = site.get(&file.href).await;
        assert_eq!(answer.body, format!("{}\n", file.item).into_bytes());
        // Whether there are tokens, whose the job is, and what became of the item; the submission and the manifest.
        assert_eq!((moods.row_reads(), moods.rows_found(), moods.object_reads()), (3, 2, 2), "{}", file.href);
    }
    let unknown = |query: &str| format!("/v1/jobs/{job}/outputs/x?{query}");
    for query in [
        "stage=none&item=0",
        "stage=s00&item=9",
        "stage=s00&item=4294967295",
        "stage=s00&item=0&name=x",
        "stage=%00&item=0",
    ] {
        assert_eq!(site.get(&unknown(query)).await.status, 404, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn past_the_end_of_a_list_there_is_nothing_and_a_text_that_is_no_cursor_is_refused() {
    let yard = Yard::new();
    let site = Site::on(yard.grid.clone(), Site::this_machine());
    let job = printed(&yard, &site, "name: p\nstages:\n  work: {range: 1..3, run: [\"true\"]}\n").await;
    let past = ["0.3", "0.4294967295", "0.4294967296", "0.9999999999", "1.0", "9999999999.0"];
    let none = ["", "0", "0.", ".0", "0.+1", "0.-1", "0.00000000001", "0.0.0.0", "a.b"];
    for (list, more) in [("items", ""), ("dead", ""), ("outputs", ".0")] {
        let ask = async |cursor: &str| site.get(&format!("/v1/jobs/{job}/{list}?cursor={cursor}")).await;
        for cursor in past {
            let answer = ask(&format!("{cursor}{more}")).await;
            assert_eq!(answer.json::<serde_json::Value>(), serde_json::json!({"entries": []}), "{list} {cursor}");
        }
        for cursor in none {
            let answer = ask(&cursor.replace('+', "%2B")).await;
            assert_eq!(
                (answer.status.as_u16(), answer.pointers()),
                (400, vec!["query:cursor".to_owned()]),
                "{list} {cursor}"
            );
        }
    }
}
