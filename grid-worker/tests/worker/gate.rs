//! An object store whose door can be shut: an outage, or a slow answer.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use infra::objects::{ByteStream, ObjectMeta, ObjectStore, Uploads};
use infra::{Error, ErrorKind, Result};

/// What goes wrong with the next writes of a manifest, or with everything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weather {
    Fair,
    /// Nothing can be reached.
    Outage,
    /// The next manifest is created, and no answer comes.
    LosesAnswer,
    /// Nothing can be written.
    Full,
    /// Nothing may be written.
    Denied,
}

/// A store in changing weather.
#[derive(Debug)]
pub struct Gate {
    inner: Arc<dyn ObjectStore>,
    weather: Mutex<Weather>,
}

impl Gate {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, weather: Mutex::new(Weather::Fair) }
    }

    pub fn turn(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }

    fn read(&self) -> Result<()> {
        match *self.weather.lock().unwrap() {
            Weather::Outage => Err(Error::new(ErrorKind::Unavailable, "no answer")),
            Weather::Fair | Weather::LosesAnswer | Weather::Full | Weather::Denied => Ok(()),
        }
    }

    fn write(&self) -> Result<()> {
        match *self.weather.lock().unwrap() {
            Weather::Outage => Err(Error::new(ErrorKind::Unavailable, "no answer")),
            Weather::Full => Err(Error::new(ErrorKind::Full, "no space left")),
            Weather::Denied => Err(Error::new(ErrorKind::Denied, "not allowed")),
            Weather::Fair | Weather::LosesAnswer => Ok(()),
        }
    }

    fn answer(&self) -> Result<()> {
        let mut weather = self.weather.lock().unwrap();
        match *weather {
            Weather::LosesAnswer => {
                *weather = Weather::Fair;
                Err(Error::new(ErrorKind::Unavailable, "no answer"))
            }
            Weather::Fair | Weather::Outage | Weather::Full | Weather::Denied => Ok(()),
        }
    }
}

#[async_trait]
impl ObjectStore for Gate {
    async fn create(&self, key: &str, body: Bytes) -> Result<()> {
        self.write()?;
        self.inner.create(key, body).await?;
        self.answer()
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        self.write()?;
        self.inner.put(key, body).await
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<()> {
        self.write()?;
        self.inner.put_file(key, file).await
    }

    async fn put_stream(&self, key: &str, body: ByteStream) -> Result<ObjectMeta> {
        self.write()?;
        self.inner.put_stream(key, body).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes> {
        self.read()?;
        self.inner.get(key, range).await
    }

    async fn stream(&self, key: &str, range: Option<Range<u64>>) -> Result<ByteStream> {
        self.read()?;
        self.inner.stream(key, range).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.read()?;
        self.inner.head(key).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<ObjectMeta>> {
        self.read()?;
        self.inner.list(prefix, after, limit).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.write()?;
        self.inner.delete(key).await
    }

    async fn presign_get(&self, key: &str, expires: Duration) -> Result<Option<String>> {
        self.inner.presign_get(key, expires).await
    }

    fn uploads(&self) -> Option<&dyn Uploads> {
        self.inner.uploads()
    }
}
