//! Every message that the reference of the dialects shows, word for word, through the built-in profiles.
//!
//! The profiles' own vectors try more; this table is the promise that no example was forgotten. `zone = "pilot"` is
//! Asia/Urumqi here, the login is `login-7`, and every message is received after its times.

use super::tests::ran;
use super::{Dictionaries, Mappings};

/// What the built-in profiles make of a message, after those that teach.
#[track_caller]
fn check(topic: &str, payload: &str, expected: &[&str]) {
    let (mappings, dictionaries) = (Mappings::builtin(), Dictionaries::default());
    assert_eq!(ran(&mappings, &dictionaries, topic, payload.as_bytes()), expected, "{topic} {payload}");
}

#[test]
fn neuron_in_its_three_formats() {
    let values = r#"{"timestamp":1650006388943,"node":"modbus","group":"grp","values":{"tag0":123},"errors":{"tag1":2014},"metas":{}}"#;
    let tags = r#"{"timestamp":1647497389075,"node":"modbus","group":"grp","tags":[{"name":"tag0","value":123},{"name":"tag1","error":2014}]}"#;
    let ecp =
        r#"{"timestamp":1647497389075,"node":"modbus","group":"grp","tags":[{"name":"t","value":1.23,"type":3}]}"#;
    for topic in ["/neuron/gw/upload", "/neuron/gw"] {
        check(topic, values, &["modbus tag0 123 1650006388943", "modbus tag1 - 1650006388943 bad"]);
        check(topic, tags, &["modbus tag0 123 1647497389075", "modbus tag1 - 1647497389075 bad"]);
        check(topic, ecp, &["modbus t 1.23 1647497389075"]);
    }
    check(
        "/neuron/gw/status",
        r#"{"timestamp":1650006388943,"states":[{"node":"modbus","link":0,"running":3}]}"#,
        &["state"],
    );
    // Of a DL/T 645 meter: the address says what the tag means, and `#T` the time of a maximum.
    let meter = r#"{"timestamp":1647497389075,"node":"m","group":"g","tags":[{"name":"210220003011#00-01-00-00","value":1234.56},{"name":"210220003011#01-01-00-00#T","value":"2203171015"}]}"#;
    check("/neuron/gw/upload", meter, &["m 210220003011/00-01-00-00 1234.56 1647497389075 unit=kWh", "1 ignored"]);
    // A tag that is called `T` and belongs to no such address is a measurement.
    let boiler =
        r#"{"timestamp":1647497389075,"node":"plc","group":"g","values":{"boiler/T":81.5},"errors":{},"metas":{}}"#;
    check("/neuron/gw/upload", boiler, &["plc boiler/T 81.5 1647497389075"]);
}

#[test]
fn a_dl_t_645_address_proposes_what_the_standard_says_of_it() {
    const ACTIVE: Option<&str> = Some("energy.electricity counter kWh");
    for (address, expected) in [
        ("00-00-00-00", ACTIVE),
        ("00-01-00-00", ACTIVE),
        ("00-01-04-0C", ACTIVE),
        // Reverse active energy is fed back: not what was used.
        ("00-02-00-00", Some("- counter kWh")),
        // Reactive energy, its quadrants, and apparent energy.
        ("00-03-00-00", None),
        ("00-04-00-00", None),
        ("00-05-00-00", None),
        ("00-08-00-00", None),
        ("00-09-00-00", None),
        ("01-01-00-00", Some("- gauge kW")),
        ("01-02-00-00", Some("- gauge kW")),
        ("01-03-00-00", None),
        ("01-09-00-00", None),
        ("02-01-01-00", Some("- gauge V")),
        ("02-02-01-00", Some("- gauge A")),
        ("02-03-00-00", None),
    ] {
        let proposal = Mappings::builtin().proposal(&format!("210220003011/{address}"));
        let shown = proposal.map(|proposal| {
            let [quantity, kind, unit] = [proposal.quantity, proposal.kind, proposal.unit];
            [quantity, kind, unit].map(|part| part.unwrap_or("-".to_owned())).join(" ")
        });
        assert_eq!(shown.as_deref(), expected, "{address}");
    }
}

