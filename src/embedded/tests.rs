//! The private Postgres over its life: started, shared, killed, started again. Each against the real programs.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpgid, kill_process};
use tempfile::TempDir;

use super::account::Account;
use super::postmaster::{Holder, Postmaster, holder};
use super::{Config, DATABASE, EmbeddedError, Server};

/// A data folder of a test. What still runs in it when the test ends, well or badly, is killed.
struct Home {
    dir: TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        // Whatever the umask says: as root we run Postgres as somebody else.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
        Self { dir }
    }

    fn config(&self) -> Config {
        Config { start_timeout: Duration::from_mins(1), ..Config::new(self.dir.path().join("data")) }
    }

    async fn start(&self) -> Server {
        Server::start(&self.config()).await.expect("a server")
    }

    fn postgres(&self) -> std::path::PathBuf {
        self.dir.path().join("data/postgres")
    }

    fn pid_file(&self) -> Option<Postmaster> {
        Postmaster::read(&self.postgres()).ok().flatten()
    }

    fn runs(&self, pid: u32) -> bool {
        holder(pid, &self.postgres().canonicalize().expect("a folder")) == Holder::Postgres
    }

    async fn kill(&self, server: &Server) {
        signal(server.postmaster_pid(), Signal::KILL);
        while self.runs(server.postmaster_pid()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let Ok(postgres) = self.postgres().canonicalize() else { return };
        if let Ok(Some(left)) = Postmaster::live(&postgres) {
            // The immediate shutdown, which takes the children along.
            signal(left.pid, Signal::QUIT);
            while holder(left.pid, &postgres) == Holder::Postgres {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

fn signal(pid: u32, signal: Signal) {
    kill_process(process(pid), signal).expect("a signal");
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("a process id")
}

/// Asks the server with `psql`, where it is installed beside it; the store's tests ask with sqlx.
fn ask(server: &Server, sql: &str) -> Option<String> {
    let output = Command::new("psql").args([&server.url(DATABASE), "-XAtc", sql]).output().ok()?;
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    Some(text.trim().to_owned())
}

#[tokio::test]
async fn a_cold_start_gives_a_server_and_stop_ends_it() {
    let home = Home::new();
    let leftover = home.dir.path().join("data/postgres.new-0badf00d");
    fs::create_dir_all(&leftover).expect("what an interrupted start leaves");
    let server = home.start().await;
    let pid = server.postmaster_pid();
    assert!(home.runs(pid) && !leftover.exists());
    assert_eq!(getpgid(Some(process(pid))).expect("a group"), process(pid), "Ctrl-C does not reach it");
    assert!(home.pid_file().expect("a pid file").answers().await.is_some());
    let settings = ["fsync", "jit", "backend_flush_after"].map(|name| format!("current_setting('{name}')")).join(", ");
    if let Some(answer) = ask(&server, &format!("select current_user, {settings}")) {
        assert_eq!(answer, "tidings|on|off|512kB");
    }
    server.stop().await.expect("stopped");
    assert!(!home.runs(pid));
    assert_eq!(home.pid_file(), None);
}

#[tokio::test]
async fn a_warm_start_finds_the_data_and_the_password_of_before() {
    let home = Home::new();
    let first = home.start().await;
    let password = |server: &Server| server.url("").split(['@']).next().map(str::to_owned);
    let before = password(&first);
    ask(&first, "create table kept as select 7 as n");
    first.stop().await.expect("stopped");

    let again = home.start().await;
    assert_eq!(password(&again), before);
    if let Some(answer) = ask(&again, "select n from kept") {
        assert_eq!(answer, "7");
    }
    again.stop().await.expect("stopped");
}

#[tokio::test]
async fn the_last_of_several_users_stops_the_server() {
    let home = Home::new();
    let first = home.start().await;
    let second = home.start().await;
    let pid = first.postmaster_pid();
    assert_eq!(second.postmaster_pid(), pid);
    assert_eq!(second.url(DATABASE), first.url(DATABASE));

    first.stop().await.expect("let go");
    assert!(home.runs(pid), "the second one still uses it");
    second.stop().await.expect("stopped");
    assert!(!home.runs(pid));
}

#[tokio::test]
async fn two_that_start_at_once_share_one_server() {
    let home = Home::new();
    let config = home.config();
    let (first, second) = tokio::join!(Server::start(&config), Server::start(&config));
    let (first, second) = (first.expect("a server"), second.expect("a server"));
    assert_eq!(first.postmaster_pid(), second.postmaster_pid());
    let (one, other) = tokio::join!(first.stop(), second.stop());
    one.and(other).expect("stopped");
    assert_eq!(home.pid_file(), None);
}

#[tokio::test]
async fn a_user_that_just_vanishes_leaves_the_server_to_the_next() {
    let home = Home::new();
    let vanished = home.start().await;
    let pid = vanished.postmaster_pid();
    drop(vanished);
    let next = home.start().await;
    assert_eq!(next.postmaster_pid(), pid);
    next.stop().await.expect("stopped");
    assert!(!home.runs(pid));
}

#[tokio::test]
async fn after_a_crash_of_postgres_the_next_start_recovers() {
    let home = Home::new();
    let crashed = home.start().await;
    ask(&crashed, "create table kept as select 7 as n");
    home.kill(&crashed).await;
    assert!(home.pid_file().is_some(), "a killed server leaves its file");

    let again = home.start().await;
    assert_ne!(again.postmaster_pid(), crashed.postmaster_pid());
    if let Some(answer) = ask(&again, "select n from kept") {
        assert_eq!(answer, "7");
    }
    crashed.stop().await.expect("let go");
    assert!(home.runs(again.postmaster_pid()), "a share in the crashed one does not stop its successor");
    again.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_stale_pid_file_that_names_another_program_is_no_obstacle() {
    let home = Home::new();
    home.start().await.stop().await.expect("stopped");
    let stale = format!("{}\n{}\n1700000000\n1\n\n127.0.0.1\n\nready\n", std::process::id(), home.postgres().display());
    fs::write(home.postgres().join("postmaster.pid"), stale).expect("a file");
    home.start().await.stop().await.expect("stopped");
}

#[tokio::test]
async fn it_listens_on_the_loopback_alone_whatever_the_settings_say() {
    let home = Home::new();
    let mut config = home.config();
    config.settings = [("listen_addresses", "*"), ("work_mem", "5MB")].map(|(k, v)| (k.into(), v.into())).to_vec();
    let server = Server::start(&config).await.expect("a server");
    let file = fs::read_to_string(home.postgres().join("postmaster.pid")).expect("a pid file");
    let line = |number: usize| file.lines().nth(number - 1).map(str::trim);
    assert_eq!((line(5), line(6)), (Some(""), Some("127.0.0.1")), "no socket folder, one address");
    if let Some(answer) = ask(&server, "show work_mem") {
        assert_eq!(answer, "5MB");
    }
    server.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_setting_that_postgres_refuses_is_told_with_its_log() {
    let home = Home::new();
    let config = Config { settings: vec![("no_such_setting".into(), "1".into())], ..home.config() };
    let message = Server::start(&config).await.expect_err("refused").to_string();
    assert!(message.contains("no_such_setting") && message.contains("postgres.log"), "{message}");
}

#[tokio::test]
async fn data_without_their_password_and_binaries_that_do_not_fit_are_told() {
    let home = Home::new();
    home.start().await.stop().await.expect("stopped");
    let elsewhere = Config { bin_dir: Some(home.dir.path().to_owned()), ..home.config() };
    let message = Server::start(&elsewhere).await.expect_err("no binaries there").to_string();
    assert!(message.starts_with("PG_BIN_DIR names") && message.contains("`initdb` is not there"), "{message}");

    fs::remove_file(home.dir.path().join("data/password")).expect("removed");
    let error = Server::start(&home.config()).await.expect_err("no password");
    assert!(matches!(error, EmbeddedError::NoPassword { .. }), "{error}");
}

#[tokio::test]
async fn as_root_a_folder_that_only_root_can_enter_is_refused_before_anything_is_made() {
    if Account::of_server().expect("an account") == Account::Own {
        return;
    }
    let shut = tempfile::tempdir().expect("a folder");
    fs::set_permissions(shut.path(), fs::Permissions::from_mode(0o700)).expect("a mode");
    let error = Server::start(&Config::new(shut.path().join("data"))).await.expect_err("out of reach");
    assert!(matches!(&error, EmbeddedError::Unreachable { barrier, .. } if barrier == shut.path()), "{error}");
    assert!(!shut.path().join("data").exists());
}

#[tokio::test]
async fn as_root_the_data_of_an_ordinary_user_stay_that_users() {
    if Account::of_server().expect("an account") == Account::Own {
        return;
    }
    let home = Home::new();
    home.start().await.stop().await.expect("stopped");
    let owner = "54321:54321";
    assert!(Command::new("chown").args(["-R", owner]).arg(home.dir.path()).status().expect("chown").success());
    home.start().await.stop().await.expect("stopped");
    let ours = ["postgres", "postgres.log", "password", "start.lock", "users.lock"];
    for name in ours {
        let meta = fs::metadata(home.dir.path().join("data").join(name)).expect(name);
        assert_eq!(meta.uid(), 54_321, "{name}");
    }
}

/// Prints how long the ways to a server take: `cargo test --lib embedded -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn how_long_the_starts_take() {
    let home = Home::new();
    for way in ["cold", "warm", "warm"] {
        let begun = Instant::now();
        let server = home.start().await;
        println!("{way}: {:?}", begun.elapsed());
        let begun = Instant::now();
        let second = home.start().await;
        println!("attach: {:?}", begun.elapsed());
        second.stop().await.expect("let go");
        let begun = Instant::now();
        server.stop().await.expect("stopped");
        println!("stop: {:?}", begun.elapsed());
    }
    let killed = home.start().await;
    home.kill(&killed).await;
    let begun = Instant::now();
    let server = home.start().await;
    println!("after a crash: {:?}", begun.elapsed());
    server.stop().await.expect("stopped");
}
