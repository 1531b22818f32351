//! TLS to a real Mosquitto, and certificates that are refused with a reason.

use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};

use crate::broker_doors::ingest;
use crate::harness::{Server, TempDir, eventually};
use crate::mosquitto::{Mosquitto, free_address};
use crate::plant;

/// An authority, and what it signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let (key, mut params) = (KeyPair::generate().unwrap(), named(name, Vec::new()));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// `NAME.pem` and `NAME.key` in a directory.
    fn sign(&self, dir: &Path, name: &str) {
        let key = KeyPair::generate().unwrap();
        let signed = named(name, vec![name.to_owned()]).signed_by(&key, &self.issuer).unwrap();
        std::fs::write(dir.join(format!("{name}.pem")), signed.pem()).unwrap();
        std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// A certificate's subject, which nobody else has: an issuer is found by it.
fn named(name: &str, hosts: Vec<String>) -> CertificateParams {
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A Mosquitto with a plain listener and one with TLS that wants certificates; the latter's port.
fn broker(dir: &Path) -> (Mosquitto, u16) {
    let (authority, port) = (Authority::new("plant authority"), free_address().port());
    authority.sign(dir, "localhost");
    authority.sign(dir, "ingest");
    std::fs::write(dir.join("ca.pem"), &authority.pem).unwrap();
    std::fs::write(dir.join("other-ca.pem"), Authority::new("other authority").pem).unwrap();
    let file = |name: &str| dir.join(name).display().to_string();
    let more = format!(
        "listener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n",
        file("ca.pem"),
        file("localhost.pem"),
        file("localhost.key")
    );
    (Mosquitto::start_with(dir, &more), port)
}

/// What the door says instead of being ready.
fn wait_for_reason(server: &Server, reason: &str) {
    eventually(reason, || {
        let answer = server.get("/readyz");
        answer.status == 503 && answer.text().contains(reason)
    });
}

#[test]
fn messages_come_over_tls_with_a_certificate_of_our_own_and_both_connections_stand() {
    let dir = TempDir::new("broker-tls");
    let bound = "zone = \"Asia/Shanghai\"\ntopics = [\"spBv1.0/TestPlant/#\"]";
    let registry = plant::registry("plant-a").replace("zone = \"Asia/Shanghai\"", bound);
    std::fs::create_dir_all(dir.path().join("pilots")).unwrap();
    std::fs::write(dir.path().join("pilots/plant-a.toml"), registry).unwrap();
    let (broker, port) = broker(dir.path());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let door = format!(
        "address = \"localhost:{port}\"\n[door.broker.tls]\nca = \"{}\"\ncertificate = \"{}\"\nkey = \"{}\"",
        file("ca.pem"),
        file("ingest.pem"),
        file("ingest.key")
    );
    let server = ingest(dir.path(), "tls", &door);
    eventually("the broker is connected", || server.get("/readyz").status == 200);
    let mut body =
        br#"{"at":1740787200000,"readings":[{"asset":"line-a/test","name":"good","product":"A12","value":1}]}"#
            .to_vec();
    broker.publish("pilotline/v1/plant-a/gw1", &body);
    eventually("a message over TLS", || server.count("committed") == 1);
    // More than one record of TLS, and more than any buffer on the way.
    body.resize(900_000, b' ');
    body[6..19].copy_from_slice(b"1740787260000");
    broker.publish("pilotline/v1/plant-a/gw1", &body);
    eventually("a large one", || server.count("committed") == 2);
    assert!(broker.retained("spBv1.0/STATE/pilotline").contains("true"));
    assert_eq!(server.terminate(), Some(0));
    assert!(broker.retained("spBv1.0/STATE/pilotline").contains("false"));
}

#[test]
fn a_certificate_that_does_not_fit_is_refused_and_the_door_says_why() {
    let dir = TempDir::new("broker-tls-refused");
    plant::write_registry(dir.path(), "plant-a");
    let (_broker, port) = broker(dir.path());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let tls = |host: &str, ca: &str| format!("address = \"{host}:{port}\"\n[door.broker.tls]\nca = \"{ca}\"");
    let other = file("other-ca.pem");
    let server = ingest(dir.path(), "other", &tls("localhost", &other));
    wait_for_reason(&server, "UnknownIssuer");
    wait_for_reason(&server, &other);
    let server = ingest(dir.path(), "name", &tls("127.0.0.1", &file("ca.pem")));
    wait_for_reason(&server, "certificate not valid for name");
    // Right on our side; the broker wants to know who we are. Here by the flags.
    let (data, pilots) = (file("data-flags"), file("pilots"));
    let (url, ca) = (format!("mqtts://localhost:{port}"), file("ca.pem"));
    let arguments = ["ingest", "--data", &data, "--pilots", &pilots, "--broker", &url, "--broker-ca", &ca];
    let server = Server::start(&arguments);
    wait_for_reason(&server, "CertificateRequired");
}

/// Publishes with a gateway's certificate; whether the broker took it is not said to it on MQTT 3.1.1.
fn publish_as(dir: &Path, port: u16, gateway: &str, topic: &str, payload: &str) {
    let mut client = Command::new("mosquitto_pub");
    client.args([
        "-h",
        "localhost",
        "-p",
        &port.to_string(),
        "-q",
        "1",
        "-t",
        topic,
        "-m",
        payload,
        "--cafile",
        "ca.pem",
    ]);
    client.args(["--cert", &format!("{gateway}.pem"), "--key", &format!("{gateway}.key")]);
    assert!(client.current_dir(dir).status().unwrap().success());
}

#[test]
fn the_settings_that_are_shipped_take_a_gateway_by_its_certificate_and_keep_it_to_its_own_topic() {
    let dir = TempDir::new("broker-shipped");
    plant::write_registry(dir.path(), "plant-a");
    let (authority, address) = (Authority::new("plant authority"), free_address());
    std::fs::write(dir.path().join("ca.pem"), &authority.pem).unwrap();
    for name in ["localhost", "ingest", "gw1", "gw2"] {
        authority.sign(dir.path(), name);
    }
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/broker");
    std::fs::copy(shipped.join("acl"), dir.path().join("acl")).unwrap();
    let settings = std::fs::read_to_string(shipped.join("mosquitto.conf")).unwrap();
    let here = settings.replace("listener 8883", &format!("listener {} 127.0.0.1", address.port()));
    let here = here.replace("server.", "localhost.");
    let more = format!("{here}\nuser root\npersistence_location {}/\n", dir.path().display());
    let _broker = Mosquitto::start_as(dir.path(), address, &more);
    let file = |name: &str| dir.path().join(name).display().to_string();
    let door = format!(
        "address = \"localhost:{}\"\n[door.broker.tls]\nca = \"{}\"\ncertificate = \"{}\"\nkey = \"{}\"",
        address.port(),
        file("ca.pem"),
        file("ingest.pem"),
        file("ingest.key")
    );
    let server = ingest(dir.path(), "shipped", &door);
    eventually("the broker is connected", || server.get("/readyz").status == 200);
    let piece = |at: u64| {
        format!(r#"{{"at":{at},"readings":[{{"asset":"line-a/test","name":"good","product":"A12","value":1}}]}}"#)
    };
    let topic = "pilotline/v1/plant-a/gw1";
    publish_as(dir.path(), address.port(), "gw2", topic, &piece(1_740_787_200_000));
    publish_as(dir.path(), address.port(), "gw1", topic, &piece(1_740_787_260_000));
    eventually("the gateway's own message", || server.count("committed") == 1);
    assert_eq!(server.count("received"), 1, "nobody publishes on the topic of another");
}
