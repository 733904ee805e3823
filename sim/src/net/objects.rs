//! The way to the objects.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use infra::objects::{ByteStream, ObjectMeta, ObjectStore, Uploads};
use infra::{Error, ErrorKind, Result};

use super::broken::Writes;
use super::{Link, no_answer};
use crate::mutant::Mutant;
use crate::tally::Event;

impl Link {
    async fn write(&self, writes: Writes, call: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
        match writes {
            Writes::Well | Writes::Over => self.call(call).await,
            Writes::Behind => {
                self.behind(call);
                Ok(())
            }
            Writes::Never => Ok(()),
        }
    }
}

#[async_trait]
impl ObjectStore for Link {
    async fn create(&self, key: &str, body: Bytes) -> Result<()> {
        let (net, actor, key) = (self.net.clone(), self.actor, key.to_owned());
        let (writes, body) = (net.writes(&key), self.release.writes(&key, net.content(&key, body)));
        if writes == Writes::Over {
            return self.put(&key, body).await;
        }
        let create = async move {
            let done = net.truth.objects.create(&key, body.clone()).await;
            net.watch(|watch| watch.saw_create(actor, &key, &body, &done));
            net.refusal(&key, done)
        };
        self.write(writes, create).await
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        let (net, actor) = (self.net.clone(), self.actor);
        let (writes, key) = (net.writes(key), net.place(key));
        let put = async move {
            let done = net.truth.objects.put(&key, body.clone()).await;
            net.watch(|watch| watch.saw_put(actor, &key, &body, &done));
            done
        };
        self.write(writes, put).await
    }

    /// Nothing in this world lies in files.
    async fn put_file(&self, _: &str, file: &Path) -> Result<()> {
        Err(Error::new(ErrorKind::Invalid, format!("there are no files here, such as {}", file.display())))
    }

    async fn put_stream(&self, key: &str, body: ByteStream) -> Result<ObjectMeta> {
        let pieces: Vec<Bytes> = body.try_collect().await?;
        self.put(key, pieces.concat().into()).await?;
        self.head(key).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes> {
        let (net, actor, key) = (self.net.clone(), self.actor, self.net.place(key));
        self.call(async move {
            let done = net.truth.objects.get(&key, range).await;
            net.watch(|watch| watch.saw_read(actor, "get", &key, done.as_ref().map(|_| ())));
            done
        })
        .await
    }

    async fn stream(&self, key: &str, range: Option<Range<u64>>) -> Result<ByteStream> {
        let body = self.get(key, range).await?;
        if !self.net.chance(|weather| weather.broken_stream) {
            return Ok(stream::iter([Ok(body)]).boxed());
        }
        self.net.note(Event::BrokenStream);
        let end = self.net.draw() as usize % (body.len() + 1);
        if self.net.is(Mutant::TruncationIgnored) {
            return Ok(stream::iter([Ok(body.slice(..end))]).boxed());
        }
        Ok(stream::iter([Ok(body.slice(..end)), Err(no_answer())]).boxed())
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        let (net, actor, key) = (self.net.clone(), self.actor, key.to_owned());
        self.call(async move {
            let done = net.truth.objects.head(&key).await;
            net.watch(|watch| watch.saw_read(actor, "head", &key, done.as_ref().map(|_| ())));
            done
        })
        .await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>> {
        let (net, actor, prefix, after) = (self.net.clone(), self.actor, prefix.to_owned(), after.map(str::to_owned));
        self.call(async move {
            let done = net.truth.objects.list(&prefix, after.as_deref(), limit).await;
            net.watch(|watch| watch.saw_read(actor, "list", &prefix, done.as_ref().map(|_| ())));
            done
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let (net, actor, key) = (self.net.clone(), self.actor, self.net.place(key));
        self.call(async move {
            let done = net.truth.objects.delete(&key).await;
            net.watch(|watch| watch.saw_delete(actor, &key, &done));
            done
        })
        .await
    }

    async fn presign_get(&self, key: &str, expires: Duration) -> Result<Option<String>> {
        self.net.truth.objects.presign_get(key, expires).await
    }

    fn uploads(&self) -> Option<&dyn Uploads> {
        None
    }
}
