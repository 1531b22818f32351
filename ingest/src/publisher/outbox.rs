//! What is not acknowledged yet: handed to the client, in flight under a packet id, or to be sent again.
//!
//! Pure bookkeeping. Messages keep their first order through any number of connections.

use std::collections::{HashMap, VecDeque};

use super::Message;

/// A message and its place in the order of handing.
#[derive(Debug)]
struct Numbered {
    number: u64,
    message: Message,
}

/// Everything unacknowledged.
#[derive(Debug)]
pub(super) struct Outbox {
    /// After a lost connection, oldest first.
    again: VecDeque<Numbered>,
    /// Given to the client, which takes them in this order and then tells their packet id.
    handed: VecDeque<Numbered>,
    in_flight: HashMap<u16, Numbered>,
    next: u64,
    bytes: usize,
    messages_max: usize,
    bytes_max: usize,
}

impl Outbox {
    pub(super) fn new(messages_max: usize, bytes_max: usize) -> Outbox {
        let (again, handed, in_flight) = (VecDeque::new(), VecDeque::new(), HashMap::new());
        Outbox { again, handed, in_flight, next: 0, bytes: 0, messages_max, bytes_max }
    }

    pub(super) fn len(&self) -> usize {
        self.again.len() + self.handed.len() + self.in_flight.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether one more message may be taken from the source. A single message of any size always may.
    pub(super) fn has_room(&self) -> bool {
        self.is_empty() || (self.len() < self.messages_max && self.bytes < self.bytes_max)
    }

    /// A new message goes to the client.
    pub(super) fn hand(&mut self, message: Message) {
        self.bytes += message.1.len();
        self.handed.push_back(Numbered { number: self.next, message });
        self.next += 1;
    }

    /// A message to give to the client again; it counts as handed.
    pub(super) fn take_again(&mut self) -> Option<Message> {
        let again = self.again.pop_front()?;
        let message = again.message.clone();
        self.handed.push_back(again);
        Some(message)
    }

    /// The client has written the oldest handed message under this packet id.
    pub(super) fn sent(&mut self, packet_id: u16) {
        if let Some(message) = self.handed.pop_front() {
            self.in_flight.insert(packet_id, message);
        }
    }

    /// The server has answered; none if it answered what was not sent.
    pub(super) fn acknowledged(&mut self, packet_id: u16) -> Option<Message> {
        let Numbered { message, .. } = self.in_flight.remove(&packet_id)?;
        self.bytes -= message.1.len();
        Some(message)
    }

    /// The connection is gone: all that is unacknowledged is to be sent again, in its old order.
    pub(super) fn disconnected(&mut self) {
        let mut all: Vec<Numbered> = self.in_flight.drain().map(|(_, message)| message).collect();
        all.extend(self.handed.drain(..));
        all.extend(self.again.drain(..));
        all.sort_unstable_by_key(|message| message.number);
        self.again = all.into();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(topic: &str) -> Message {
        (topic.to_owned(), Bytes::from_static(b"{}"))
    }

    #[test]
    fn what_is_not_acknowledged_is_sent_again_in_its_old_order() {
        let mut outbox = Outbox::new(10, 1_000);
        for topic in ["a", "b", "c", "d"] {
            outbox.hand(message(topic));
        }
        for packet_id in [1, 2, 3] {
            outbox.sent(packet_id);
        }
        assert_eq!(outbox.acknowledged(2), Some(message("b")));
        outbox.disconnected();
        outbox.take_again();
        outbox.disconnected();
        let again: Vec<String> = std::iter::from_fn(|| outbox.take_again()).map(|(topic, _)| topic).collect();
        assert_eq!(again, ["a", "c", "d"]);
        assert_eq!(outbox.len(), 3);
        assert_eq!(outbox.acknowledged(2), None);
    }

    #[test]
    fn the_window_is_bounded_in_messages_and_bytes() {
        let mut outbox = Outbox::new(2, 1_000);
        outbox.hand(message("a"));
        assert!(outbox.has_room());
        outbox.hand(message("b"));
        assert!(!outbox.has_room());

        let mut outbox = Outbox::new(10, 1);
        assert!(outbox.has_room());
        outbox.hand(message("a"));
        assert!(!outbox.has_room());
        outbox.sent(1);
        outbox.acknowledged(1);
        assert!(outbox.has_room());
    }
}
