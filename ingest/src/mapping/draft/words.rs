//! The words by which gateways call what stands beside a value, and what a key is taken for.
//!
//! A key is compared without its case and its joints: `Device-Id` is `deviceid`. In each list the word that says most comes
//! first. Nothing here looks at more than one member of an object.

use serde_json::{Map, Value};

use crate::mapping::shape::number;
use crate::mapping::tape::Node;

pub(super) const VALUES: [&str; 14] = [
    "value",
    "val",
    "vaule",
    "dvalue",
    "realvalue",
    "currentvalue",
    "presentvalue",
    "rawvalue",
    "reading",
    "数值",
    "值",
    "数据",
    "当前值",
    "v",
];
/// What names the thing that is measured; what may as well be its number stands last.
pub(super) const NAMES: [&str; 34] = [
    "name",
    "tagname",
    "tag",
    "metric",
    "pointname",
    "point",
    "param",
    "parameter",
    "identifier",
    "key",
    "field",
    "item",
    "flag",
    "quota",
    "名称",
    "测点",
    "参数",
    "code",
    "n",
    "k",
    "pointid",
    "tagid",
    "id",
    "obis",
    "register",
    "registeraddress",
    "reg",
    "address",
    "addr",
    "channel",
    "ch",
    "编号",
    "设备",
    "serviceid",
];
/// What names the device.
pub(super) const ASSETS: [&str; 52] = [
    "device",
    "deviceid",
    "devicename",
    "devicecode",
    "dev",
    "devid",
    "devname",
    "deviceno",
    "devicesn",
    "devicekey",
    "devno",
    "devsn",
    "devaddr",
    "metercode",
    "metername",
    "meteraddr",
    "machineno",
    "machinename",
    "machinecode",
    "equipmentno",
    "equipmentname",
    "equipmentcode",
    "sensorid",
    "terminalid",
    "slave",
    "slaveid",
    "meter",
    "meterid",
    "metersn",
    "meterno",
    "sn",
    "asset",
    "assetid",
    "equipment",
    "equipmentid",
    "machine",
    "machineid",
    "设备",
    "设备编号",
    "编号",
    "station",
    "node",
    "serial",
    "serialnumber",
    "imei",
    "id",
    "addr",
    "address",
    "gateway",
    "gatewayid",
    "gwsn",
    "gw",
];
pub(super) const UNITS: [&str; 4] = ["unit", "units", "uom", "单位"];
/// Times, what was measured before what was sent.
pub(super) const TIMES: [&str; 39] = [
    "ts",
    "timestamp",
    "time",
    "datetime",
    "timestampms",
    "tstamp",
    "rtime",
    "readtime",
    "gathertime",
    "collecttime",
    "sampletime",
    "datatime",
    "acqtime",
    "recordtime",
    "eventtime",
    "devicetime",
    "devtime",
    "采集时间",
    "时间",
    "时间戳",
    "日期",
    "t",
    "at",
    "tm",
    "dt",
    "utc",
    "epoch",
    "date",
    "datetimeutc",
    "reporttime",
    "上报时间",
    "sendtime",
    "servertime",
    "updatetime",
    "createtime",
    "endtime",
    "starttime",
    "lastseen",
    "lastupdate",
];
/// Words of [`TIMES`] that may as well be measured: only how its value looks makes such a one a time.
const WEAK_TIMES: [&str; 5] = ["t", "at", "tm", "dt", "epoch"];
pub(super) const QUALITIES: [&str; 9] =
    ["quality", "q", "qc", "qualitycode", "statuscode", "质量", "good", "status", "valid"];
