//! A real Mosquitto on a free port, over a directory of its own, and its command-line clients.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::harness::eventually;

/// A running broker; killed when dropped.
pub(crate) struct Mosquitto {
    child: Child,
    pub(crate) address: SocketAddr,
    config: PathBuf,
}

/// An address that nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Mosquitto {
    /// Queues without a bound, sessions on disk, messages up to 4 MiB.
    pub(crate) fn start(dir: &Path) -> Mosquitto {
        Mosquitto::start_with(dir, "")
    }

    /// The same with more lines in its configuration.
    pub(crate) fn start_with(dir: &Path, more: &str) -> Mosquitto {
        let address = free_address();
        let text = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\npersistence_location {}/\n\
             max_queued_messages 0\nmax_inflight_messages 1000\nmax_packet_size 4194304\n{more}",
            address.port(),
            dir.display()
        );
        Mosquitto::start_as(dir, address, &text)
    }

    /// A configuration of one's own, for a listener on this address; files are named from the directory.
    pub(crate) fn start_as(dir: &Path, address: SocketAddr, text: &str) -> Mosquitto {
        let config = dir.join("mosquitto.conf");
        std::fs::write(&config, text).unwrap();
        let child = Mosquitto::spawn(&config, address);
        Mosquitto { child, address, config }
    }

    fn spawn(config: &Path, address: SocketAddr) -> Child {
        let mut mosquitto = Command::new("mosquitto");
        mosquitto.current_dir(config.parent().unwrap());
        let mut child = mosquitto.arg("-c").arg(config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually("mosquitto listens", || {
            assert!(child.try_wait().unwrap().is_none(), "mosquitto refuses {}", config.display());
            TcpStream::connect(address).is_ok()
        });
        child
    }

    /// SIGTERM, which saves every session; `forget` then removes what was saved.
    pub(crate) fn restart(&mut self, forget: bool) {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(killed.success());
        self.child.wait().unwrap();
        if forget {
            std::fs::remove_file(self.config.with_file_name("mosquitto.db")).unwrap();
        }
        self.child = Mosquitto::spawn(&self.config, self.address);
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    fn client(&self, program: &str) -> Command {
        let mut client = Command::new(program);
        client.args(["-h", "127.0.0.1", "-p", &self.address.port().to_string()]);
        client
    }

    pub(crate) fn publish(&self, topic: &str, payload: &[u8]) {
        self.publish_at(1, topic, payload);
    }

    pub(crate) fn publish_at(&self, qos: u8, topic: &str, payload: &[u8]) {
        let file = self.config.with_file_name("payload");
        std::fs::write(&file, payload).unwrap();
        let mut client = self.client("mosquitto_pub");
        client.args(["-V", "5", "-q", &qos.to_string(), "-t", topic, "-f"]);
        assert!(client.arg(file).status().unwrap().success());
    }

    /// One message per line, in one connection.
    pub(crate) fn publish_lines(&self, qos: u8, topic: &str, lines: &[u8]) {
        let mut client = self.publisher(qos, topic);
        client.stdin.take().unwrap().write_all(lines).unwrap();
        assert!(client.wait().unwrap().success());
    }

    /// Publishes what is written to its standard input, a message per line, until that ends.
    pub(crate) fn publisher(&self, qos: u8, topic: &str) -> Child {
        let mut client = self.client("mosquitto_pub");
        client.args(["-V", "5", "-q", &qos.to_string(), "-t", topic, "-l"]);
        client.stdin(Stdio::piped()).spawn().unwrap()
    }

    /// Listens for the next messages from now on, and gives them as text once all have come.
    pub(crate) fn listen(&self, topic: &str, n: usize) -> Heard {
        let mut client = Command::new("stdbuf"); // Line by line, though into a pipe.
        client.args(["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", &self.address.port().to_string()]);
        client.args(["-t", topic, "-q", "1", "-C", &n.to_string(), "-W", "60", "-F", "%t %p", "-d"]);
        let mut child = client.stdout(Stdio::piped()).spawn().unwrap();
        // With -d it says when its subscription stands; before that a message could be missed.
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        let subscribed = lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("Subscribed"));
        assert!(subscribed, "mosquitto_sub could not subscribe to {topic}");
        Heard { child, lines: Box::new(lines.map_while(Result::ok)), topic: topic.to_owned() }
    }

    /// The retained message of a topic.
    pub(crate) fn retained(&self, topic: &str) -> String {
        let mut client = self.client("mosquitto_sub");
        let Output { stdout, .. } = client.args(["-t", topic, "-C", "1", "-W", "10"]).output().unwrap();
        String::from_utf8(stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A subscription whose messages are awaited.
pub(crate) struct Heard {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
    topic: String,
}

impl Heard {
    /// `topic payload` of each message; payloads with line ends are cut there.
    pub(crate) fn wait(mut self) -> Vec<String> {
        let said: Vec<String> = self.lines.by_ref().filter(|line| !line.starts_with("Client ")).collect();
        assert!(self.child.wait().unwrap().success(), "not all came on {}: {said:?}", self.topic);
        said
    }
}
