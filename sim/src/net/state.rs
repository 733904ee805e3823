//! The way to the rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use infra::Result;
use infra::state::{Row, RowKey, StateStore, Write};
use tokio::time::{Instant, sleep};

use super::{ActorId, LATEST, Link, Net, USUAL, no_answer};
use crate::mutant::Mutant;
use crate::tally::Event;

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
            let mut done = net.write_rows(actor, writes).await;
            if let Ok(answers) = &mut done {
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

/// What becomes of one row of several.
enum RowFate {
    /// It is written.
    Written,
    /// It is not written.
    Lost,
    /// It is written, and nobody is told.
    Unanswered,
    /// Nobody is told, and it is written much later.
    Late,
}

impl Net {
    /// Writes rows as weakly as [`StateStore::write`] promises: each by itself, those of different rows in any order, and some of
    /// them not, or not yet.
    async fn write_rows(self: &Arc<Self>, actor: ActorId, writes: Vec<Write>) -> Result<Vec<Result<u64>>> {
        if self.weather(|weather| weather.torn_write) == 0.0 || writes.len() < 2 {
            return self.write_at_once(actor, writes).await;
        }
        let mut rows: BTreeMap<RowKey, Vec<(usize, Write)>> = BTreeMap::new();
        for (place, write) in writes.into_iter().enumerate() {
            rows.entry(write.key.clone()).or_default().push((place, write));
        }
        let mut answers = BTreeMap::new();
        let mut left: Vec<Vec<(usize, Write)>> = rows.into_values().collect();
        while !left.is_empty() {
            let (places, writes) = left.swap_remove(self.draw() as usize % left.len()).into_iter().unzip();
            let (places, writes): (Vec<usize>, Vec<Write>) = (places, writes);
            sleep(USUAL.mul_f64(self.draw() as f64 / u64::MAX as f64)).await;
            let answered = self.write_row(actor, writes).await?;
            answers.extend(places.into_iter().zip(answered));
        }
        Ok(answers.into_values().collect())
    }

    /// Writes to one row, one after the other.
    async fn write_row(self: &Arc<Self>, actor: ActorId, writes: Vec<Write>) -> Result<Vec<Result<u64>>> {
        let unknown = writes.iter().map(|_| Err(no_answer())).collect();
        match self.row_fate() {
            RowFate::Written => return self.write_at_once(actor, writes).await,
            RowFate::Lost => {}
            RowFate::Unanswered => drop(self.write_at_once(actor, writes).await),
            RowFate::Late => {
                let (net, by) = (self.clone(), LATEST.mul_f64(self.draw() as f64 / u64::MAX as f64));
                self.watch(|watch| watch.troubled_until(actor, Instant::now() + by));
                self.under_way.spawn(async move {
                    sleep(by).await;
                    drop(net.write_at_once(actor, writes).await);
                });
            }
        }
        self.note(Event::TornWrite);
        Ok(unknown)
    }

    async fn write_at_once(&self, actor: ActorId, writes: Vec<Write>) -> Result<Vec<Result<u64>>> {
        let done = self.truth.state.write(writes.clone()).await;
        if let Ok(answers) = &done {
            self.watch(|watch| watch.saw_writes(actor, &writes, answers));
        }
        done
    }

    fn row_fate(&self) -> RowFate {
        if !self.chance(|weather| weather.torn_write * 0.3) {
            return RowFate::Written;
        }
        match self.draw() % 3 {
            0 => RowFate::Lost,
            1 => RowFate::Unanswered,
            _ => RowFate::Late,
        }
    }
}
