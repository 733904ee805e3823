//! Files that a manager, or the store that it points to, gives out.

use std::path::Path;

use grid_api::OutputFile;
use hyper::Method;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::transport::Sending;
use super::{Ask, Client, ClientError, Repeat, Route};

impl Client {
    /// Writes an output to `path`, anew with every try, and proves that it is what the manager says.
    pub async fn download(
        &self,
        file: &OutputFile,
        path: &Path,
        on_bytes: &(dyn Fn(u64) + Sync),
    ) -> Result<(), ClientError> {
        let route = Route::given(&file.href);
        let ask = Ask { method: Method::GET, route: &route, headers: Vec::new(), body: &Sending::nothing };
        self.patiently(Repeat::Harmless, async || {
            let answer = self.follow(&ask).await?;
            let disk = |error: std::io::Error| ClientError::File(format!("{}: {error}", path.display()));
            let mut to = File::create(path).await.map_err(disk)?;
            let (host, mut body) = (answer.host, answer.head.into_body());
            let (mut bytes, mut hasher) = (0, crc32fast::Hasher::new());
            while let Some(piece) = self.transport.piece(&host, &mut body).await? {
                bytes += piece.len() as u64;
                hasher.update(&piece);
                to.write_all(&piece).await.map_err(disk)?;
                on_bytes(piece.len() as u64);
            }
            to.flush().await.map_err(disk)?;
            match (bytes, hasher.finalize()) == (file.bytes, file.crc32) {
                true => Ok(()),
                // As good as a connection that breaks off: the next try may bring the whole.
                false => Err(ClientError::Broken { host, source: format!("{} arrived damaged", file.path).into() }),
            }
        })
        .await
    }
}
