//! A proxy between a process and Postgres, which cuts, stalls and loses on command.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::wire::{Backend, Frontend, Kind, UnderWay};

/// What becomes of bytes and of new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All pass.
    Open,
    /// None is let in; those there are have been cut.
    Shut,
    /// Connections are accepted and stay open, and nothing passes.
    Hole,
}

/// What every connection watches.
#[derive(Debug, Clone, Copy)]
struct State {
    mode: Mode,
    /// Connections of earlier generations than this are cut.
    cut_before: u32,
    /// Connections of earlier generations than this stay open, and nothing passes on them any more.
    dead_before: u32,
}

#[derive(Debug)]
struct Control {
    upstream: AtomicU16,
    generation: AtomicU32,
    state: watch::Sender<State>,
    /// The next commit of this kind takes effect, and its answer is lost with the connection.
    lose: Mutex<Option<Kind>>,
    lost: AtomicU32,
}

/// One listening port in front of Postgres.
#[derive(Debug, Clone)]
pub struct Proxy {
    pub port: u16,
    control: Arc<Control>,
}

impl Proxy {
    pub async fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = watch::Sender::new(State { mode: Mode::Open, cut_before: 0, dead_before: 0 });
        let control = Arc::new(Control {
            upstream: AtomicU16::new(upstream),
            generation: AtomicU32::new(0),
            state,
            lose: Mutex::default(),
            lost: AtomicU32::new(0),
        });
        let at_door = Arc::clone(&control);
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                tokio::spawn(Arc::clone(&at_door).connect(client));
            }
        });
        Self { port, control }
    }

    /// Postgres listens there from now on.
    pub fn leads_to(&self, upstream: u16) {
        self.control.upstream.store(upstream, Ordering::Relaxed);
    }

    pub fn set(&self, mode: Mode) {
        self.control.state.send_modify(|state| state.mode = mode);
    }

    /// Cuts every connection there is.
    pub fn cut(&self) {
        let next = self.control.generation.fetch_add(1, Ordering::Relaxed) + 1;
        self.control.state.send_modify(|state| state.cut_before = next);
    }

    /// From now on nothing passes on the connections there are, as after a failover that nobody tells of; new ones are good.
    pub fn forget(&self) {
        let next = self.control.generation.fetch_add(1, Ordering::Relaxed) + 1;
        self.control.state.send_modify(|state| state.dead_before = next);
    }

    /// Cuts what nothing passes on.
    pub fn bury(&self) {
        self.control.state.send_modify(|state| state.cut_before = state.cut_before.max(state.dead_before));
    }

    /// Lets the next commit of this kind take effect and loses the answer; `None` takes the order back.
    pub fn lose(&self, kind: Option<Kind>) {
        *self.control.lose.lock().unwrap() = kind;
    }

    /// How many answers were lost so far.
    pub fn lost(&self) -> u32 {
        self.control.lost.load(Ordering::Relaxed)
    }
}

impl Control {
    async fn connect(self: Arc<Self>, client: TcpStream) {
        let generation = self.generation.load(Ordering::Relaxed);
        let mut gate = Gate { generation, state: self.state.subscribe() };
        let cut = {
            let mut gate = gate.clone();
            async move { gate.cut().await }
        };
        let pass = async {
            gate.open().await;
            let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, self.upstream.load(Ordering::Relaxed)));
            let Ok(server) = TcpStream::connect(upstream).await else { return };
            drop((client.set_nodelay(true), server.set_nodelay(true)));
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            let under_way = UnderWay::default();
            let out = outwards(from_client, to_server, gate.clone(), Frontend::new(under_way.clone()));
            let back = self.backwards(from_server, to_client, gate.clone(), Backend::new(under_way));
            tokio::select! {
                () = out => {}
                () = back => {}
            }
        };
        tokio::select! {
            () = cut => {}
            () = pass => {}
        }
    }

    async fn backwards(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut gate: Gate, mut wire: Backend) {
        let mut chunk = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut chunk).await {
            gate.open().await;
            let committed = wire.feed(&chunk[..read]);
            {
                let mut lose = self.lose.lock().unwrap();
                if lose.is_some_and(|kind| committed.contains(&kind)) {
                    *lose = None;
                    self.lost.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
            if to.write_all(&chunk[..read]).await.is_err() {
                return;
            }
        }
    }
}

async fn outwards(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut gate: Gate, mut wire: Frontend) {
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        gate.open().await;
        wire.feed(&chunk[..read]);
        if to.write_all(&chunk[..read]).await.is_err() {
            return;
        }
    }
}

/// What one connection is subject to.
#[derive(Debug, Clone)]
struct Gate {
    generation: u32,
    state: watch::Receiver<State>,
}

impl Gate {
    /// Waits until bytes may pass.
    async fn open(&mut self) {
        let own = self.generation;
        let passes = |state: &State| state.mode == Mode::Open && own >= state.dead_before;
        drop(self.state.wait_for(passes).await);
    }

    /// Waits until the connection is cut.
    async fn cut(&mut self) {
        let own = self.generation;
        let ends = |state: &State| state.mode == Mode::Shut || own < state.cut_before;
        drop(self.state.wait_for(ends).await);
    }
}
