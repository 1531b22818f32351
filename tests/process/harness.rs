//! Starts the real binary on free ports over a directory of its own, talks HTTP to it, kills it, starts it again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a test waits for anything before it says that it did not come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A directory under the system's temporary one, removed when dropped.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new(name: &str) -> TempDir {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let n = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("pilotline-test-{}-{n}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        TempDir(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running `pilotline`.
pub(crate) struct Server {
    child: Child,
    pub(crate) mqtt: SocketAddr,
    pub(crate) http: SocketAddr,
    /// What it prints to standard output after it is ready.
    output: mpsc::Receiver<String>,
}

impl Server {
    /// `pilotline run` over `dir/data` and `dir/pilots`, on free ports.
    pub(crate) fn run(dir: &Path) -> Server {
        let (data, pilots) = (dir.join("data"), dir.join("pilots"));
        std::fs::create_dir_all(&pilots).unwrap();
        Server::start(&["run", "--data", data.to_str().unwrap(), "--pilots", pilots.to_str().unwrap()])
    }

    /// Any server command, on free ports.
    pub(crate) fn start(arguments: &[&str]) -> Server {
        Server::start_on(arguments, "127.0.0.1:0", "127.0.0.1:0")
    }

    /// Any server command, on these addresses.
    pub(crate) fn start_on(arguments: &[&str], mqtt: &str, http: &str) -> Server {
        let mut child =
            pilotline(arguments).args(["--mqtt", mqtt, "--http", http]).stdout(Stdio::piped()).spawn().unwrap();
        let (lines, output) = start_up_lines(&mut child);
        let address = |prefix: &str| {
            let line = lines.iter().find_map(|line| line.strip_prefix(prefix));
            let line = line.unwrap_or_else(|| panic!("no line `{prefix}…` in {lines:?}"));
            line.trim_end_matches('/').parse().unwrap()
        };
        Server { mqtt: address("mqtt "), http: address("open http://"), child, output }
    }

    /// Waits for a line on standard output that begins with `prefix`.
    pub(crate) fn wait_for_line(&self, prefix: &str) -> String {
        let started = Instant::now();
        loop {
            let patience = PATIENCE.saturating_sub(started.elapsed());
            match self.output.recv_timeout(patience) {
                Ok(line) if line.starts_with(prefix) => return line,
                Ok(_other) => {}
                Err(error) => panic!("no line `{prefix}…` within {PATIENCE:?}: {error}"),
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and wait for the end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; gives the exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("pilotline did not stop within {PATIENCE:?} of SIGTERM");
    }

    /// GET, and the answer whatever its status.
    pub(crate) fn get(&self, path: &str) -> Answer {
        get(self.http, path, &[])
    }

    /// GET of JSON that must answer 200.
    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// The numbers of `/api/v1/status`.
    pub(crate) fn count(&self, field: &str) -> u64 {
        self.json("/api/v1/status")[field].as_u64().unwrap_or_else(|| panic!("status has no `{field}`"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary under test with arguments.
pub(crate) fn pilotline(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilotline"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command of the binary to its end: exit code, standard output, standard error.
pub(crate) fn ran(arguments: &[&str]) -> (i32, String, String) {
    let output = pilotline(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// Reads standard output up to the line `open http://…`, which is the last start-up line; the rest comes over the channel.
fn start_up_lines(child: &mut Child) -> (Vec<String>, mpsc::Receiver<String>) {
    let output = BufReader::new(child.stdout.take().unwrap());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut lines = Vec::new();
    loop {
        match receiver.recv_timeout(PATIENCE) {
            Ok(line) => {
                let last = line.starts_with("open http://");
                lines.push(line);
                if last {
                    return (lines, receiver);
                }
            }
            Err(error) => panic!("pilotline did not start ({error}); it said {lines:?}"),
        }
    }
}

/// An HTTP answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// GET with extra header lines.
pub(crate) fn get(http: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let extra: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{extra}\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("an HTTP head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let raw = bytes[end + 4..].to_vec();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Answer { status, body: if chunked { unchunk(&raw) } else { raw } }
}

/// The body of a chunked answer.
fn unchunk(mut raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = raw.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..end]).unwrap().trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend_from_slice(&raw[end + 2..end + 2 + size]);
        raw = &raw[end + 4 + size..];
    }
    body
}

/// Waits for a condition; says what did not come.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