#[test]
fn united_manufacturing_hub() {
    let historian = r#"{"timestamp_ms":1670001234567,"pos":{"x":12.5,"y":7.3},"temperature":50.0,"collision":false}"#;
    let lines = |metric: &str| {
        ["pos/x 12.5", "pos/y 7.3", "temperature 50", "collision 0"]
            .map(|line| format!("e/s/a {metric}{line} 1670001234567"))
    };
    let as_texts = |lines: &[String; 4]| lines.clone().map(|line| Box::leak(line.into_boxed_str()) as &str);
    check("umh/v1/e/s/a/_historian", historian, &as_texts(&lines("")));
    check("umh/v1/e/s/a/_historian/head/axis", historian, &as_texts(&lines("head/axis/")));
    check("umh/v1/e/_historian", r#"{"timestamp_ms":1702286893,"x":1}"#, &["e x 1 1702286893000"]);
    check(
        "umh/v1/e/s/_pump_v1/motor/temperature",
        r#"{"timestamp_ms":1733904005123,"value":42.5}"#,
        &["e/s motor/temperature 42.5 1733904005123"],
    );
}

#[test]
fn united_manufacturing_hub_analytics() {
    let on = |what: &str| format!("umh/v1/e/s/_analytics/{what}");
    let create = r#"{"external_work_order_id":"1234","product":{"external_product_id":"5678","cycle_time_ms":60},"quantity":100,"status":0}"#;
    check(
        &on("work-order/create"),
        create,
        &[
            "no_time: umh.toml: umh-order-create: `1234` has no time: $.start_time_unix_ms, $.start_time, $.start_time_unix_ms, \
           $.start_time gives none in the formats of the rule; add its format to `time`",
        ],
    );
    check(
        &on("work-order/start"),
        r#"{"external_work_order_id":"1234","start_time_unix_ms":1719931704927}"#,
        &["order 1234 started 1719931704927"],
    );
    check(
        &on("work-order/stop"),
        r#"{"external_work_order_id":"1234","end_time_unix_ms":1719935304927}"#,
        &["order 1234 completed 1719935304927"],
    );
    check(&on("product-type/create"), r#"{"external_product_type_id":"5678","cycle_time_ms":60}"#, &["1 ignored"]);
    let add = r#"{"external_product_type_id":"5678","product_batch_id":"1234","start_time_unix_ms":1719931604927,"end_time_unix_ms":1719931704927,"quantity":100,"bad_quantity":5}"#;
    check(
        &on("product/add"),
        add,
        &["e/s good 95 1719931704927 product=5678", "e/s defective 5 1719931704927 product=5678"],
    );
    let correction = "correction_by_message: umh.toml: umh-corrections: a correction needs an author and a reason: a \
                      person makes it, no message can";
    let bad = r#"{"external_product_type_id":"5678","end_time_unix_ms":1719931704927,"bad_quantity":10}"#;
    check(&on("product/set-bad-quantity"), bad, &[correction]);
    let span = r#"{"start_time_unix_ms":1719931604927,"end_time_unix_ms":1719931704927}"#;
    check(&on("shift/add"), span, &["1 ignored"]);
    check(&on("shift/delete"), r#"{"start_time_unix_ms":1719931604927}"#, &[correction]);
    check(&on("state/add"), r#"{"state":10000,"start_time_unix_ms":1719931604927}"#, &["e/s state 1 1719931604927"]);
    let overwrite = r#"{"state":10000,"start_time_unix_ms":1719931604927,"end_time_unix_ms":1719931704927}"#;
    check(&on("state/overwrite"), overwrite, &[correction]);
}

#[test]
fn kepware_and_the_databus() {
    let kepware = r#"{"timestamp":1738851825000,"values":[{"id":"Siemens_S7.Crusher_01.MotorPower","v":850.3,"q":true,"t":1738851825000}]}"#;
    check("iotgateway", kepware, &["Siemens_S7.Crusher_01 MotorPower 850.3 1738851825000"]);
    let (mappings, dictionaries) = (Mappings::builtin(), Dictionaries::default());
    let run = |topic: &str, payload: &str| ran(&mappings, &dictionaries, topic, payload.as_bytes());
    let data = r#"{"seq":1,"vals":[{"id":"102","val":4,"ts":"2022-07-21T13:01:50.159Z","qc":3}]}"#;
    let topic = "ie/d/j/simatic/v1/s7c1/dp/r/Connection_1/Collection_1";
    assert!(run(topic, data)[0].starts_with("unknown_id: "));
    let metadata = r#"{"seq":1,"hashVersion":123456789,"connections":[{"name":"Connection_1","dataPoints":[{"name":"Collection_1","topic":"ie/d/j/...",
  "dataPointDefinitions":[{"name":"Datapoint_Int","id":"102","dataType":"Int"}]}]}]}"#;
    assert_eq!(run("ie/m/j/simatic/v1/s7c1/dp", metadata), ["state"]);
    assert_eq!(run(topic, data), ["Connection_1 Datapoint_Int 4 1658408510159"]);
    assert_eq!(run("ie/s/j/simatic/v1/s7c1/status", r#"{"seq":1}"#), ["1 ignored"]);
}

#[test]
fn opc_ua_pubsub() {
    let full = r#"{"MessageId":"1","MessageType":"ua-data","PublisherId":"MyPublisher","Messages":[{"DataSetWriterId":101,"SequenceNumber":7,
  "Timestamp":"2026-01-02T03:04:05.6Z","Status":0,"Payload":{
    "Temperature":{"Value":25.5,"SourceTimestamp":"2026-01-02T03:04:05Z","StatusCode":{"Code":2147483648}},"Counter":0}}]}"#;
    let bad = ["MyPublisher/101 Temperature - 1767323045000 bad", "MyPublisher/101 Counter 0 1767323045600"];
    check("opcua/json/data/MyPublisher/G1", full, &bad);
    check("opcua/json/data/MyPublisher/G1/W1", full, &bad);
    let metadata = r#"{"MessageId":"1","MessageType":"ua-metadata","PublisherId":"MyPublisher"}"#;
    check("opcua/json/metadata/MyPublisher/G1", metadata, &["1 ignored"]);
}

