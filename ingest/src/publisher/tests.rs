//! The client against a small server of the test's own, which may close the connection whenever it likes.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// One MQTT packet: its first byte and its body.
async fn packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let first = stream.read_u8().await.ok()?;
    let (mut length, mut shift) = (0usize, 0);
    loop {
        let byte = stream.read_u8().await.ok()?;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((first, body))
}

/// Topic, packet id and payload of a QoS 1 PUBLISH.
fn parts(body: &[u8], version: MqttVersion) -> (String, [u8; 2], Vec<u8>) {
    let n = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let properties = match version {
        MqttVersion::V311 => 0,
        MqttVersion::V5 => 1 + usize::from(body[4 + n]),
    };
    let topic = String::from_utf8(body[2..2 + n].to_vec()).unwrap();
    (topic, [body[2 + n], body[3 + n]], body[4 + n + properties..].to_vec())
}

/// Acknowledges every message, but closes the connection instead at every `drop_every`-th one.
async fn serve(listener: TcpListener, version: MqttVersion, drop_every: usize, seen: Arc<Mutex<Vec<String>>>) {
    let mut n = 0;
    while let Ok((mut stream, _)) = listener.accept().await {
        while let Some((first, body)) = packet(&mut stream).await {
            let reply: Vec<u8> = match (first >> 4, version) {
                (1, MqttVersion::V311) => vec![0x20, 2, 0, 0],
                (1, MqttVersion::V5) => vec![0x20, 3, 0, 0, 0],
                (3, _) => {
                    n += 1;
                    if n % drop_every == 0 {
                        break;
                    }
                    let (topic, [high, low], _) = parts(&body, version);
                    seen.lock().unwrap().push(topic);
                    vec![0x40, 2, high, low]
                }
                _ => continue,
            };
            if stream.write_all(&reply).await.is_err() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn every_message_is_acknowledged_though_the_server_drops_connections() {
    for version in [MqttVersion::V311, MqttVersion::V5] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let server = tokio::spawn(serve(listener, version, 90, Arc::clone(&seen)));
        let config = PublisherConfig { version, in_flight_max: 20, ..PublisherConfig::new("127.0.0.1", port, "c") };
        let messages = (0..200).map(|n| (format!("t/{n}"), Bytes::from(vec![b'x'; n * 50])));
        let mut n_progress = 0;
        let published = publish(&config, messages, |_| n_progress += 1).await.unwrap();
        assert_eq!((published.acknowledged, published.refused, n_progress), (200, 0, 200));
        assert!(published.reconnects > 0);
        let mut seen = seen.lock().unwrap().clone();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 200);
        server.abort();
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_by_name() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let give_up_after = Duration::from_millis(100);
    let config = PublisherConfig { give_up_after, ..PublisherConfig::new("127.0.0.1", port, "c") };
    let error = publish(&config, std::iter::once(("t".to_owned(), Bytes::new())), |_| {}).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("no answer from `127.0.0.1:{port}`")), "{error}");
}

#[tokio::test]
async fn a_refused_login_ends_publishing_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        packet(&mut stream).await.unwrap();
        stream.write_all(&[0x20, 2, 0, 5]).await.unwrap();
        packet(&mut stream).await
    });
    let config = PublisherConfig::new("127.0.0.1", port, "c");
    let error = publish(&config, std::iter::empty(), |_| {}).await.unwrap_err();
    insta::assert_snapshot!(error.to_string().replace(&port.to_string(), "PORT"), @"`127.0.0.1:PORT` refuses the login of `c`: NotAuthorized");
    server.abort();
}
