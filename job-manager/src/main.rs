//! `job-manager`: the daemon.

use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use grid_core::price::PriceList;
use infra::aws::check;
use infra::clock::SystemClock;
use infra::{BackEnd, Error, ErrorKind, Grid, NotOpen};
use job_manager::http::{Api, Starting, router, serve};
use job_manager::settings::Settings;
use job_manager::{ManagerConfig, ManagerError, Progress, Role, manage, tokens};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Between two tries to reach what the manager stands on: at first, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    if settings.check {
        let mut out = std::io::stdout();
        let checked = check::write_check(check::Role::Manager, |name| settings.place(name), &mut out).await;
        return checked.map_or(ExitCode::FAILURE, ExitCode::from);
    }
    let (error, status) = match read(&settings) {
        Ok((places, prices)) => match begin(settings, places, prices).await {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => (error, ExitCode::FAILURE),
        },
        Err(error) => (error, ExitCode::from(2)),
    };
    eprintln!("error: {error:#}");
    status
}

/// Starts the log, and reads what the settings name.
fn read(settings: &Settings) -> anyhow::Result<(infra::aws::Settings, Arc<PriceList>)> {
    settings.log.start()?;
    Ok((settings.grid()?, Arc::new(settings.prices()?)))
}

async fn begin(settings: Settings, places: infra::aws::Settings, prices: Arc<PriceList>) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    stop_on_signals(&stop)?;
    let starting = Starting::default();
    let Some(()) = stop.run_until_cancelled(may_listen(&settings, &places, &starting)).await.transpose()? else {
        return Ok(());
    };
    let (listener, address) = listen(&settings).await?;
    let serving = serve(listener, starting.router(), settings.limits(), stop.clone());
    let working = async {
        let opened =
            stop.run_until_cancelled(patiently("open the grid", &starting, || infra::aws::open(&places))).await;
        let worked = match opened {
            Some(Ok(grid)) => manage_and_serve(&settings, &places, address, grid, &starting, (prices, &stop)).await,
            Some(Err(error)) => Err(error),
            None => Ok(()),
        };
        stop.cancel();
        worked
    };
    let ((), worked) = tokio::join!(serving, working);
    tracing::info!("stopped");
    worked
}

/// Waits until it is known that there is a token, where others than this machine could ask: before anybody can.
async fn may_listen(settings: &Settings, places: &infra::aws::Settings, starting: &Starting) -> anyhow::Result<()> {
    if settings.is_loopback() {
        return Ok(());
    }
    let has_tokens = patiently("look for tokens", starting, || has_tokens(places)).await?;
    anyhow::ensure!(
        has_tokens,
        "refusing to serve {} as long as there is no token: make one with `gridmill token create --scope admin`, or listen on \
         127.0.0.1",
        settings.listen
    );
    Ok(())
}

async fn has_tokens(places: &infra::aws::Settings) -> Result<bool, NotOpen> {
    let state = infra::aws::open_state(places).await?;
    let any = tokens::any(state.as_ref(), &SystemClock).await.map_err(|error| match error {
        ManagerError::Store(error) => error,
        other => Error::caused(ErrorKind::Invalid, "the rows of the tokens are damaged", other),
    });
    any.map_err(|error| NotOpen::by(BackEnd::State, error))
}

async fn listen(settings: &Settings) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(settings.listen).await;
    let listener = listener.with_context(|| format!("failed to listen on {}", settings.listen))?;
    let address = listener.local_addr().context("failed to tell the address that is listened on")?;
    if let Some(file) = &settings.listen_file {
        let written = std::fs::write(file, format!("{address}\n"));
        written.with_context(|| format!("failed to write {}", file.display()))?;
    }
    tracing::info!(%address, "listening");
    Ok((listener, address))
}

/// Tries again, later and later, what failed because something could not be reached.
async fn patiently<T, F: Future<Output = Result<T, NotOpen>>>(
    what: &str,
    starting: &Starting,
    call: impl Fn() -> F,
) -> anyhow::Result<T> {
    let mut wait = FIRST_WAIT;
    loop {
        // Asking all back ends at once makes a large future.
        match Box::pin(call()).await {
            Err(error) if error.is_transient() => {
                starting.waits_for(&error);
                let error = anyhow::Error::new(error);
                tracing::warn!("failed to {what}, trying again in {:.1} s: {error:#}", wait.as_secs_f64());
                sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            done => return done.with_context(|| format!("failed to {what}")),
        }
    }
}

/// Takes part in the grid until `stop`.
async fn manage_and_serve(
    settings: &Settings,
    places: &infra::aws::Settings,
    address: SocketAddr,
    grid: Grid,
    starting: &Starting,
    (prices, stop): (Arc<PriceList>, &CancellationToken),
) -> anyhow::Result<()> {
    let (progress, seen_progress) = watch::channel(Progress::default());
    let (role, seen_role) = watch::channel(Role::default());
    let api = Api::new(grid.clone(), settings.access(), settings.inputs(places), stop.clone());
    starting.is_open(router(Arc::new(api.watching(seen_progress, seen_role))));
    tracing::info!("the grid is open");
    let config = ManagerConfig {
        name: settings.name(address),
        seed: seed()?,
        agreements: settings.agreements()?,
        prices,
        fleet: settings.machines.open(&grid, |name| settings.place(name)).await?,
        ..ManagerConfig::across_machines()
    };
    manage(grid, config, progress, role, stop.clone()).await.context("failed to lead")
}

/// Managers that start at the same moment must not draw the same pauses.
fn seed() -> anyhow::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).context("the operating system gives no random bits")?;
    Ok(u64::from_le_bytes(bytes))
}

fn stop_on_signals(stop: &CancellationToken) -> anyhow::Result<()> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: answers in hand are given, and what was reported is written");
        stop.cancel();
    });
    Ok(())
}
