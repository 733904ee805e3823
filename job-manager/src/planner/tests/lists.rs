use grid_core::pipeline::ListItem;

use super::*;

async fn job(list: &[u8]) -> Job {
    Job::new("{format: text}", "list: items.txt").with_list(list).await
}

async fn values(list: &[u8]) -> Vec<ListItem> {
    let job = job(list).await;
    let summary = plan(&job.grid, &job.submission, job.stage(), |_| {}).await.unwrap();
    assert_eq!(count(&job.grid.sources, &job.submission, job.stage()).await.unwrap(), summary);
    let reader = PlanReader::new(job.grid.objects.clone());
    let mut values = Vec::new();
    for index in 0..summary.items {
        values.push(reader.value(&job.submission.job, &job.stage().name, index).await.unwrap());
    }
    values
}

async fn faults(list: &[u8]) -> String {
    let job = job(list).await;
    input_fault(plan(&job.grid, &job.submission, job.stage(), |_| {}).await)
}

fn text(value: &str) -> ListItem {
    ListItem::Text(value.to_owned())
}

fn fields(fields: &[(&str, &str)]) -> ListItem {
    ListItem::Fields(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

#[tokio::test]
async fn every_line_that_is_not_blank_is_an_item() {
    let list = "\u{feff}first\r\n\n  \n second \nlast".as_bytes();
    assert_eq!(values(list).await, [text("first"), text(" second "), text("last")]);
    assert_eq!(values(b"\n\n").await, []);
    let gz = compress(b"a\nb\n", Compression::Gzip);
    assert_eq!(values(&gz).await, [text("a"), text("b")]);
}

#[tokio::test]
async fn objects_give_dimensions_in_the_order_written() {
    let list = b"\n {\"z\": \"x y\", \"a\": 1.50, \"b\": true}\n{\"z\":\"\",\"a\":18446744073709551615}\n";
    let expected =
        [fields(&[("z", "x y"), ("a", "1.5"), ("b", "true")]), fields(&[("z", ""), ("a", "18446744073709551615")])];
    assert_eq!(values(list).await, expected);
}

#[tokio::test]
async fn all_faults_are_told_with_their_lines() {
    let message = faults(b"{\"a\": 1}\nb\n{\"a\": [1]}\n\n7\n{\"a\": \"\xff\"}\n").await;
    for part in ["grid://list", "line 2: no JSON", "line 3: field `a`", "line 5: no JSON object", "line 6: not UTF-8"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(faults(b"ok\n\xff\n").await.contains("line 2: not UTF-8 from byte 0"));
}

#[tokio::test]
async fn two_items_of_one_name_are_refused() {
    assert!(faults(b"a\nb\n\na\n").await.contains("line 4: the same item as line 1"));
    assert!(
        faults(b"{\"a\": 1, \"b\": 2}\n{\"a\": \"1\", \"b\": \"2\"}\n")
            .await
            .contains("line 2: the same item as line 1")
    );
}