#[test]
fn thingsboard() {
    let gateway = r#"{"Device A":[{"ts":1483228800000,"values":{"temperature":42,"humidity":80}}],"Device B":[{"ts":1483228801000,"values":{"temperature":43}}]}"#;
    let expected = [
        "Device A temperature 42 1483228800000",
        "Device A humidity 80 1483228800000",
        "Device B temperature 43 1483228801000",
    ];
    check("v1/gateway/telemetry", gateway, &expected);
    let device = "v1/devices/me/telemetry";
    check(device, r#"{"temperature":22.5}"#, &["login-7 temperature 22.5 receipt"]);
    check(device, r#"{"ts":1451649600512,"values":{"temperature":22.5}}"#, &["login-7 temperature 22.5 1451649600512"]);
    let batch =
        r#"[{"ts":1451649600512,"values":{"temperature":22.5}},{"ts":1451649601512,"values":{"temperature":22.6}}]"#;
    check(device, batch, &["login-7 temperature 22.5 1451649600512", "login-7 temperature 22.6 1451649601512"]);
}

#[test]
fn alink_and_iotda() {
    let post = r#"{"id":"123","version":"1.0","sys":{"ack":0},"params":{"Power":{"value":"on","time":1524448722000},"WF":{"value":23.6,"time":1524448722000}},
 "method":"thing.event.property.post"}"#;
    let topic = "/sys/a1/press/thing/event/property/post";
    check(topic, post, &["press Power 1 1524448722000", "press WF 23.6 1524448722000"]);
    check(topic, r#"{"params":{"WF":23.6}}"#, &["press WF 23.6 receipt"]);
    let pack = r#"{"params":{"properties":{"WF":{"value":1,"time":1524448722000}},"events":{"alarm":{"value":{"level":2},"time":1524448722000}},"subDevices":[{"identity":{"productKey":"a2","deviceName":"m3"},"properties":{"WF":{"value":2,"time":1524448722000}},"events":{}}]}}"#;
    let pack_topic = "/sys/a1/gw/thing/event/property/pack/post";
    check(pack_topic, pack, &["gw WF 1 1524448722000", "m3 WF 2 1524448722000", "1 ignored"]);
    // Of all event names only `property` carries readings, however much of it another begins with.
    for event in [
        "alarm",
        "p",
        "pr",
        "pro",
        "prop",
        "prope",
        "proper",
        "propert",
        "propeller",
        "propertx",
        "propertyx",
        "property2",
        "Property",
        "报警",
    ] {
        check(
            &format!("/sys/a1/press/thing/event/{event}/post"),
            r#"{"params":{"value":{"level":2}}}"#,
            &["1 ignored"],
        );
    }
    check(
        topic,
        r#"{"params":7}"#,
        &[
            "no_rule: rules take topic `/sys/a1/press/thing/event/property/post`, but none this message: alink.toml: alink: \
           `$.params` is a number, not an object",
        ],
    );
    check("/sys/a1/gw/thing/event/alarm/post", r#"{"params":{"value":{"level":2}}}"#, &["1 ignored"]);
    check("/sys/a1/gw/thing/event/probe/post", r#"{"params":{"value":{"level":2}}}"#, &["1 ignored"]);
    let device =
        r#"{"services":[{"service_id":"Temperature","properties":{"value":57},"event_time":"20151212T121212Z"}]}"#;
    check("$oc/devices/d7/sys/properties/report", device, &["d7 Temperature/value 57 1449922332000"]);
    let gateway = r#"{"devices":[{"device_id":"d1","services":[{"service_id":"analog","properties":{"PhV_phsA":"1"},"event_time":"20190606T121212Z"}]}]}"#;
    let topic = "$oc/devices/gw/sys/gateway/sub_devices/properties/report";
    check(topic, gateway, &["d1 analog/PhV_phsA 1 1559823132000"]);
}

#[test]
fn chinese_meters_and_energy_gateways() {
    let acrel = r#"{"type":"data","gwSN":"G1","meterSN":"M1","time":"20200709130030","EPI":1234.5}"#;
    for cmd in ["data", "hstdata"] {
        let topic = format!("/gw/acrelHW/ADW300/{cmd}/G1");
        check(&topic, acrel, &["M1 EPI 1234.5 1594270830000 unit=kWh"]);
    }
    for (cmd, expected) in
        [("login", "state"), ("heart", "state"), ("time", "1 ignored"), ("para", "1 ignored"), ("event", "1 ignored")]
    {
        check(&format!("/gw/acrelHW/ADW300/{cmd}/G1"), r#"{"type":"x","utc":"8"}"#, &[expected]);
    }
    let platform = r#"{"timestamp":1594270830,"EPI":1234.5}"#;
    check("sys/dev/a1/SN1", platform, &["SN1 EPI 1234.5 1594270830000 unit=kWh"]);
    let cet = r#"{"location_code":"L1","ts ":1688606685,"properties":[{"type":"AI","key":"A相电流","value":0.25,"unit":"A","timestamp":1688354258}]}"#;
    check("CET/NX/upload", cet, &["L1 A相电流 0.25 1688354258000 hint=A"]);
    let zhitan = r#"{"values":[{"Key":"EMS.HB.High.9_42302035834_Voltagec","Vaule":220.1,"Time":1730886000000}]}"#;
    check("ems/site-1", zhitan, &["42302035834 Voltagec 220.1 1730886000000 unit=V"]);
    let list = r#"[{"productId":"p","deviceId":"d","properties":[{"key":"k","value":1.5,"type":"double","time":1730886000000,"module":"m"}]}]"#;
    check("properties/station-1", list, &["d k 1.5 1730886000000"]);
    let tuya = r#"{"time":1730886000000,"data":{"forward_energy_total":{"value":12345},"total_power":{"value":1500},"phase_a":{"value":"{\"voltage\":220.5}"},"phase_b":{"value":"CJkABdwAAUo="}}}"#;
    check(
        "tylink/m1/thing/property/report",
        tuya,
        &[
            "m1 forward_energy_total 123.45 1730886000000 unit=kWh",
            "m1 total_power 1.5 1730886000000 unit=kW",
            "m1 phase_a/voltage 220.5 1730886000000 unit=V",
            "m1 phase_b/current 1.5 1730886000000 unit=A",
            "m1 phase_b/power 330 1730886000000 unit=W",
            "m1 phase_b/voltage 220.1 1730886000000 unit=V",
        ],
    );
    let bare = r#"{"time":1730886000000,"data":{"phase_a":"CJkABdwAAUo=","phase_b":7,"total_power":1500}}"#;
    check("tylink/m1/thing/property/report", bare, &["m1 total_power 1.5 1730886000000 unit=kW"]);
    let freeioe = r#"[["sn/energy/value",12.5,1730886000.25,0]]"#;
    check("TRTX01/data", freeioe, &["sn energy/value 12.5 1730886000250"]);
    check("TRTX01/cached_data", freeioe, &["sn energy/value 12.5 1730886000250"]);
    let thingspanel = r#"{"sub_device_data":{"m1":{"energy":3}}}"#;
    check("gateway/telemetry", thingspanel, &["m1 energy 3 receipt"]);
}

#[test]
fn plugs_and_energy_monitors() {
    let tasmota = r#"{"Time":"2022-01-11T21:57:38","ENERGY":{"TotalStartTime":"2020-10-21T22:15:00","Total":3.705,"Yesterday":0.028,"Today":0.026,"Period":1,
  "Power":5,"ApparentPower":5,"ReactivePower":0,"Factor":1.00,"Voltage":233,"Current":0.021}}"#;
    let expected = [
        "plug ENERGY/Total 3.705 1641916658000 unit=kWh",
        "plug ENERGY/Yesterday 0.028 1641916658000 unit=kWh",
        "plug ENERGY/Today 0.026 1641916658000 unit=kWh",
        "plug ENERGY/Period 1 1641916658000 unit=Wh",
        "plug ENERGY/Power 5 1641916658000 unit=W",
        "plug ENERGY/ApparentPower 5 1641916658000",
        "plug ENERGY/ReactivePower 0 1641916658000",
        "plug ENERGY/Factor 1 1641916658000",
        "plug ENERGY/Voltage 233 1641916658000",
        "plug ENERGY/Current 0.021 1641916658000",
    ];
    check("tele/plug/SENSOR", tasmota, &expected);
    let channels = r#"{"Time":"2022-01-11T21:57:38","ENERGY":{"Total":[0.000,2.910]}}"#;
    let expected = ["plug.0 ENERGY/Total 0 1641916658000 unit=kWh", "plug.1 ENERGY/Total 2.91 1641916658000 unit=kWh"];
    check("tele/plug/SENSOR", channels, &expected);
    check("tele/plug/LWT", "Online", &["state"]);
    check("tele/plug/LWT", "Offline", &["state"]);
    let shelly = r#"{"src":"shellypro3em-1","method":"NotifyStatus","params":{"ts":1678699517.90,"em:0":{"a_act_power":2403.7,"total_act_power":3048.104,"n_current":null}}}"#;
    let expected = [
        "shellypro3em-1 em:0/a_act_power 2403.7 1678699517900 unit=W",
        "shellypro3em-1 em:0/total_act_power 3048.104 1678699517900 unit=W",
    ];
    check("shellypro3em-1/events/rpc", shelly, &expected);
    let status = r#"{"id":0,"total_act":2776.51,"total_act_ret":0.5}"#;
    let expected = [
        "shellypro3em-1 emdata:0/total_act 2776.51 receipt unit=Wh",
        "shellypro3em-1 emdata:0/total_act_ret 0.5 receipt unit=Wh",
    ];
    check("shellypro3em-1/status/emdata:0", status, &expected);
    for (field, payload, expected) in [
        ("power", "12.5", "12.5 receipt unit=W"),
        ("voltage", "233", "233 receipt"),
        ("pf", "0.9", "0.9 receipt"),
        ("current", "1.5", "1.5 receipt"),
        ("total", "1234.5", "1234.5 receipt unit=Wh"),
        ("total_returned", "0", "0 receipt unit=Wh"),
        ("energy", "600", "10 receipt unit=Wh"),
    ] {
        let topic = format!("shellies/shellyem3-A1/emeter/0/{field}");
        check(&topic, payload, &[&format!("shellyem3-A1.0 {field} {expected}")]);
    }
    let zigbee = r#"{"state":"ON","power":20.5,"energy":12.34,"voltage":231,"current":0.1,"linkquality":120,"last_seen":"2026-01-02T03:04:05.000Z"}"#;
    let expected = [
        "hall/plug power 20.5 1767323045000 unit=W",
        "hall/plug energy 12.34 1767323045000 unit=kWh",
        "hall/plug voltage 231 1767323045000",
        "hall/plug current 0.1 1767323045000",
        "hall/plug linkquality 120 1767323045000",
    ];
    check("zigbee2mqtt/hall/plug", zigbee, &expected);
    check("zigbee2mqtt/hall/plug/availability", "online", &["state"]);
}

#[test]
fn telegraf_sitewise_and_node_red() {
    let influx = "press,line=L1 energy=12.5,good=100i 1738851825000000000";
    let expected = ["edge/L1 press/energy 12.5 1738851825000", "edge/L1 press/good 100 1738851825000"];
    check("telegraf/edge/press", influx, &expected);
    let single = r#"{"fields":{"field_1":30},"name":"docker","tags":{"host":"raynor"},"timestamp":1458229140}"#;
    check("telegraf/raynor/docker", single, &["raynor docker/field_1 30 1458229140000"]);
    let batch =
        r#"{"metrics":[{"fields":{"field_1":30},"name":"docker","tags":{"host":"raynor"},"timestamp":1458229140}]}"#;
    check("telegraf/raynor/docker", batch, &["raynor docker/field_1 30 1458229140000"]);
    check("telegraf/raynor/docker/field_1", "30", &["raynor docker/field_1 30 receipt"]);
    let sitewise = r#"{"entries":[{"entryId":"1","propertyAlias":"/company/windfarm/3/turbine/7/temperature","propertyValues":[
  {"value":{"doubleValue":15.09},"timestamp":{"timeInSeconds":1575691200,"offsetInNanos":0},"quality":"GOOD"}]}]}"#;
    check("sitewise/gw", sitewise, &["company/windfarm/3/turbine/7 temperature 15.09 1575691200000"]);
    for (payload, expected) in [
        ("21.5", "21.5 receipt"),
        ("\"ON\"", "1 receipt"),
        ("true", "1 receipt"),
        (r#"{"ts":1730886000000,"value":21.5}"#, "21.5 1730886000000"),
        (r#"{"ts":"2026-01-02T03:04:05.000Z","value":21.5}"#, "21.5 1767323045000"),
        (r#"{"ts":"2026/1/2 11:04:05","value":21.5}"#, "21.5 1767330245000"),
        (r#"{"payload":"{\"ts\":1730886000000,\"value\":21.5}"}"#, "21.5 1730886000000"),
    ] {
        check("nodered/oven/t", payload, &[&format!("oven t {expected}")]);
    }
}
