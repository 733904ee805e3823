//! The way to the rows.

use async_trait::async_trait;
use infra::Result;
use infra::state::{Row, RowKey, StateStore, Write};

use super::Link;
use crate::mutant::Mutant;

#[async_trait]
impl StateStore for Link {
    async fn get(&self, key: &RowKey) -> Result<Option<Row>> {
        let (net, actor, key) = (self.net.clone(), self.actor, key.clone());
        self.call(async move {
            let mut done = net.truth.state.get(&key).await;
            if net.is(Mutant::SubmissionNotUnique) && key.partition.starts_with("SUBMISSION#") {
                done = Ok(None);
            }
            net.watch(|watch| watch.saw_read(actor, "row", &key.partition, done.as_ref().map(|_| ())));
            done
        })
        .await
    }

    async fn query(&self, partition: &str, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        let (net, actor) = (self.net.clone(), self.actor);
        let (partition, prefix, after) = (partition.to_owned(), prefix.to_owned(), after.map(str::to_owned));
        self.call(async move {
            let done = net.truth.state.query(&partition, &prefix, after.as_deref(), limit).await;
            net.watch(|watch| watch.saw_read(actor, "query", &partition, done.as_ref().map(|_| ())));
            done
        })
        .await
    }

    async fn query_back(&self, partition: &str, before: Option<&str>, limit: usize) -> Result<Vec<Row>> {
        let (net, actor) = (self.net.clone(), self.actor);
        let (partition, before) = (partition.to_owned(), before.map(str::to_owned));
        self.call(async move {
            let done = net.truth.state.query_back(&partition, before.as_deref(), limit).await;
            net.watch(|watch| watch.saw_read(actor, "query back", &partition, done.as_ref().map(|_| ())));
            done
        })
        .await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<Vec<Result<u64>>> {
        let (net, actor) = (self.net.clone(), self.actor);
        let hopes = net.hopes(&writes);
        let write = async move {
            let asked = writes.len();
            let writes = net.conditions(writes).await;
            let mut done = net.truth.state.write(writes.clone()).await;
            if let Ok(answers) = &mut done {
                net.watch(|watch| watch.saw_writes(actor, &writes, answers));
                answers.resize_with(asked, || Ok(1));
            }
            done
        };
        match hopes {
            None => self.call(write).await,
            Some(answers) => {
                self.behind(write);
                Ok(answers)
            }
        }
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<()> {
        let (net, actor) = (self.net.clone(), self.actor);
        self.call(async move {
            let writes = net.conditions(writes).await;
            let done = net.truth.state.transact(writes.clone()).await;
            net.watch(|watch| watch.saw_transaction(actor, &writes, &done));
            done
        })
        .await
    }
}
