//! Three Postgres servers on loopback, of which one is the primary and the others are standbys that it waits for: a commit is answered
//! when one of them has it as well. Roles change at the test's word, as a cluster manager would change them.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// The servers, by name as well: a primary waits for any one of the others.
const NAMES: [&str; 3] = ["one", "two", "three"];
/// Whoever may start Postgres, where root runs the tests.
const ACCOUNT: &str = "postgres";
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Cluster {
    /// Where the data lies.
    _folder: TempDir,
    nodes: [Node; 3],
}

struct Node {
    name: &'static str,
    port: u16,
    data: PathBuf,
    is_up: bool,
}

impl Cluster {
    /// The first is the primary.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tidings-cluster-").tempdir().expect("a folder");
        run(Command::new("chmod").arg("755").arg(folder.path()));
        let nodes = NAMES.map(|name| {
            let data = folder.path().join(name);
            run(Command::new("mkdir").args(["-m", "700"]).arg(&data));
            if is_root() {
                run(Command::new("chown").arg(ACCOUNT).arg(&data));
            }
            Node { name, port: free_port(), data, is_up: false }
        });
        let mut cluster = Self { _folder: folder, nodes };
        let first = &cluster.nodes[0];
        run(tool("initdb")
            .args(["-U", "tidings", "-A", "trust", "-E", "UTF8", "--locale=C", "-N", "-D"])
            .arg(&first.data));
        // Without a disk that loses power, a server that is killed loses nothing that it wrote.
        first.configure(
            "fsync = off\nmax_connections = 200\nwal_level = replica\nwal_log_hints = on\nwal_keep_size = 1GB\n",
        );
        cluster.up(0);
        for standby in [1, 2] {
            let (from, to) = (cluster.nodes[0].port.to_string(), &cluster.nodes[standby].data);
            run(tool("pg_basebackup")
                .args(["-h", "127.0.0.1", "-U", "tidings", "-c", "fast", "-p", &from, "-D"])
                .arg(to));
            cluster.follow(standby, 0);
            cluster.up(standby);
        }
        cluster.wait_for_standbys(0).await;
        cluster
    }

    /// Names every server.
    pub fn url(&self) -> String {
        let hosts = self.nodes.each_ref().map(|node| format!("127.0.0.1:{}", node.port)).join(",");
        format!("postgres://tidings@{hosts}/postgres")
    }

    /// Names one.
    pub fn url_of(&self, node: usize) -> String {
        format!("postgres://tidings@127.0.0.1:{}/postgres", self.nodes[node].port)
    }

    /// Kills a server and all of its processes.
    pub fn kill(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        let file = std::fs::read_to_string(node.data.join("postmaster.pid")).expect("a running server");
        let pid = file.lines().next().and_then(|line| line.parse().ok()).and_then(Pid::from_raw).expect("its number");
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", pid.as_raw_nonzero()));
        kill_process(pid, Signal::KILL).expect("killed");
        let children = children.unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?)) {
            let _ = kill_process(child, Signal::KILL);
        }
        node.is_up = false;
    }

    /// Of the servers that run, the one that has received most: everything that was answered is there.
    pub async fn most_advanced(&self, standbys: [usize; 2]) -> usize {
        let mut places = Vec::new();
        for standby in standbys {
            // Nothing is received any more once the primary is gone, but it may be written still.
            let place: i64 = self.value(standby, "SELECT (pg_last_wal_receive_lsn() - '0/0')::bigint").await;
            places.push((place, standby));
        }
        places.into_iter().max().expect("two").1
    }

    /// Makes a standby the primary and returns when it takes writes. The other one follows it from then on.
    pub async fn promote(&mut self, node: usize, other: usize) {
        self.say(node, "SELECT pg_promote()").await;
        let port = self.nodes[node].port;
        let connect = format!("host=127.0.0.1 port={port} user=tidings application_name={}", self.nodes[other].name);
        self.say(other, &format!("ALTER SYSTEM SET primary_conninfo = '{connect}'")).await;
        self.say(other, "SELECT pg_reload_conf()").await;
    }

    /// Lets the sessions of a server only read from now on, as one does to a primary before another takes its place.
    pub async fn fence(&self, node: usize) {
        self.say(node, "ALTER SYSTEM SET default_transaction_read_only = on").await;
        self.say(node, "SELECT pg_reload_conf()").await;
    }

    /// Stops what was the primary, takes back what it wrote since another one is, and starts it as a standby of that.
    pub async fn demote(&mut self, node: usize, primary: usize) {
        let data = &self.nodes[node].data;
        run(tool("pg_ctl").args(["-w", "-m", "fast", "stop", "-D"]).arg(data));
        self.say(primary, "CHECKPOINT").await;
        let source = format!("host=127.0.0.1 port={} user=tidings dbname=postgres", self.nodes[primary].port);
        run(tool("pg_rewind").args(["--source-server", &source, "--target-pgdata"]).arg(data));
        self.follow(node, primary);
        self.up(node);
    }

    fn follow(&self, node: usize, primary: usize) {
        let (node, port) = (&self.nodes[node], self.nodes[primary].port);
        let name = node.name;
        node.configure(&format!(
            "primary_conninfo = 'host=127.0.0.1 port={port} user=tidings application_name={name}'\n"
        ));
        std::fs::write(node.data.join("standby.signal"), "").expect("written");
    }

    fn up(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        let options = format!("-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''", node.port);
        let log = node.data.join("server.log");
        let mut start = tool("pg_ctl");
        start.args(["-w", "-l"]).arg(&log).args(["-o", &options, "start", "-D"]).arg(&node.data);
        // What it leaves running must not hold on to a pipe.
        let started = start.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("a program");
        assert!(started.success(), "{}", std::fs::read_to_string(&log).unwrap_or_default());
        node.is_up = true;
    }

    /// Waits until all standbys that run follow, and then for one of them with each commit.
    pub async fn wait_for_standbys(&self, primary: usize) {
        let others = self.nodes.iter().enumerate().filter(|(index, node)| *index != primary && node.is_up).count();
        let end = Instant::now() + PATIENCE;
        let following = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        while usize::try_from(self.value(primary, following).await).expect("few") < others {
            assert!(Instant::now() < end, "the standbys do not follow");
            sleep(Duration::from_millis(50)).await;
        }
        self.say(primary, &format!("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ({})'", NAMES.join(", ")))
            .await;
        self.say(primary, "SELECT pg_reload_conf()").await;
        let waits = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'";
        while self.value(primary, waits).await == 0 {
            assert!(Instant::now() < end, "nobody is waited for");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// What a statement answers, as a number.
    pub async fn value(&self, node: usize, statement: &str) -> i64 {
        let mut connection = PgConnection::connect(&self.url_of(node)).await.expect("the server");
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement.to_owned())).fetch_one(&mut connection).await.expect("a value")
    }

    async fn say(&self, node: usize, statement: &str) {
        let mut connection = PgConnection::connect(&self.url_of(node)).await.expect("the server");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.expect("done");
    }
}

impl Node {
    /// The last word counts.
    fn configure(&self, lines: &str) {
        let file = self.data.join("postgresql.auto.conf");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        std::fs::write(&file, text + lines).expect("written");
        if is_root() {
            run(Command::new("chown").arg("-R").arg(ACCOUNT).arg(&self.data));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in self.nodes.iter().filter(|node| node.is_up) {
            drop(tool("pg_ctl").args(["-m", "immediate", "stop", "-D"]).arg(&node.data).output());
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A program of the newest installed Postgres, run by somebody whom Postgres lets.
fn tool(name: &str) -> Command {
    let path = newest().join(name);
    if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups"]).arg(path).current_dir("/");
        command
    } else {
        Command::new(path)
    }
}

fn newest() -> PathBuf {
    if let Some(folder) = std::env::var_os("PG_BIN_DIR") {
        return folder.into();
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path());
    let number = |path: &Path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let newest = versions.filter(|path| path.join("bin/pg_basebackup").exists()).max_by_key(|path| number(path));
    newest.expect("an installed Postgres; PG_BIN_DIR names the folder of another").join("bin")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("a program");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