/// Numbers of the message and of its layout.
const SEQUENCES: [&str; 21] = [
    "seq",
    "seqno",
    "seqnum",
    "sequence",
    "sequencenumber",
    "msgid",
    "messageid",
    "msgno",
    "mid",
    "packetid",
    "requestid",
    "traceid",
    "uuid",
    "version",
    "ver",
    "qos",
    "type",
    "datatype",
    "cmd",
    "retain",
    "dup",
];
/// What is the number of a message or its answer at the top of it, and a name further down.
const AT_TOP: [&str; 6] = ["id", "code", "编号", "key", "n", "k"];
/// What stands around values and says nothing of them.
const CONTAINERS: [&str; 54] = [
    "data",
    "datas",
    "values",
    "value",
    "vals",
    "payload",
    "params",
    "properties",
    "points",
    "point",
    "rows",
    "row",
    "list",
    "items",
    "readings",
    "body",
    "content",
    "result",
    "results",
    "records",
    "metrics",
    "tags",
    "d",
    "devices",
    "device",
    "meters",
    "message",
    "messages",
    "msg",
    "telemetry",
    "report",
    "services",
    "fields",
    "entries",
    "measurements",
    "samples",
    "series",
    "assets",
    "history",
    "equipments",
    "machines",
    "sensors",
    "nodes",
    "gateways",
    "stations",
    "channels",
    "registers",
    "regs",
    "reads",
    "reported",
    "devicelist",
    "state",
    "数据",
    "列表",
];
/// What an envelope says of all that is in it.
const HEADERS: [&str; 6] = ["header", "head", "meta", "metadata", "envelope", "hdr"];
/// Levels of topics that say nothing of what is measured.
pub(super) const LEVELS: [&str; 22] = [
    "up",
    "data",
    "telemetry",
    "status",
    "state",
    "post",
    "report",
    "upload",
    "uplink",
    "attributes",
    "messages",
    "message",
    "msg",
    "event",
    "events",
    "json",
    "pub",
    "publish",
    "value",
    "values",
    "realtime",
    "rtdata",
];

/// A key without its case and joints; empty if it is longer than any word.
pub(super) fn plain(key: &str) -> String {
    const WORD_BYTES_MAX: usize = 40;
    if key.len() > WORD_BYTES_MAX {
        return String::new();
    }
    key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

pub(super) fn is_container(key: &str) -> bool {
    CONTAINERS.contains(&&*plain(key))
}

pub(super) fn is_header(key: &str) -> bool {
    HEADERS.contains(&&*plain(key))
}

/// Whether an object under this key says of what something was measured, and measures nothing itself.
pub(super) fn is_sender(key: &str, members: &Map<String, Value>) -> bool {
    let is_word = |key: &String| {
        let key = plain(key);
        ASSETS.contains(&&*key) || NAMES.contains(&&*key) || SEQUENCES.contains(&&*key)
    };
    let is_said = |(key, value): (&String, &Value)| is_word(key) || (node(value).is_scalar() && !is_number(value));
    ASSETS.contains(&&*plain(key)) && !members.is_empty() && members.iter().all(is_said)
}

pub(super) fn is_sequence(plain: &str) -> bool {
    SEQUENCES.contains(&plain)
}

/// Whether a word is the number of a message where it stands at the top.
pub(super) fn is_at_top(plain: &str) -> bool {
    AT_TOP.contains(&plain)
}

/// How much a key speaks of a time: the less the number, the more. None if it does not.
pub(super) fn time_rank(plain: &str) -> Option<usize> {
    let like = || ["time", "date", "stamp", "时间", "日期"].iter().any(|part| plain.contains(part));
    TIMES.iter().position(|word| *word == plain).or_else(|| like().then_some(TIMES.len()))
}

/// Whether a key is called a time in so many words, however its value looks.
pub(super) fn is_strictly_time(plain: &str) -> bool {
    TIMES.contains(&plain) && !WEAK_TIMES.contains(&plain)
}

/// A number as the language reads one: also a boolean, and a text that holds one.
pub(super) fn is_number(value: &Value) -> bool {
    number(node(value)).is_some()
}

/// What may be the name or number of something: a text, or a whole number that is not negative.
pub(super) fn is_id(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.trim().is_empty(),
        Value::Number(number) => number.is_u64(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// A scalar as rules see it; null for what is none.
pub(super) fn node(value: &Value) -> Node<'_> {
    match value {
        Value::Null | Value::Array(_) | Value::Object(_) => Node::Null,
        Value::Bool(value) => Node::Bool(*value),
        Value::Number(value) => match (value.as_i64(), value.as_u64()) {
            (Some(value), _) => Node::Int(value),
            (None, Some(value)) => Node::UInt(value),
            (None, None) => value.as_f64().map_or(Node::Null, Node::Float),
        },
        Value::String(text) => Node::Text(text),
    }
}

/// One step of a path.
pub(super) fn step(key: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || c == '_';
    let is_name = !key.is_empty() && key.chars().all(is_plain) && !key.starts_with(|c: char| c.is_ascii_digit());
    if is_name { format!(".{key}") } else { format!("[{}]", Value::from(key)) }
}

/// As a text of TOML, in one line.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
